"""Freshservice, by its reference."""

from typing import Any

from tests.collector.destinations.desk import MARK, NUMBER, Answer, Desk, Route, Spec, basic

T = "/api/v2/tickets"
PRIORITIES = (1, 2, 3, 4)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "tags", "status")}


def create(desk: Desk, body: Any) -> Answer:
    return 201, {"ticket": shown(desk.new(**body))}


def change(desk: Desk, body: Any, number: str) -> Answer:
    desk.row(number).update(body)
    return 200, {"ticket": shown(desk.row(number))}


def note(desk: Desk, body: Any, number: str) -> Answer:
    desk.say(number, body["body"])
    return 201, {"conversation": {"id": 1}}


def conversations(desk: Desk, body: Any, number: str) -> Answer:
    told = [{"body_text": text} for about, text in desk.said if about == number]
    return 200, {"conversations": told}


SPEC = Spec(
    config={"secret": "f-key", "email": "monitoring@example.com"},
    secrets=("f-key",),
    login={"authorization": basic("f-key", "X")},
    routes=(
        Route(
            "GET",
            f"{T}/filter",
            lambda desk, body, q_mark: (
                200,
                {"tickets": [shown(row) for row in desk.find(q_mark, "tags")]},
            ),
            query={"query": f"\"tag:'{MARK}'\""},
        ),
        Route(
            "GET",
            f"{T}/{NUMBER}",
            lambda desk, body, number: (200, {"ticket": shown(desk.row(number))}),
            query={"include": "tags"},
        ),
        Route("GET", f"{T}/{NUMBER}/conversations", conversations),
        Route(
            "POST",
            T,
            create,
            {
                "subject!": 250,
                "description!": 60_000,
                "email!": 100,
                "status!": (2,),
                "priority!": PRIORITIES,
                "source": (14,),
                "tags": [50],
            },
        ),
        Route("PUT", f"{T}/{NUMBER}", change, {"priority": PRIORITIES, "status": (2, 4)}),
        Route("POST", f"{T}/{NUMBER}/notes", note, {"body!": 60_000, "private": bool}),
    ),
    closed=lambda row: row["status"] == 4,
    carries=lambda row: " ".join(row["tags"]),
    foreign={"tags": ["printer"], "status": 2},
    mark_field="tags",
    taken={"status": 3},
)
