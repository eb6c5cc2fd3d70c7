"""Zendesk, by its reference: the idempotency key answers a repeat with the first ticket."""

from typing import Any

from tests.collector.destinations.desk import MARK, NUMBER, Answer, Desk, Route, Spec, basic, picked

T = "/api/v2/tickets"
PRIORITIES = ("urgent", "high", "normal", "low")
COMMENT = {"body!": 65_000, "public": bool}


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in ("id", "external_id", "status")}


def create(desk: Desk, body: Any) -> Answer:
    repeat = desk.seen[-1].headers["idempotency-key"]
    for row in desk.rows.values():
        if row.get("repeat") == repeat:
            return 201, {"ticket": shown(row)}
    ticket = {key: value for key, value in body["ticket"].items() if key != "comment"}
    return 201, {"ticket": shown(desk.new(**ticket, status="new", repeat=repeat))}


def change(desk: Desk, body: Any, number: str) -> Answer:
    row = desk.row(number)
    ticket = dict(body["ticket"])
    if "comment" in ticket:
        desk.say(number, ticket.pop("comment")["body"])
    row.update(ticket)
    return 200, {"ticket": shown(row)}


def comments(desk: Desk, body: Any, number: str) -> Answer:
    return 200, {"comments": [{"body": text} for told, text in desk.said if told == number]}


SPEC = Spec(
    config={"user": "bot@example.com", "secret": "zd-t0ken"},
    secrets=("zd-t0ken",),
    login={"authorization": basic("bot@example.com/token", "zd-t0ken")},
    routes=(
        Route(
            "GET",
            f"{T}.json",
            lambda desk, body, q_mark: (
                200,
                {"tickets": [shown(row) for row in desk.find(q_mark, "external_id")]},
            ),
            query={"external_id": MARK},
        ),
        Route(
            "GET",
            f"{T}/{NUMBER}.json",
            lambda desk, body, number: (200, {"ticket": shown(desk.row(number))}),
        ),
        Route(
            "GET",
            f"{T}/show_many.json",
            lambda desk, body, q_ids: (
                200,
                {"tickets": [shown(row) for row in picked(desk, q_ids)]},
            ),
            query={"ids": r"(?P<ids>\d+(,\d+)*)"},
        ),
        Route("GET", f"{T}/{NUMBER}/comments.json", comments, query={"sort_order": "desc"}),
        Route(
            "POST",
            f"{T}.json",
            create,
            {
                "ticket!": {
                    "subject!": 150,
                    "comment!": COMMENT,
                    "priority": PRIORITIES,
                    "type": ("incident",),
                    "external_id": 255,
                }
            },
            headers={"idempotency-key": "[0-9A-Za-z-]{1,255}"},
        ),
        Route(
            "PUT",
            f"{T}/{NUMBER}.json",
            change,
            {
                "ticket!": {
                    "comment": COMMENT,
                    "priority": PRIORITIES,
                    "status": ("open", "solved"),
                }
            },
        ),
    ),
    closed=lambda row: row["status"] == "solved",
    carries=lambda row: str(row["external_id"]),
    foreign={"external_id": "other", "status": "open"},
    mark_field="external_id",
    taken={"status": "open"},
)
