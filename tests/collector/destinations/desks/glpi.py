"""GLPI's apirest.php, by its documentation: a session first, a solution closes."""

from typing import Any

from tests.collector.destinations.desk import MARK, NUMBER, Answer, Desk, Route, Spec

T = "/apirest.php/Ticket"
ONE_TO_FIVE = (1, 2, 3, 4, 5)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "name": row["name"], "status": row["status"]}


def create(desk: Desk, body: Any) -> Answer:
    row = desk.new(name=body["input"]["name"], status=1)
    return 201, {"id": row["id"], "message": ""}


def change(desk: Desk, body: Any, number: str) -> Answer:
    desk.row(number).update(body["input"])
    return 200, [{number: True, "message": ""}]


def followup(desk: Desk, body: Any) -> Answer:
    desk.say(str(body["input"]["items_id"]), body["input"]["content"])
    return 201, {"id": 1}


def solution(desk: Desk, body: Any) -> Answer:
    desk.row(str(body["input"]["items_id"]))["status"] = 5
    return 201, {"id": 1}


def followups(desk: Desk, body: Any, number: str) -> Answer:
    return 200, [{"content": text} for told, text in desk.said if told == number]


SOLUTION = {"itemtype!": ("Ticket",), "items_id!": int, "content!": 60_000}
SPEC = Spec(
    config={"secret": "user-t0ken", "app_token": "app-t0ken"},
    secrets=("user-t0ken", "app-t0ken"),
    login={"session-token": "83af7e620c83a50a18d3eac2f6ed05a3ca0bea62", "app-token": "app-t0ken"},
    routes=(
        Route(
            "GET",
            "/apirest.php/initSession",
            lambda desk, body: (200, {"session_token": "83af7e620c83a50a18d3eac2f6ed05a3ca0bea62"}),
            headers={"authorization": "user_token user-t0ken", "app-token": "app-t0ken"},
            login=True,
        ),
        Route("GET", "/apirest.php/killSession", lambda desk, body: (200, None)),
        Route(
            "GET",
            T,
            lambda desk, body, q_mark: (206, [shown(r) for r in desk.find(q_mark, "name")]),
            query={
                "searchText[name]": MARK,
                "range": r"\d+-\d+",
                "sort": "id",
                "order": "ASC",
            },
        ),
        Route("GET", f"{T}/{NUMBER}", lambda desk, body, number: (200, shown(desk.row(number)))),
        Route("GET", f"{T}/{NUMBER}/ITILFollowup", followups),
        Route(
            "POST",
            T,
            create,
            {
                "input!": {
                    "name!": 250,
                    "content!": 60_000,
                    "type": (1, 2),
                    "urgency": ONE_TO_FIVE,
                    "impact": ONE_TO_FIVE,
                    "entities_id": int,
                }
            },
        ),
        Route(
            "PUT",
            f"{T}/{NUMBER}",
            change,
            {"input!": {"urgency": ONE_TO_FIVE, "impact": ONE_TO_FIVE, "status": (2,)}},
        ),
        Route(
            "POST",
            "/apirest.php/ITILFollowup",
            followup,
            {"input!": {**SOLUTION, "is_private": (0, 1)}},
        ),
        Route("POST", "/apirest.php/ITILSolution", solution, {"input!": SOLUTION}),
    ),
    closed=lambda row: row["status"] == 5,
    carries=lambda row: str(row["name"]),
    foreign={"name": "The printer is on fire", "status": 2},
    mark_field="name",
    taken={"status": 4},
)
