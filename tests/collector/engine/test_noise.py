"""Many alerts, few tickets: a site's, and what is past a client's budget."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select
from tests.collector.engine.crowd import check_whole, crowd, fail, standing
from tests.collector.engine.line import Line
from tests.collector.engine.test_tickets import act

from forewarn_collector.api.principal import Principal, Role
from forewarn_collector.destinations import all_profiles
from forewarn_collector.destinations._words import ticket_words
from forewarn_collector.queries.tickets import list_tickets
from forewarn_collector.selector import parse
from forewarn_collector.state import by_hand, work
from forewarn_collector.state.by_hand import Call
from forewarn_collector.state.hosts import place
from forewarn_collector.state.tables import outbox, ticket_links, tickets
from forewarn_collector.state.tickets import TicketState
from forewarn_collector.tickets import Kind, Message


def finish(line: Line, number: int) -> None:
    """Let somebody say that a ticket is done."""
    said: dict[str, Any] = {"actor": "ann", "now": line.at, "telling": line.telling}
    with line.database.write() as connection:
        work.resolve(connection, number, text="done", clients=None, **said)


def compact(value: object) -> bytes:
    """Return JSON as it is sent."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# -- one site, one ticket --------------------------------------------------------------------------


def test_five_hosts_of_a_site_at_once_are_one_ticket(tmp_path: Path) -> None:
    with crowd(tmp_path, 5) as line:
        fail(line, *range(101, 106))
        line.pass_()
        assert standing(line) == [("site", "new", "TestFailed on 5 hosts of site0")]
        assert line.kinds() == ["ticket.opened"]
        told = line.told()[0][1]
        assert (told["host"], told["rules"]) == ("", ["TestFailed"])
        assert told["evidence"][0]["hosts"] == [f"pc{n}" for n in range(101, 106)]
        assert told["priority"] == "P1"
        check_whole(line)


def test_four_hosts_are_four_tickets(tmp_path: Path) -> None:
    with crowd(tmp_path, 4) as line:
        fail(line, *range(101, 105))
        line.pass_()
        assert [kind for kind, _, _ in standing(line)] == [None] * 4


def test_hosts_of_other_sites_do_not_count(tmp_path: Path) -> None:
    with crowd(tmp_path, 8, sites=2) as line:
        fail(line, *range(101, 109))
        line.pass_()
        assert [kind for kind, _, _ in standing(line)] == [None] * 8


def test_those_of_the_last_minute_are_absorbed_and_told_so(tmp_path: Path) -> None:
    """Nobody waits for a group: each opens at once, until the fifth makes it one."""
    with crowd(tmp_path, 6) as line:
        for number in range(101, 106):
            fail(line, number)
            line.pass_()
            line.wait(seconds=10)
        single = ("closed", "/srv on pc{} failed its test")
        assert standing(line) == [
            *[(None, single[0], single[1].format(number)) for number in range(101, 105)],
            ("site", "new", "TestFailed on 5 hosts of site0"),
        ]
        for number in range(1, 5):
            mine = [kind for kind, ticket in line.told() if ticket["number"] == number]
            assert mine == ["ticket.opened", "ticket.closed"]
        assert [kind for kind, one in line.told() if one["number"] == 5] == ["ticket.opened"]
        first = line.tickets()[0]
        assert first.events[-1].kind == "absorbed"
        assert first.events[-1].data["ticket"] == 5
        assert len({ticket.key for ticket in line.tickets()}) == 5
        with line.database.read() as connection:
            links = connection.execute(select(ticket_links.c.kind)).scalars().all()
        assert links == ["absorbed"] * 4
        check_whole(line)


def words(line: Line, number: int) -> list[Mapping[str, Any]]:
    """Return what a ticket system is told of a ticket, message by message."""
    with line.database.read() as connection:
        query = select(outbox).join(tickets, tickets.c.id == outbox.c.ticket_id)
        rows = connection.execute(
            query.where(tickets.c.number == number).order_by(outbox.c.id)
        ).mappings()
        return [
            ticket_words(
                all_profiles()["rt"],
                Message(
                    id=row["id"], kind=Kind(row["kind"]), ticket_key="k", body=row["body"].encode()
                ),
                line.at.timestamp(),
            )
            for row in rows
        ]


def test_ticket_systems_are_told_which_hosts_share_one_and_where_another_went(
    tmp_path: Path,
) -> None:
    """Whoever works there sees the hosts, and does not take what was absorbed for mended."""
    with crowd(tmp_path, 5) as line:
        fail(line, 101)
        line.pass_()
        line.wait(seconds=20)
        fail(line, 102, 103, 104, 105)
        line.pass_()
        opened, closed = words(line, 1)
        assert "pc101" in opened["text"]
        assert closed["note"].splitlines()[0] == "It is part of ticket 2 now, and goes on there."
        [together] = words(line, 2)
        assert "Hosts: pc101, pc102, pc103, pc104, pc105" in together["text"].splitlines()
        line.wait(minutes=5)
        fail(line, *range(101, 106), value=1.0)
        line.pass_()
        *_, over = words(line, 2)
        assert over["note"].splitlines()[0] == "The condition has cleared."


