"""ServiceNow's table API, by its reference, with its habit of answering a bad query with all."""

import re
from typing import Any

from tests.collector.destinations.desk import (
    MARK,
    Answer,
    Desk,
    NotTaken,
    Route,
    Spec,
    basic,
    picked,
)

TABLE = "/api/now/table/incident"
ID = r"(?P<number>[0-9a-f]{32})"
FIELDS = "sys_id,number,correlation_id,state"
LEVELS = ("1", "2", "3")


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: str(row.get(name, "")) for name in FIELDS.split(",")}


def create(desk: Desk, body: Any) -> Answer:
    row = desk.new(**body, state="1")
    row["sys_id"] = f"{row['id']:032x}"
    desk.rows[row["sys_id"]] = desk.rows.pop(str(row["id"]))
    return 201, {"result": shown(row)}


def search(desk: Desk, body: Any, q_query: str) -> Answer:
    asked = re.fullmatch(rf"correlation_id={MARK}\^ORDERBYsys_created_on", q_query)
    several = re.fullmatch(r"sys_idIN(?P<ids>[0-9a-f]{32}(,[0-9a-f]{32})*)", q_query)
    if several:
        return 200, {"result": [shown(row) for row in picked(desk, several["ids"])]}
    # A term that is not understood is dropped, and what is left asks for everything.
    found = desk.find(asked["mark"], "correlation_id") if asked else [*desk.rows.values()]
    return 200, {"result": [shown(row) for row in found][:10]}


def change(desk: Desk, body: Any, number: str) -> Answer:
    if body.get("state") == "6" and not (body.get("close_code") and body.get("close_notes")):
        raise NotTaken(403, "Data Policy Exception: close code and notes are mandatory")
    if "work_notes" in body:
        desk.said.append((number, body["work_notes"]))
    row = desk.row(number)
    row.update({key: value for key, value in body.items() if key != "work_notes"})
    return 200, {"result": shown(row)}


SPEC = Spec(
    config={"user": "forewarn", "secret": "s-passw0rd", "caller": "forewarn"},
    secrets=("s-passw0rd",),
    login={"authorization": basic("forewarn", "s-passw0rd")},
    routes=(
        Route(
            "GET",
            TABLE,
            search,
            query={
                "sysparm_query": "(?P<query>.*)",
                "sysparm_limit": "10|100",
                "sysparm_fields": FIELDS,
            },
        ),
        Route(
            "GET",
            f"{TABLE}/{ID}",
            lambda desk, body, number: (200, {"result": shown(desk.row(number))}),
            query={"sysparm_fields": FIELDS},
        ),
        Route(
            "POST",
            TABLE,
            create,
            {
                "short_description!": 160,
                "description": 4000,
                "urgency": LEVELS,
                "impact": LEVELS,
                "correlation_id": 100,
                "correlation_display": 100,
                "caller_id": 100,
                "assignment_group": 100,
            },
        ),
        Route(
            "PATCH",
            f"{TABLE}/{ID}",
            change,
            {
                "work_notes": 4000,
                "urgency": LEVELS,
                "impact": LEVELS,
                "state": ("2", "6"),
                "close_code": ("Solution provided",),
                "close_notes": 4000,
            },
        ),
    ),
    closed=lambda row: row["state"] == "6",
    carries=lambda row: str(row["correlation_id"]),
    foreign={"sys_id": f"{7:032x}", "correlation_id": "", "state": "2"},
    mark_field="correlation_id",
    comments=False,
    taken={"state": "2"},
)
