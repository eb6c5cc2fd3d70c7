"""Autotask PSA, by its reference."""

import re
from typing import Any

from tests.collector.destinations.desk import MARK, NUMBER, Answer, Desk, NotTaken, Route, Spec

T = "/v1.0/Tickets"
PRIORITIES = (1, 2, 3, 4)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "externalID", "status")}


def create(desk: Desk, body: Any) -> Answer:
    return 200, {"itemId": desk.new(**body)["id"]}


def search(desk: Desk, body: Any) -> Answer:
    desk.written -= 1
    (term,) = body["filter"]
    if not re.fullmatch(MARK, term["value"]):
        raise NotTaken(500, "bad filter")
    return 200, {"items": [shown(row) for row in desk.find(term["value"], "externalID")]}


def change(desk: Desk, body: Any) -> Answer:
    row = desk.row(str(body["id"]))
    row.update(body)
    return 200, {"itemId": row["id"]}


def note(desk: Desk, body: Any, number: str) -> Answer:
    desk.say(number, body["description"])
    return 200, {"itemId": 1}


SPEC = Spec(
    config={
        "states": {"8": "acknowledged"},
        "user": "api@example.com",
        "secret": "a-secret",
        "integration_code": "I-CODE",
        "company": 175,
        "maps": {"autotask_priority": {"P1": 4, "P2": 1, "P3": 2, "P4": 3, "P5": 3}},
    },
    secrets=("a-secret", "I-CODE"),
    login={"apiintegrationcode": "I-CODE", "username": "api@example.com", "secret": "a-secret"},
    routes=(
        Route(
            "POST",
            f"{T}/query",
            search,
            {
                "MaxRecords": int,
                "IncludeFields": [50],
                "filter!": [{"op!": ("eq",), "field!": ("externalID",), "value!": 50}],
            },
        ),
        Route(
            "GET",
            f"{T}/{NUMBER}",
            lambda desk, body, number: (200, {"item": shown(desk.row(number))}),
        ),
        Route(
            "POST",
            T,
            create,
            {
                "companyID!": (175,),
                "title!": 255,
                "description": 8000,
                "status!": (1,),
                "priority!": PRIORITIES,
                "queueID": int,
                "externalID": 50,
            },
        ),
        Route(
            "PATCH",
            T,
            change,
            {"id!": int, "priority": PRIORITIES, "status": (1, 5), "resolution": 32_000},
        ),
        Route(
            "POST",
            f"{T}/{NUMBER}/Notes",
            note,
            {"title!": 250, "description!": 3200, "noteType!": (1,), "publish!": (1,)},
        ),
    ),
    closed=lambda row: row["status"] == 5,
    carries=lambda row: str(row["externalID"]),
    foreign={"externalID": "other", "status": 1},
    mark_field="externalID",
    taken={"status": 8},
    comments=False,
)