def test_a_ticket_system_is_told_of_a_false_alarm_as_one(tmp_path: Path) -> None:
    with crowd(tmp_path, 1) as line:
        fail(line, 101)
        line.pass_()
        act(line, "cancel", text="a test of the alarm")
        *_, over = words(line, 1)
        assert over["note"].splitlines()[0] == "It was a false alarm."


def test_a_site_ticket_is_found_by_each_of_its_hosts(tmp_path: Path) -> None:
    """Who looks at the tickets of a client, or of some hosts, must not miss the largest."""
    with crowd(tmp_path, 12, sites=2) as line:
        fail(line, *range(101, 112, 2))  # the odd ones are at one site
        fail(line, 102)
        line.pass_()
        everybody = Principal("test", Role.ADMIN, None)
        with line.database.read() as connection:

            def titles(text: str) -> list[str]:
                found = list_tickets(connection, everybody, parse(text)).tickets
                return [one.title for one in found]

            assert titles("host:pc103") == ["TestFailed on 6 hosts of site1"]
            assert titles("host:pc102") == ["/srv on pc102 failed its test"]
            assert titles("host:pc104") == []
            assert len(titles("client:acme")) == 2


def test_what_opened_more_than_a_minute_ago_stays_by_itself(tmp_path: Path) -> None:
    with crowd(tmp_path, 5) as line:
        for number in range(101, 106):
            fail(line, number)
            line.pass_()
            line.wait(seconds=20)
        assert [kind for kind, _, _ in standing(line)] == [None] * 5


def test_a_ticket_somebody_took_is_not_absorbed(tmp_path: Path) -> None:
    with crowd(tmp_path, 6) as line:
        fail(line, 101)
        line.pass_()
        act(line, "acknowledge")
        line.wait(seconds=5)
        fail(line, *range(102, 107))
        line.pass_()
        assert standing(line)[0][1:] == ("in_progress", "/srv on pc101 failed its test")
        assert standing(line)[1][2] == "TestFailed on 5 hosts of site0"
        check_whole(line)


def test_later_hosts_join_and_the_last_one_closes_it(tmp_path: Path) -> None:
    with crowd(tmp_path, 7) as line:
        fail(line, *range(101, 106))
        line.pass_()
        line.wait(minutes=30)
        fail(line, 106)
        line.pass_()
        assert standing(line) == [("site", "new", "TestFailed on 6 hosts of site0")]
        line.wait(minutes=1)
        fail(line, *range(101, 106), value=1.0)
        line.pass_()
        assert standing(line) == [("site", "new", "TestFailed on 1 host of site0")]
        line.wait(minutes=1)
        fail(line, 106, value=1.0)
        line.pass_()
        assert [state for _, state, _ in standing(line)] == ["closed"]
        assert [event.kind for event in line.tickets()[0].events] == [
            "opened",
            "hosts_joined",
            "hosts_joined",
            "hosts_cleared",
            "hosts_cleared",
            "closed",
        ]
        assert line.kinds()[-1] == "ticket.closed"
        assert len({ticket["key"] for _, ticket in line.told()}) == 1


def test_the_same_again_within_a_day_is_the_same_site_ticket(tmp_path: Path) -> None:
    with crowd(tmp_path, 5) as line:
        for value in (0.0, 1.0, 0.0):
            fail(line, *range(101, 106), value=value)
            line.pass_()
            line.wait(hours=1)
        assert standing(line) == [("site", "new", "TestFailed on 5 hosts of site0")]
        assert line.kinds() == ["ticket.opened", "ticket.closed", "ticket.opened"]


def test_an_absorbed_ticket_takes_its_own_trouble_later(tmp_path: Path) -> None:
    with crowd(tmp_path, 5) as line:
        for number in range(101, 106):
            fail(line, number)
            line.pass_()
            line.wait(seconds=5)
        fail(line, *range(101, 106), value=1.0)
        line.pass_()
        line.wait(hours=1)
        fail(line, 101)
        line.pass_()
        assert [state for _, state, _ in standing(line)] == ["new"] + ["closed"] * 4
        check_whole(line)


def test_who_resolves_a_site_ticket_sees_it_again_with_the_next_host(tmp_path: Path) -> None:
    with crowd(tmp_path, 6) as line:
        fail(line, *range(101, 106))
        line.pass_()
        act(line, "resolve", text="changed the cable")
        line.wait(minutes=2)
        fail(line, 106)
        line.pass_()
        (ticket,) = line.tickets()
        assert (ticket.state, ticket.resolved_at) == (TicketState.NEW, None)


