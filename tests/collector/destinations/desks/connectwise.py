"""ConnectWise PSA, by its reference."""

from typing import Any

from tests.collector.destinations.desk import MARK, NUMBER, Answer, Desk, Route, Spec, basic, picked

T = "/v4_6_release/apis/3.0/service/tickets"
FIELDS = {"fields": "id,externalXRef,closedFlag(,status,owner)?"}
PRIORITIES = (6, 7, 8, 9, 10)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    closed = row["status"] == "Closed"
    told = {"id": row["id"], "externalXRef": row["externalXRef"], "closedFlag": closed}
    return {**told, "status": {"name": row["status"]}, "owner": row.get("owner")}


def several(desk: Desk, body: Any, **asked: str) -> Answer:
    """Search by mark, or by some numbers."""
    if asked.get("q_mark"):
        return 200, [shown(row) for row in desk.find(asked["q_mark"], "externalXRef")]
    return 200, [shown(row) for row in picked(desk, asked["q_ids"])]


def create(desk: Desk, body: Any) -> Answer:
    return 201, shown(desk.new(**body, status="New"))


def change(desk: Desk, body: Any, number: str) -> Answer:
    row = desk.row(number)
    for one in body:
        row[one["path"]] = one["value"].get("name", one["value"].get("id"))
    return 200, shown(row)


def note(desk: Desk, body: Any, number: str) -> Answer:
    desk.say(number, body["text"])
    return 201, {"id": 1}


def notes(desk: Desk, body: Any, number: str) -> Answer:
    return 200, [{"text": text} for told, text in desk.said if told == number]


SPEC = Spec(
    config={
        "login_company": "msp",
        "public_key": "pub",
        "secret": "priv-key",
        "client_id": "c-id",
        "company": 250,
        "states": {"In Progress": "acknowledged"},
        "maps": {"priority_id": {"P1": 6, "P2": 7, "P3": 8, "P4": 9, "P5": 10}},
    },
    secrets=("priv-key",),
    login={"authorization": basic("msp+pub", "priv-key"), "clientid": "c-id"},
    routes=(
        Route(
            "GET",
            T,
            several,
            query={
                "conditions": rf'externalXRef="{MARK}"|id in \((?P<ids>\d+(,\d+)*)\)',
                "orderBy?": "id asc",
                "pageSize": r"\d+",
                **FIELDS,
            },
        ),
        Route(
            "GET",
            f"{T}/{NUMBER}",
            lambda desk, body, number: (200, shown(desk.row(number))),
            query=FIELDS,
        ),
        Route(
            "GET", f"{T}/{NUMBER}/notes", notes, query={"orderBy": "id desc", "pageSize": r"\d+"}
        ),
        Route(
            "POST",
            T,
            create,
            {
                "summary!": 100,
                "initialDescription": 30_000,
                "company!": {"id!": (250,)},
                "board": {"name!": ("Service",)},
                "priority": {"id!": PRIORITIES},
                "externalXRef": 100,
            },
        ),
        Route(
            "PATCH",
            f"{T}/{NUMBER}",
            change,
            [
                {
                    "op!": ("replace",),
                    "path!": ("status", "priority"),
                    "value!": {"name": ("New", "Closed"), "id": PRIORITIES},
                }
            ],
        ),
        Route("POST", f"{T}/{NUMBER}/notes", note, {"text!": 30_000, "internalAnalysisFlag": bool}),
    ),
    closed=lambda row: row["status"] == "Closed",
    carries=lambda row: str(row["externalXRef"]),
    foreign={"externalXRef": "other", "status": "New"},
    mark_field="externalXRef",
    taken={"owner": {"name": "Alice Liddell"}, "status": "In Progress"},
    taken_by="Alice Liddell",
)
