"""Alive, ready and counted: by looking, not by hoping."""

from datetime import timedelta
from typing import Any

from sqlalchemy import insert, text, update

from forewarn_collector.api import probes
from forewarn_collector.api.principal import Role
from forewarn_collector.state.tables import destination_health, outbox, tickets


def ready(world: Any) -> Any:
    world.wait(seconds=6)
    return world.browser().get("/readyz")


def overdue(world: Any, **since: float) -> None:
    with world.database.write() as connection:
        ticket = connection.execute(text("select id, client_id from tickets")).first()
        connection.execute(
            insert(outbox).values(
                id="m1",
                destination="chat",
                ticket_id=ticket.id,
                client_id=ticket.client_id,
                kind="ticket.opened",
                body="{}",
                created_at=world.at,
                next_at=world.at - timedelta(**since),
            )
        )


def test_a_whole_collector_is_ready(world: Any) -> None:
    answer = ready(world)
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "writer": "ok", "disk": "ok", "outbox": "ok"}


def test_a_state_that_cannot_be_written_is_not_ready(world: Any) -> None:
    with world.database.write() as connection:
        connection.execute(text("drop table about"))
    answer = ready(world)
    assert answer.status_code == 503
    assert answer.json()["writer"] == "cannot write"


def test_a_folder_that_is_gone_is_not_ready(world: Any) -> None:
    world.directory = world.directory / "gone"
    assert ready(world).json()["disk"] == "cannot read"


def test_an_outbox_nobody_empties_is_not_ready(world: Any) -> None:
    overdue(world, minutes=9)
    assert ready(world).status_code == 200
    world.wait(minutes=2)
    assert ready(world).json()["outbox"] == "not being emptied"


def test_a_destination_at_rest_does_not_make_the_collector_unready(world: Any) -> None:
    overdue(world, hours=1)
    with world.database.write() as connection:
        rest = {"name": "chat", "failures": 9, "open_until": world.at + timedelta(hours=1)}
        connection.execute(insert(destination_health).values(rest))
    assert ready(world).status_code == 200
    with world.database.write() as connection:
        connection.execute(update(destination_health).values(open_until=None))
    assert ready(world).status_code == 503


def test_looking_costs_one_write_in_five_seconds_however_many_ask(world: Any) -> None:
    prober = probes.Prober()
    first = prober.readiness(world)
    world.wait(seconds=4)
    assert prober.readiness(world) is first
    world.wait(seconds=2)
    assert prober.readiness(world) is not first


def test_metrics_count_hosts_tickets_and_deliveries(world: Any) -> None:
    overdue(world, minutes=3)
    with world.database.write() as connection:
        connection.execute(update(tickets).where(tickets.c.number == 2).values(state="closed"))
    world.person("prometheus", Role.VIEWER)
    text = world.program(world.key("prometheus")).get("/metrics").text
    for line in (
        'forewarn_hosts{health="high"} 2.0',
        'forewarn_hosts{health="silent"} 0.0',
        'forewarn_tickets{state="new"} 1.0',
        'forewarn_outbox_rows{state="queued"} 1.0',
        'forewarn_outbox_overdue_seconds{state="queued"} 180.0',
        "forewarn_operator_requests_total",
    ):
        assert line in text


def test_the_authority_is_shown_where_there_is_one(world: Any) -> None:
    assert world.browser().get("/ca.pem").status_code == 404
    (world.directory / "ca.pem").write_text("PEM")
    assert world.browser().get("/ca.pem").text == "PEM"