def test_a_thousand_hosts_still_fit_into_the_message(tmp_path: Path) -> None:
    with crowd(tmp_path, 1000) as line:
        fail(line, *range(101, 1101))
        line.pass_()
        ((_, told),) = line.told()
        assert told["evidence"][0]["host_count"] == 1000
        assert len(compact(told["evidence"])) <= 8 * 1024
        assert len(compact(told)) < 20_000


def test_it_is_as_severe_as_the_worst_that_lasts_on_it(tmp_path: Path) -> None:
    with crowd(tmp_path, 5) as line:
        _fill(line, range(101, 106))
        assert [(one.kind, one.severity) for one in line.tickets()] == [("site", "high")]
        line.wait(minutes=5)
        line.read(0.99, host=103)
        line.pass_()
        (ticket,) = line.tickets()
        assert (ticket.severity, ticket.events[-1].kind) == ("critical", "severity_changed")
        assert line.told()[-1][1]["severity"] == "critical"


# -- no more than agreed ---------------------------------------------------------------------------


def test_past_the_budget_there_is_one_overflow_ticket(tmp_path: Path) -> None:
    with crowd(tmp_path, 8, sites=4, per_hour=3) as line:
        _fill(line, range(101, 109))
        assert [kind for kind, _, _ in standing(line)] == [None, None, None, "overflow"]
        assert standing(line)[-1][2] == "5 more problems on 5 hosts than tickets may open"
        (told,) = [ticket for _, ticket in line.told() if ticket["host"] == ""]
        assert len(told["evidence"][0]["problems"]) == 5
        check_whole(line)


def test_critical_ones_have_a_budget_of_their_own(tmp_path: Path) -> None:
    with crowd(tmp_path, 12, sites=6, per_hour=3) as line:
        _fill(line, range(101, 107))
        fail(line, *range(107, 113))
        line.pass_()
        kinds = [kind for kind, _, _ in standing(line)]
        assert kinds == [None, None, None, "overflow", None, None, None]
        assert line.tickets()[3].severity == "critical"
        check_whole(line)


def test_calls_of_people_use_up_nothing_though_they_were_closed_within_the_hour(
    tmp_path: Path,
) -> None:
    """A busy morning on the telephone must not put what rules raise on the overflow ticket."""
    with crowd(tmp_path, 2, sites=2, per_hour=2) as line:
        with line.database.write() as connection:
            call = Call(title="phone", text="", place=place(connection, "acme", "site0", line.at))
            for _ in range(2):
                by_hand.report(connection, call, actor="ann", now=line.at, telling=line.telling)
        for number in (1, 2):
            finish(line, number)
        line.hold(0.95, 15, host=101)
        assert standing(line)[-1][0] is None


def test_a_site_ticket_somebody_resolved_is_opened_again_everywhere(tmp_path: Path) -> None:
    """Where it was resolved in another system a mere comment would leave it closed."""
    with crowd(tmp_path, 6) as line:
        fail(line, *range(101, 106))
        line.pass_()
        act(line, "resolve", text="power is back")
        line.wait(minutes=1)
        fail(line, 106)
        line.pass_()
        assert standing(line)[0][1] == "new"
        assert line.kinds()[-1] == "ticket.opened"


def test_after_the_storm_what_still_fires_gets_its_own_tickets_in_portions(
    tmp_path: Path,
) -> None:
    with crowd(tmp_path, 8, sites=4, per_hour=3) as line:
        _fill(line, range(101, 109))
        for _ in range(13):
            _keep_full(line, range(101, 109))
        states = standing(line)
        assert [kind for kind, _, _ in states].count(None) == 6
        assert states[3][2] == "2 more problems on 2 hosts than tickets may open"
        check_whole(line)
        for _ in range(13):
            _keep_full(line, range(101, 109))
        assert standing(line)[3][1] == "closed"
        assert [kind for kind, _, _ in standing(line)].count(None) == 8
        check_whole(line)


def test_an_overflow_ticket_that_somebody_took_stays_whole(tmp_path: Path) -> None:
    with crowd(tmp_path, 6, sites=3, per_hour=1) as line:
        _fill(line, range(101, 107))
        with line.database.write() as connection:
            work.acknowledge(
                connection, 2, actor="mia", now=line.at, clients=None, telling=line.telling
            )
        for _ in range(30):
            _keep_full(line, range(101, 107))
        assert len(standing(line)) == 2
        check_whole(line)


def _fill(line: Line, numbers: Iterable[int]) -> None:
    """Fill rooms until that is told."""
    for _ in range(4):
        _keep_full(line, numbers)


def _keep_full(line: Line, numbers: Iterable[int]) -> None:
    line.wait(minutes=5)
    for number in numbers:
        line.read(0.93, host=number)
    line.pass_()
