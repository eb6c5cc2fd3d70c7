"""Request Tracker 5, as the real one answered in the lab."""

from typing import Any

from tests.collector.destinations.desk import (
    MARK,
    NUMBER,
    Answer,
    Desk,
    NotTaken,
    Route,
    Spec,
    picked,
)

T = "/REST/2.0/ticket"


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "type": "ticket",
        "Subject": row["Subject"],
        "Status": row["Status"],
        "Creator": {"id": "forewarn", "type": "user"},
        "Owner": {"id": row.get("Owner", "Nobody"), "type": "user"},
    }


def several(desk: Desk, body: Any, **asked: str) -> Answer:
    """Search by mark, or by some numbers."""
    if asked.get("q_mark"):
        return search(desk, body, asked["q_mark"])
    return 200, {"items": [shown(row) for row in picked(desk, asked["q_ids"], " OR ", "id=")]}


def create(desk: Desk, body: Any) -> Answer:
    row = desk.new(Subject=body["Subject"], Status="new", Priority=body["Priority"])
    return 201, {"id": str(row["id"]), "type": "ticket", "_url": f"{T}/{row['id']}"}


def search(desk: Desk, body: Any, q_mark: str) -> Answer:
    return 200, {"items": [shown(row) for row in desk.find(q_mark, "Subject")]}


def comment(desk: Desk, body: Any, number: str) -> Answer:
    row = desk.row(number)
    desk.say(number, body["Subject"])
    row["Status"] = body.get("Status", row["Status"])
    return 201, ["Comments added"]


def change(desk: Desk, body: Any, number: str) -> Answer:
    row = desk.row(number)
    if "MergeInto" in body:
        if str(body["MergeInto"]) not in desk.rows:
            raise NotTaken(400, "no such ticket")
        del desk.rows[number]
        return 200, ["Merge Successful"]
    row.update(body)
    return 200, ["changed"]


def history(desk: Desk, body: Any, number: str) -> Answer:
    texts = [text for told, text in desk.said if told == number]
    return 200, {"items": [{"Type": "Comment", "Data": text} for text in texts]}


COMMENT = {"Subject!": 60, "Content!": 20000, "ContentType!": ("text/plain",)}
SPEC = Spec(
    config={"secret": "1-14-t0ken", "queue": "Desk"},
    secrets=("1-14-t0ken",),
    login={"authorization": "token 1-14-t0ken"},
    routes=(
        Route(
            "GET",
            "/REST/2.0/tickets",
            several,
            query={
                "query": rf"Subject LIKE '{MARK}'|(?P<ids>id=\d+( OR id=\d+)*)",
                "fields": "Subject,Status,Creator(,Owner)?",
                "orderby?": "id",
                "per_page": r"\d+",
            },
        ),
        Route("GET", f"{T}/{NUMBER}", lambda desk, body, number: (200, shown(desk.row(number)))),
        Route(
            "GET",
            f"{T}/{NUMBER}/history",
            history,
            query={"fields": "Type,Data", "per_page": "100", "orderby": "id", "order": "DESC"},
        ),
        Route(
            "POST",
            T,
            create,
            {
                "Queue!": ("Desk",),
                "Subject!": 200,
                "Content!": 20000,
                "ContentType!": ("text/plain",),
                "Priority": int,
                "Requestor": 200,
            },
        ),
        Route("PUT", f"{T}/{NUMBER}", change, {"Priority": int, "MergeInto": int}),
        Route(
            "POST", f"{T}/{NUMBER}/comment", comment, {**COMMENT, "Status": ("resolved", "open")}
        ),
    ),
    closed=lambda row: row["Status"] == "resolved",
    carries=lambda row: str(row["Subject"]),
    foreign={"Subject": "The printer is on fire", "Status": "open", "Priority": 1},
    mark_field="Subject",
    taken={"Status": "open", "Owner": "alice"},
    taken_by="alice",
)
