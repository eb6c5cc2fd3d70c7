"""HaloPSA, by its reference: a token first, everything in lists, a search that takes liberties."""

from typing import Any

from tests.collector.destinations.desk import MARK, NUMBER, Answer, Desk, NotTaken, Route, Spec

PRIORITIES = (1, 2, 3, 4)
TICKET = {
    "id": int,
    "summary": 250,
    "details": 30_000,
    "tickettype_id": (1,),
    "client_id": (1,),
    "priority_id": PRIORITIES,
    "status_id": (1, 9),
}


def token(desk: Desk, body: Any) -> Answer:
    desk.written -= 1  # a token is no change
    if body["client_id"] != "app" or body["client_secret"] != "h-secret":
        raise NotTaken(401, "invalid_client")
    return 200, {"access_token": "bearer-t0ken", "token_type": "Bearer", "expires_in": 3600}


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "summary", "status_id")}


def write(desk: Desk, body: Any) -> Answer:
    (ticket,) = body
    if "id" in ticket:
        row = desk.row(str(ticket["id"]))
        row.update(ticket)
    else:
        if "summary" not in ticket or "details" not in ticket:
            raise NotTaken(400, "summary is missing")
        row = desk.new(**ticket, status_id=1)
    return 201, shown(row)


def act(desk: Desk, body: Any) -> Answer:
    (action,) = body
    desk.say(str(action["ticket_id"]), action["note"])
    return 201, {"id": 1}


def actions(desk: Desk, body: Any, q_number: str) -> Answer:
    return 200, {"actions": [{"note": text} for told, text in desk.said if told == q_number]}


SPEC = Spec(
    config={"states": {"8": "acknowledged"}, "secret": "h-secret", "application": "app"},
    secrets=("h-secret", "bearer-t0ken"),
    login={"authorization": "Bearer bearer-t0ken"},
    routes=(
        Route(
            "POST",
            "/auth/token",
            token,
            {
                "grant_type!": ("client_credentials",),
                "client_id!": 50,
                "client_secret!": 50,
                "scope!": ("all",),
            },
            login=True,
        ),
        Route(
            "GET",
            "/api/Tickets",
            lambda desk, body, q_mark: (200, {"tickets": [shown(r) for r in desk.rows.values()]}),
            query={"search": MARK, "includeclosed": "true", "count": r"\d+"},
        ),
        Route(
            "GET",
            f"/api/Tickets/{NUMBER}",
            lambda desk, body, number: (200, shown(desk.row(number))),
        ),
        Route("GET", "/api/Actions", actions, query={"ticket_id": NUMBER, "count": r"\d+"}),
        Route("POST", "/api/Tickets", write, [TICKET]),
        Route(
            "POST",
            "/api/Actions",
            act,
            [{"ticket_id!": int, "note!": 30_000, "outcome!": ("Note",), "hiddenfromuser": bool}],
        ),
    ),
    closed=lambda row: row["status_id"] == 9,
    carries=lambda row: str(row["summary"]),
    foreign={"summary": "The printer is on fire", "status_id": 1},
    mark_field="summary",
    taken={"status_id": 8},
)
