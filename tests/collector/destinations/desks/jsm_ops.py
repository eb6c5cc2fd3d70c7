"""Alerts of Jira Service Management, by their reference: a row is an alert that is not closed."""

from typing import Any

from tests.collector.destinations.desk import Answer, Desk, Route, Spec

A = "/jsm/ops/integration/v2/alerts"
ALIAS = {"identifierType": "alias"}


def create(desk: Desk, body: Any) -> Answer:
    desk.rows[body["alias"]] = {"id": body["alias"], **body}
    return 202, {"result": "Request will be processed", "requestId": "1"}


def note(desk: Desk, body: Any, alias: str) -> Answer:
    desk.said.append((alias, body["note"]))
    return 202, {"result": "Request will be processed"}


def close(desk: Desk, body: Any, alias: str) -> Answer:
    desk.rows.pop(alias, None)  # what it means is found out later; the answer is the same
    return 202, {"result": "Request will be processed"}


NOTE = {"note!": 25_000, "source": 100, "user": 100}
SPEC = Spec(
    config={"secret": "genie-key"},
    secrets=("genie-key",),
    login={"authorization": "GenieKey genie-key"},
    routes=(
        Route(
            "POST",
            A,
            create,
            {
                "message!": 130,
                "alias": 512,
                "description": 15_000,
                "priority": ("P1", "P2", "P3", "P4", "P5"),
                "entity": 512,
                "source": 100,
                "tags": [50],
                "details": {"key": 100, "url": 500, "component": 500, "site": 500},
            },
        ),
        Route("POST", f"{A}/(?P<alias>[^/]+)/notes", note, NOTE, query=ALIAS),
        Route("POST", f"{A}/(?P<alias>[^/]+)/close", close, NOTE, query=ALIAS),
    ),
    closed=lambda row: False,
    carries=lambda row: str(row["alias"]),
    foreign={"alias": "other"},
    mark_field="",
    comments=False,
)
