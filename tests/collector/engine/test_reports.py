"""What a service report says at a close, and how later additions make new versions of it."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from nacl.signing import SigningKey
from sqlalchemy import delete, insert, select, update
from tests.collector.engine.line import Line

from forewarn_collector.clock import uuid7
from forewarn_collector.money import read_money
from forewarn_collector.state import assets, orders, reports, work
from forewarn_collector.state.hosts import touch
from forewarn_collector.state.order_results import record_result
from forewarn_collector.state.orders import Pace
from forewarn_collector.state.report_parts import HOW_BOUGHT, names_ticket
from forewarn_collector.state.tables import (
    forecasts,
    hosts,
    service_reports,
    sites,
    tickets,
)
from forewarn_collector.state.tickets import Conflict
from forewarn_scripts.envelope import ORDER, RESULT, Envelope
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import Ended, Order, Result, script_hash, write_moment

SCRIPT = b"rm -rf /var/cache/apt/archives\n"


@pytest.fixture
def firing(line: Line) -> Iterator[Line]:
    """A line whose room is full: ticket 1 is open."""
    line.hold(0.93, 20)
    yield line


def do(line: Line, change: Callable[..., None], **said: Any) -> None:
    with line.database.write() as connection:
        common = {"actor": "ann", "now": line.at, "clients": None, "telling": line.telling}
        change(connection, 1, **common, **said)


def says(line: Line, version: int = 0) -> Any:
    with line.database.read() as connection:
        ticket_id = connection.execute(select(tickets.c.id)).scalar_one()
        return json.loads(reports.versions(connection, ticket_id)[version - 1].document)


def forecast(line: Line, **hours: float) -> None:
    """Keep a forecast of the room made now; moments are hours from now."""
    with line.database.write() as connection:
        row = connection.execute(select(tickets)).mappings().one()
        moments = {name: line.at + timedelta(hours=value) for name, value in hours.items()}
        connection.execute(
            insert(forecasts).values(
                id=uuid7(line.at),
                client_id=row["client_id"],
                host_id=row["host_id"],
                component=row["component"],
                rule="RoomWillFill",
                made_at=line.at,
                tier="slow",
                value=0.93,
                **moments,
            )
        )


# -- the forecast against what happened ----------------------------------------------------------


def test_days_bought_are_those_from_the_clearing_to_the_last_forecast(firing: Line) -> None:
    forecast(firing, due_at=30, earliest=20, latest=40)
    firing.wait(hours=1)
    forecast(firing, due_at=72, earliest=48, latest=96)
    firing.hold(0.5, 20)
    told = says(firing)["forecast"]
    assert (told["count"], told["happened"], told["reached_at"]) == (2, "prevented", None)
    bought = told["days_bought"]
    assert 2.9 <= bought["days"] <= 3.0
    assert (bought["least"] < bought["days"] < bought["most"], bought["how"]) == (True, HOW_BOUGHT)


def test_nothing_was_bought_when_the_level_was_reached_or_nothing_was_forecast(
    firing: Line,
) -> None:
    forecast(firing, due_at=30, earliest=20, latest=40)
    with firing.database.write() as connection:
        connection.execute(update(forecasts).values(reached_at=firing.at, outcome="early"))
    firing.hold(0.5, 20)
    told = says(firing)["forecast"]
    assert (told["happened"], told["days_bought"]) == ("reached", None)
    with firing.database.write() as connection:
        connection.execute(delete(forecasts))
    do(firing, work.note, text="looked again")
    assert says(firing)["forecast"] is None


def test_a_date_that_was_over_already_buys_nothing(firing: Line) -> None:
    forecast(firing, due_at=0.1, earliest=0.05, latest=40)
    firing.wait(minutes=30)
    firing.hold(0.5, 20)
    assert says(firing)["forecast"]["days_bought"] is None


# -- what was done -------------------------------------------------------------------------------


def order(line: Line, reason: str, exit_code: int | None) -> None:
    """Order a script on the host of ticket 1, and let the host tell how it ended."""
    line.wait(minutes=1)
    key = SigningKey(bytes(32))
    with line.database.write() as connection:
        public = bytes(key.verify_key)
        row = connection.execute(select(hosts).where(hosts.c.number == 1)).mappings().first()
        assert row is not None
        connection.execute(update(hosts).where(hosts.c.id == row["id"]).values(public_key=public))
        touch(connection)
    line.hosts.refresh()
    host = next(one for one in line.hosts.all() if one.public_key == public)
    document = Order(
        id=uuid7(line.at),
        client=host.client,
        collector=uuid7(line.at),
        script_sha256=script_hash(SCRIPT),
        interpreter="/bin/sh",
        targets=(key_id(public),),
        max_hosts=1,
        not_before=write_moment(line.at),
        not_after=write_moment(line.at + timedelta(hours=1)),
        reason=reason,
        run_as="root",
        timeout_seconds=60,
        keyring_version=1,
    )
    with line.database.write() as connection:
        orders.keep_script(connection, host.client_id, "apt-clean", SCRIPT, "zoe", line.at)
        signed = Envelope(ORDER, document.to_bytes()).signed_by(key).to_bytes()
        orders.propose(connection, signed, Pace(), [host], "zoe", line.at)
        if exit_code is None:
            return
        result = Result(
            order=document.id,
            host=key_id(public),
            ended=Ended.DONE,
            ended_at=write_moment(line.at),
            exit_code=exit_code,
        )
        told = Envelope(RESULT, result.to_bytes()).signed_by(key).to_bytes()
        record_result(connection, host, told, line.at)


def test_scripts_ordered_for_the_ticket_are_told_with_their_exit_code(firing: Line) -> None:
    order(firing, "make room, ticket 1", 3)
    order(firing, "T-1 again", None)
    order(firing, "T-11, another ticket's", 0)
    firing.hold(0.5, 20)
    told = [(one["script"], one["ended"], one["exit_code"]) for one in says(firing)["scripts"]]
    assert told == [("apt-clean", "done", 3), ("apt-clean", "no result yet", None)]


@pytest.mark.parametrize(
    ("reason", "number", "named"),
    [
        ("#12", 12, True),
        ("make room (T-12)", 12, True),
        ("Ticket 12: logs", 12, True),
        ("ticket #12", 12, True),
        ("T-123", 12, False),
        ("CHT-12", 12, False),
        ("12 hosts", 12, False),
        ("PORT-12", 12, False),
    ],
)
def test_a_reason_names_a_ticket_by_its_number(reason: str, number: int, named: bool) -> None:
    assert names_ticket(reason, number) is named


def test_labour_parts_and_cause_are_summed_and_may_come_after_the_close(firing: Line) -> None:
    do(firing, work.spend, minutes=45, text="on site")
    do(firing, work.use_part, name="SSD 1 TB", quantity=2, unit_cost=read_money("89.90 EUR"))
    firing.hold(0.5, 20)
    do(firing, work.resolve, text="done")
    first = says(firing, 1)
    assert (first["labour_minutes"], first["parts_cost"]) == (45, ["179.80 EUR"])
    assert (first["version"], first["supersedes"], first["root_cause"]) == (1, None, None)
    firing.wait(hours=20)
    do(firing, work.spend, minutes=-15, text="typed wrong")
    do(firing, work.explain, text="logs were never rotated")
    last = says(firing)
    assert (last["version"], last["labour_minutes"]) == (3, 30)
    assert last["root_cause"] == "logs were never rotated"
    assert says(firing, 1) == first
    with firing.database.read() as connection:
        assert list(reports.faults(connection)) == []
        in_order = select(service_reports.c.sha256).order_by(service_reports.c.id)
        hashes = connection.execute(in_order).scalars().all()
    assert last["supersedes"] == hashes[-2]
    assert firing.told()[-1][1]["report"]["sha256"] == hashes[-1]


def test_the_dearest_parts_there_can_be_do_not_keep_a_ticket_from_closing(firing: Line) -> None:
    """Sums are larger than what people may write."""
    dear = read_money("999999999.999 EUR")
    do(firing, work.use_part, name="rack", quantity=10_000, unit_cost=dear)
    do(firing, work.cancel, text="not ours")
    assert says(firing)["parts_cost"] == ["9999999999990.00 EUR"]


def test_no_more_labour_is_taken_back_than_there_was(firing: Line) -> None:
    with pytest.raises(Conflict, match="0 minutes of labour"):
        do(firing, work.spend, minutes=-1)


# -- the machine ---------------------------------------------------------------------------------


def test_the_machine_is_told_with_age_and_warranty_of_that_day_at_its_site(firing: Line) -> None:
    with firing.database.write() as connection:
        connection.execute(update(sites).values(zone="Pacific/Auckland"))
        host_id = connection.execute(select(tickets.c.host_id)).scalar_one()
        day = (firing.at + timedelta(hours=13)).date()
        fields = {
            "purchased_at": (day - timedelta(days=800)).isoformat(),
            "warranty_until": day.isoformat(),
            "serial": "SN-1",
        }
        assets.change(connection, host_id, fields, by="ann", now=firing.at)
    firing.hold(0.5, 20)
    told = says(firing)
    assert told["zone"] == "Pacific/Auckland"
    asset = told["asset"]
    assert (asset["serial"], asset["age"]["days"], asset["age"]["known_by"]) == (
        "SN-1",
        800,
        "purchased_at",
    )
    assert asset["warranty"] == {"until": day.isoformat(), "days_left": 0, "valid": True}
