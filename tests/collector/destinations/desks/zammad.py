"""Zammad, by its API documentation."""

from typing import Any

from tests.collector.destinations.desk import MARK, NUMBER, Answer, Desk, Route, Spec

T = "/api/v1/tickets"
STATES = ("open", "closed")
PRIORITIES = ("1 low", "2 normal", "3 high")
ARTICLE = {
    "subject": 250,
    "body!": 21_000,
    "content_type": ("text/plain",),
    "type": ("note",),
    "internal": bool,
}


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "title": row["title"],
        "state": row["state"],
        "owner": row.get("owner", "-"),
    }


def create(desk: Desk, body: Any) -> Answer:
    return 201, shown(desk.new(title=body["title"], state="new", priority=body["priority"]))


def change(desk: Desk, body: Any, number: str) -> Answer:
    row = desk.row(number)
    if "article" in body:
        desk.say(number, body["article"]["body"])
    row.update({key: value for key, value in body.items() if key != "article"})
    return 200, shown(row)


def article(desk: Desk, body: Any) -> Answer:
    desk.say(str(body["ticket_id"]), body["body"])
    return 201, {"id": 1}


def articles(desk: Desk, body: Any, number: str) -> Answer:
    return 200, [{"body": text} for told, text in desk.said if told == number]


SPEC = Spec(
    config={"secret": "z-t0ken", "customer": "monitoring@example.com"},
    secrets=("z-t0ken",),
    login={"authorization": "Token token=z-t0ken"},
    routes=(
        Route(
            "GET",
            f"{T}/search",
            lambda desk, body, q_mark: (200, [shown(r) for r in desk.find(q_mark, "title")]),
            query={"query": f'title:"{MARK}"', "expand": "true", "limit": r"\d+"},
        ),
        Route(
            "GET",
            f"{T}/{NUMBER}",
            lambda desk, body, number: (200, shown(desk.row(number))),
            query={"expand": "true"},
        ),
        Route("GET", f"/api/v1/ticket_articles/by_ticket/{NUMBER}", articles),
        Route(
            "POST",
            T,
            create,
            {
                "title!": 250,
                "group!": ("Users",),
                "customer_id!": ("guess:monitoring@example.com",),
                "priority": PRIORITIES,
                "article!": ARTICLE,
            },
        ),
        Route(
            "PUT",
            f"{T}/{NUMBER}",
            change,
            {"priority": PRIORITIES, "state": STATES, "article": ARTICLE},
        ),
        Route("POST", "/api/v1/ticket_articles", article, {"ticket_id!": int, **ARTICLE}),
    ),
    closed=lambda row: row["state"] == "closed",
    carries=lambda row: str(row["title"]),
    foreign={"title": "The printer is on fire", "state": "open", "priority": "2 normal"},
    mark_field="title",
    taken={"state": "pending reminder", "owner": "alice@example.com"},
    taken_by="alice@example.com",
)
