"""Alertmanager 0.25, as the real one answered in the lab: a row is an alert that has not ended."""

from datetime import UTC, datetime
from typing import Any

from tests.collector.destinations.contract import AT
from tests.collector.destinations.desk import Answer, Desk, NotTaken, Route, Spec, basic

from forewarn_collector.clock import rfc3339

MOMENT = 40
LABELS = {
    "alertname!": ("ForewarnTicket",),
    "forewarn_key!": 100,
    **dict.fromkeys(("client", "site", "host", "component"), 500),
}
NOTES = dict.fromkeys(("summary", "description", "severity", "priority", "rules"), 10_000)


def put(desk: Desk, body: Any) -> Answer:
    for alert in body:
        if alert["startsAt"] > alert["endsAt"]:
            raise NotTaken(400, "start time must be before end time")
        key = alert["labels"]["forewarn_key"]
        if alert["endsAt"] <= rfc3339(datetime.fromtimestamp(AT, UTC)):
            desk.rows.pop(key, None)
        else:
            desk.rows[key] = {"id": key, **alert}
    return 200, None


def search(desk: Desk, body: Any, q_key: str) -> Answer:
    found = [row for row in desk.rows.values() if row["labels"]["forewarn_key"] == q_key]
    return 200, [
        {"fingerprint": "4670f714cfc602d1", "status": {"state": "active"}, **row} for row in found
    ]


SPEC = Spec(
    config={"user": "forewarn", "secret": "behind-a-proxy"},
    secrets=("behind-a-proxy",),
    login={"authorization": basic("forewarn", "behind-a-proxy")},
    routes=(
        Route("GET", "/api/v2/alerts", search, query={"filter": 'forewarn_key="(?P<key>[^"]+)"'}),
        Route(
            "POST",
            "/api/v2/alerts",
            put,
            [
                {
                    "labels!": LABELS,
                    "annotations": NOTES,
                    "startsAt!": MOMENT,
                    "endsAt!": MOMENT,
                    "generatorURL": 500,
                }
            ],
        ),
    ),
    closed=lambda row: False,
    carries=lambda row: str(row["labels"]["forewarn_key"]),
    foreign={"labels": {"forewarn_key": "other#1"}},
    mark_field="",
    comments=False,
)
