"""Customer requests of Jira Service Management Cloud, by its reference."""

import re
from typing import Any

from tests.collector.destinations.desk import (
    MARK,
    NUMBER,
    Answer,
    Desk,
    NotTaken,
    Route,
    Spec,
    basic,
    check,
    picked,
)

ISSUE = "/rest/api/3/issue"
REQUEST = "/rest/servicedeskapi/request"
TRANSITIONS = {"11": "indeterminate", "41": "done"}


def shown(row: dict[str, Any]) -> dict[str, Any]:
    status = {"name": "x", "statusCategory": {"key": row["status"]}}
    fields = {"summary": row["summary"], "status": status, "assignee": row.get("assignee")}
    return {"id": str(row["id"]), "fields": fields}


def create(desk: Desk, body: Any) -> Answer:
    row = desk.new(summary=body["requestFieldValues"]["summary"], status="new")
    return 201, {"issueId": str(row["id"]), "issueKey": f"HELP-{row['id']}"}


def search(desk: Desk, body: Any) -> Answer:
    desk.written -= 1
    several = re.fullmatch(r"id in \((\d+(,\d+)*)\)", body["jql"])
    if several is not None:
        return 200, {"issues": [shown(row) for row in picked(desk, several[1])]}
    asked = re.fullmatch(rf'summary ~ "\\"{MARK}\\"" ORDER BY created ASC', body["jql"])
    if asked is None:
        raise NotTaken(400, "Error in the JQL Query")
    return 200, {"issues": [shown(row) for row in desk.find(asked["mark"], "summary")]}


def transitions(desk: Desk, body: Any, number: str) -> Answer:
    desk.row(number)
    told = [{"id": one, "to": {"statusCategory": {"key": key}}} for one, key in TRANSITIONS.items()]
    return 200, {"transitions": told}


def move(desk: Desk, body: Any, number: str) -> Answer:
    check(body["transition"]["id"], tuple(TRANSITIONS), "transition")
    desk.row(number)["status"] = TRANSITIONS[body["transition"]["id"]]
    return 204, None


def comment(desk: Desk, body: Any, number: str) -> Answer:
    desk.say(number, body["body"])
    return 201, {"id": "1", "public": body["public"]}


def comments(desk: Desk, body: Any, number: str) -> Answer:
    texts = [text for about, text in desk.said if about == number]
    return 200, {"comments": [{"body": {"content": [{"content": [{"text": t}]}]}} for t in texts]}


SPEC = Spec(
    config={
        "user": "bot@example.com",
        "secret": "j-t0ken",
        "service_desk": "1",
        "request_type": "10",
    },
    secrets=("j-t0ken",),
    login={"authorization": basic("bot@example.com", "j-t0ken")},
    routes=(
        Route(
            "POST",
            "/rest/api/3/search/jql",
            search,
            {"jql!": 500, "fields!": [50], "maxResults": int},
        ),
        Route(
            "GET",
            f"{ISSUE}/{NUMBER}",
            lambda desk, body, number: (200, shown(desk.row(number))),
            query={"fields": "summary,status,assignee"},
        ),
        Route(
            "POST",
            REQUEST,
            create,
            {
                "serviceDeskId!": ("1",),
                "requestTypeId!": ("10",),
                "raiseOnBehalfOf": 128,
                "requestFieldValues!": {"summary!": 255, "description": 32_767},
            },
        ),
        Route("POST", f"{REQUEST}/{NUMBER}/comment", comment, {"body!": 32_767, "public!": bool}),
        Route("GET", f"{ISSUE}/{NUMBER}/transitions", transitions),
        Route("POST", f"{ISSUE}/{NUMBER}/transitions", move, {"transition!": {"id!": 10}}),
        Route(
            "GET",
            f"{ISSUE}/{NUMBER}/comment",
            comments,
            query={"orderBy": "-created", "maxResults": r"\d+"},
        ),
    ),
    closed=lambda row: row["status"] == "done",
    carries=lambda row: str(row["summary"]),
    foreign={"summary": "The printer is on fire", "status": "new"},
    mark_field="summary",
    taken={"status": "indeterminate", "assignee": {"displayName": "Alice Liddell"}},
    taken_by="Alice Liddell",
)
