"""Jira Cloud v3, by its reference: transitions of a workflow of its own."""

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
DOCUMENT = {
    "type!": ("doc",),
    "version!": (1,),
    "content!": [
        {"type!": ("paragraph",), "content!": [{"type!": ("text",), "text!": 32_767}]},
    ],
}
TRANSITIONS = {"11": "new", "41": "done"}


def shown(row: dict[str, Any]) -> dict[str, Any]:
    status = {"name": "x", "statusCategory": {"key": row["status"]}}
    fields = {"labels": row["labels"], "status": status, "assignee": row.get("assignee")}
    return {"id": str(row["id"]), "fields": fields}


def create(desk: Desk, body: Any) -> Answer:
    row = desk.new(labels=body["fields"]["labels"], status="new")
    return 201, {"id": str(row["id"]), "key": f"OPS-{row['id']}"}


def search(desk: Desk, body: Any) -> Answer:
    several = re.fullmatch(r"id in \((\d+(,\d+)*)\)", body["jql"])
    if several is not None:
        desk.written -= 1
        return 200, {"issues": [shown(row) for row in picked(desk, several[1])]}
    asked = re.fullmatch(f'labels = "{MARK}" ORDER BY created ASC', body["jql"])
    if asked is None:
        raise NotTaken(400, "Error in the JQL Query")
    desk.written -= 1
    return 200, {"issues": [shown(row) for row in desk.find(asked["mark"], "labels")]}


def transitions(desk: Desk, body: Any, number: str) -> Answer:
    desk.row(number)
    told = [{"id": one, "to": {"statusCategory": {"key": key}}} for one, key in TRANSITIONS.items()]
    return 200, {"transitions": told}


def move(desk: Desk, body: Any, number: str) -> Answer:
    check(body["transition"]["id"], tuple(TRANSITIONS), "transition")
    desk.row(number)["status"] = TRANSITIONS[body["transition"]["id"]]
    return 204, None


def comment(desk: Desk, body: Any, number: str) -> Answer:
    desk.say(number, body["body"]["content"][0]["content"][0]["text"])
    return 201, {"id": "1"}


def comments(desk: Desk, body: Any, number: str) -> Answer:
    told = [
        {"body": {"content": [{"content": [{"text": text}]}]}}
        for about, text in desk.said
        if about == number
    ]
    return 200, {"comments": told}


SPEC = Spec(
    config={"user": "bot@example.com", "secret": "j-t0ken", "project": "OPS"},
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
            query={"fields": "labels,status,assignee"},
        ),
        Route(
            "POST",
            ISSUE,
            create,
            {
                "fields!": {
                    "project!": {"key!": ("OPS",)},
                    "issuetype!": {"name!": ("Task",)},
                    "summary!": 255,
                    "labels": [255],
                    "description": DOCUMENT,
                }
            },
        ),
        Route("GET", f"{ISSUE}/{NUMBER}/transitions", transitions),
        Route("POST", f"{ISSUE}/{NUMBER}/transitions", move, {"transition!": {"id!": 10}}),
        Route("POST", f"{ISSUE}/{NUMBER}/comment", comment, {"body!": DOCUMENT}),
        Route(
            "GET",
            f"{ISSUE}/{NUMBER}/comment",
            comments,
            query={"orderBy": "-created", "maxResults": r"\d+"},
        ),
    ),
    closed=lambda row: row["status"] == "done",
    carries=lambda row: " ".join(row["labels"]),
    foreign={"labels": ["printer"], "status": "new"},
    mark_field="labels",
    taken={"status": "indeterminate", "assignee": {"displayName": "Alice Liddell"}},
    taken_by="Alice Liddell",
)
