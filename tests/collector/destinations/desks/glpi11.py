"""GLPI 11's high-level API, by its contract and its habits: items of a timeline are wrapped."""

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

T = "/api.php/v2/Assistance/Ticket"
ONE_TO_FIVE = (1, 2, 3, 4, 5)
TOKEN_FORM = {
    "grant_type!": ("password",),
    "client_id!": ("c-id",),
    "client_secret!": 100,
    "username!": ("forewarn",),
    "password!": 100,
    "scope!": ("api",),
}


def shown(row: dict[str, Any]) -> dict[str, Any]:
    status = {"id": row["status"], "name": "x"}
    told = {"id": row["id"], "external_id": row["external_id"], "status": status}
    return {**told, "team": row.get("team", [])}


def token(desk: Desk, body: Any) -> Answer:
    desk.written -= 1  # a login changes no ticket
    if (body["password"], body["client_secret"]) != ("g-passw0rd", "g-cl1ent"):
        raise NotTaken(401, "invalid_grant")
    return 200, {"token_type": "Bearer", "expires_in": 3600, "access_token": "jwt"}


def create(desk: Desk, body: Any) -> Answer:
    row = desk.new(external_id=body["external_id"], name=body["name"], status=1)
    return 201, {"id": row["id"], "href": f"{T}/{row['id']}"}


def search(desk: Desk, body: Any, **asked: str) -> Answer:
    if asked.get("q_mark"):
        return 200, [shown(row) for row in desk.find(asked["q_mark"], "external_id")]
    return 200, [shown(row) for row in picked(desk, asked["q_ids"])]


def change(desk: Desk, body: Any, number: str) -> Answer:
    row = desk.row(number)
    row["status"] = body.get("status", {"id": row["status"]})["id"]
    return 200, shown(row)


def followup(desk: Desk, body: Any, number: str) -> Answer:
    desk.say(number, body["content"])
    return 201, {"id": 1}


def followups(desk: Desk, body: Any, number: str) -> Answer:
    texts = [text for about, text in desk.said if about == number]
    return 200, [{"type": "ITILFollowup", "item": {"content": text}} for text in texts]


def solution(desk: Desk, body: Any, number: str) -> Answer:
    desk.row(number)["status"] = 5
    return 201, {"id": 1}


SPEC = Spec(
    config={
        "user": "forewarn",
        "secret": "g-passw0rd",
        "client_id": "c-id",
        "client_secret": "g-cl1ent",
    },
    secrets=("g-passw0rd", "g-cl1ent"),
    login={"authorization": "Bearer jwt", "glpi-entity": "0"},
    routes=(
        Route("POST", "/api.php/token", token, TOKEN_FORM, login=True),
        Route(
            "GET",
            T,
            search,
            query={
                "filter": rf'external_id=="{MARK}"|id=in=\((?P<ids>\d+(,\d+)*)\)',
                "limit": r"\d+",
            },
        ),
        Route("GET", f"{T}/{NUMBER}", lambda desk, body, number: (200, shown(desk.row(number)))),
        Route("GET", f"{T}/{NUMBER}/Timeline/Followup", followups),
        Route(
            "POST",
            T,
            create,
            {
                "name!": 250,
                "content!": 120_000,
                "type": (1, 2),
                "urgency": ONE_TO_FIVE,
                "impact": ONE_TO_FIVE,
                "external_id": 250,
            },
        ),
        Route(
            "PATCH",
            f"{T}/{NUMBER}",
            change,
            {"urgency": ONE_TO_FIVE, "impact": ONE_TO_FIVE, "status": {"id!": (2,)}},
        ),
        Route(
            "POST",
            f"{T}/{NUMBER}/Timeline/Followup",
            followup,
            {"content!": 120_000, "is_private": bool},
        ),
        Route("POST", f"{T}/{NUMBER}/Timeline/Solution", solution, {"content!": 120_000}),
    ),
    closed=lambda row: row["status"] in (5, 6),
    carries=lambda row: str(row["external_id"]),
    foreign={"external_id": "other", "name": "The printer is on fire", "status": 2},
    mark_field="external_id",
    taken={"status": 4, "team": [{"role": "assigned", "name": "alice", "type": "User"}]},
    taken_by="alice",
)
