"""Redmine 5, as the real one answered in the lab."""

from typing import Any

from tests.collector.destinations.desk import MARK, NUMBER, Answer, Desk, Route, Spec, picked

NAMES = {1: "New", 2: "In Progress", 3: "Resolved", 5: "Closed", 6: "Rejected"}


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "subject": row["subject"],
        "description": row["description"],
        "author": {"id": 4, "name": "forewarn"},
        "status": {
            "id": row["status_id"],
            "name": NAMES[row["status_id"]],
            "is_closed": row["status_id"] in (5, 6),
        },
        **({"assigned_to": row["assigned_to"]} if "assigned_to" in row else {}),
    }


def several(desk: Desk, body: Any, **asked: str) -> Answer:
    """Search by mark, or by some numbers."""
    if asked.get("q_mark"):
        return search(desk, body, asked["q_mark"])
    return 200, {"issues": [shown(row) for row in picked(desk, asked["q_ids"])]}


def create(desk: Desk, body: Any) -> Answer:
    issue = body["issue"]
    return 201, {"issue": shown(desk.new(**issue, status_id=1))}


def search(desk: Desk, body: Any, q_mark: str) -> Answer:
    return 200, {"issues": [shown(row) for row in desk.find(q_mark, "subject")]}


def get(desk: Desk, body: Any, number: str, **_: str) -> Answer:
    journals = [{"notes": text} for told, text in desk.said if told == number]
    return 200, {"issue": {**shown(desk.row(number)), "journals": journals}}


def change(desk: Desk, body: Any, number: str) -> Answer:
    issue = body["issue"]
    desk.say(number, issue["notes"])
    desk.row(number).update({key: value for key, value in issue.items() if key != "notes"})
    return 204, None


PRIORITY = (1, 2, 3, 4, 5)
SPEC = Spec(
    config={"secret": "a-key-of-redmine", "project": "operations"},
    secrets=("a-key-of-redmine",),
    login={"x-redmine-api-key": "a-key-of-redmine"},
    routes=(
        Route(
            "GET",
            "/issues.json",
            several,
            query={
                "status_id": r"\*",
                "subject?": f"~{MARK}",
                "issue_id?": r"(?P<ids>\d+(,\d+)*)",
                "sort?": "id",
                "limit": r"\d+",
            },
        ),
        Route("GET", f"/issues/{NUMBER}.json", get, query={"include?": "journals"}),
        Route(
            "POST",
            "/issues.json",
            create,
            {
                "issue!": {
                    "project_id!": ("operations",),
                    "subject!": 255,
                    "description": 20000,
                    "priority_id": PRIORITY,
                }
            },
        ),
        Route(
            "PUT",
            f"/issues/{NUMBER}.json",
            change,
            {"issue!": {"notes!": 20050, "status_id": (1, 2, 5, 6), "priority_id": PRIORITY}},
        ),
    ),
    closed=lambda row: row["status_id"] == 5,
    carries=lambda row: str(row["subject"]),
    foreign={"subject": "The printer is on fire", "description": "x", "status_id": 1},
    mark_field="subject",
    taken={"status_id": 2, "assigned_to": {"id": 5, "name": "Alice Liddell"}},
    taken_by="Alice Liddell",
)
