"""PagerDuty Events v2, by its reference: a row is an incident that is not resolved."""

from typing import Any

from tests.collector.destinations.desk import Answer, Desk, NotTaken, Route, Spec

PAYLOAD = {
    "summary!": 1024,
    "source!": 500,
    "severity!": ("critical", "error", "warning", "info"),
    "component": 500,
    "group": 500,
    "class": 500,
    "custom_details": {"text": 10_000, "priority": 2, "key": 100},
}


def enqueue(desk: Desk, body: Any) -> Answer:
    if body["routing_key"] != "r0uting-key":
        raise NotTaken(400, "Invalid routing key")
    key = body["dedup_key"]
    if body["event_action"] == "resolve":
        desk.rows.pop(key, None)
    else:
        if "payload" not in body:
            raise NotTaken(400, "payload is missing")
        desk.rows[key] = {"id": key, **body}
    return 202, {"status": "success", "message": "Event processed", "dedup_key": key}


SPEC = Spec(
    config={"secret": "r0uting-key"},
    secrets=("r0uting-key",),
    login={},
    routes=(
        Route(
            "POST",
            "/v2/enqueue",
            enqueue,
            {
                "routing_key!": 32,
                "event_action!": ("trigger", "acknowledge", "resolve"),
                "dedup_key!": 255,
                "payload": PAYLOAD,
                "client": 100,
                "client_url": 500,
            },
        ),
    ),
    closed=lambda row: False,
    carries=lambda row: str(row["dedup_key"]),
    foreign={"dedup_key": "other"},
    mark_field="",
    comments=False,
)
