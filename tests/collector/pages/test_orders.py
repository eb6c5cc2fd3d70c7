"""What the pages of remote work show, to whom, and the one thing they let people do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from tests.collector.pages import errands
from tests.collector.pages.conftest import House
from tests.collector.pages.errands import SCRIPT, UNSIGNED, answered, offered, order_for, propose
from tests.collector.pages.fleet import START

from forewarn_collector.api.principal import Role
from forewarn_collector.pages.printed import hides_something, printed
from forewarn_collector.queries.orders import OrderSeen, Stage
from forewarn_collector.state import tables
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.orders import Pace
from forewarn_scripts.envelope import ORDER, STANDING_ORDER
from forewarn_scripts.library import all_scripts
from forewarn_scripts.order import Ended, Order, script_hash

ALL_AT_ONCE = Pace()
ID = "0193dddd-0000-7000-8000-0000000000ff"


def seen(**changes: object) -> OrderSeen:
    values: dict[str, object] = {
        **dict.fromkeys(("client_id", "client", "script", "reason", "created_by"), "x"),
        "id": ID,
        "kind": ORDER,
        "script_sha256": "0" * 64,
        "not_before": START,
        "not_after": START + timedelta(hours=1),
        "needs": 1,
        "signatures": 1,
        "canary": 0,
        "at_once": 0,
        "halt_after": 0,
        "created_at": START,
        "cancelled_at": None,
        "targets": 10,
        "offered": 0,
        "well": 0,
        "failed": 0,
    }
    return OrderSeen(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("why", "order", "minutes", "stage"),
    [
        ("nobody asked for it yet", seen(), 0, Stage.RUNNING),
        ("its time has not come", seen(), -5, Stage.COMING),
        ("signatures are missing", seen(needs=2), 0, Stage.UNSIGNED),
        ("signatures came too late", seen(needs=2), 60, Stage.OVER),
        ("some run", seen(offered=3, well=1), 5, Stage.RUNNING),
        ("canaries run", seen(canary=2, offered=2, well=1), 5, Stage.CANARY),
        ("a canary failed", seen(canary=2, offered=2, well=1, failed=1), 5, Stage.HALTED),
        ("failures halt it", seen(halt_after=2, offered=5, well=1, failed=2), 5, Stage.HALTED),
        ("halted, and its time is over", seen(halt_after=1, offered=1, failed=1), 90, Stage.HALTED),
        ("all answered", seen(halt_after=1, offered=10, well=9, failed=1), 5, Stage.DONE),
        ("time is over, some never asked", seen(offered=4, well=4), 60, Stage.OVER),
        ("time is over, some still run", seen(offered=4, well=3), 60, Stage.RUNNING),
        ("cancelled", seen(cancelled_at=START), 5, Stage.CANCELLED),
        ("standing", seen(kind=STANDING_ORDER, offered=10, well=10), 5, Stage.STANDING),
    ],
)
def test_an_order_is_as_far_as_its_hosts(
    why: str, order: OrderSeen, minutes: int, stage: Stage
) -> None:
    assert order.stage(START + timedelta(minutes=minutes)) is stage, why


@pytest.mark.parametrize(
    ("reason", "ticket"),
    [
        ("#12", 12),
        ("see ticket 7, urgent", 7),
        ("(#3) and #4", 3),
        ("T-1", None),
        ("a#5", None),
        ("http://x/#9", None),
        ("#0", None),
        ("#99999999999", None),
    ],
)
def test_a_reason_names_a_ticket(reason: str, ticket: int | None) -> None:
    assert seen(reason=reason).ticket == ticket


def test_what_is_hidden_in_a_script_is_shown_by_name() -> None:
    shown = printed("a\u202eb\x1b[31m<\x07\u200b\ttab\r\nnext")
    assert "U+202E" in shown and ">ESC<" in shown and ">BEL<" in shown and "U+200B" in shown
    assert "&lt;" in shown and "\ttab\nnext" in shown
    assert not [one for one in shown if one in "\u202e\x1b\x07\u200b\r"]
    assert hides_something("a\u200b") and not hides_something("plain ä\r\n\ttext")


@pytest.fixture
def crowd(house: House) -> list[KnownHost]:
    """Three hosts of acme and one of globex, and people of each."""
    fleet = house.fleet
    found = [fleet.host(name) for name in ("a1", "a2", "a3")]
    fleet.host("g1", client="globex")
    fleet.person("olga", Role.OPERATOR, "acme")
    fleet.person("olaf", Role.OPERATOR, "globex")
    fleet.person("vic", Role.VIEWER, "acme")
    return found


def ordered(house: House, hosts: list[KnownHost], pace: Pace = ALL_AT_ONCE) -> Order:
    order = order_for(house.fleet, hosts, ID)
    propose(house.fleet, order, pace)
    return order


def test_progress_counts_every_host_once(house: House, crowd: list[KnownHost]) -> None:
    order = ordered(house, crowd)
    answered(house.fleet, order, crowd[0], output="fine")
    answered(house.fleet, order, crowd[1], exit_code=3)
    offered(house.fleet, order, crowd[2])
    page = house.as_("vic").get(f"/orders/{ID}").text
    assert "1 well, 1 not, 1 running, 0 waiting, of 3" in page
    assert 'data-live="2"' in page
    assert page.index(">a2<") < page.index(">a3<") < page.index(">a1<"), "failures come first"
    only = house.as_("vic").get(f"/orders/{ID}", side="failed").text
    assert ">a2<" in only and ">a1<" not in only


def test_an_order_that_is_done_is_not_asked_for_again(house: House, crowd: list[KnownHost]) -> None:
    order = ordered(house, crowd[:1])
    answered(house.fleet, order, crowd[0])
    page = house.as_("vic").get(f"/orders/{ID}").text
    assert "live.js" not in page and "live-" in page and 'data-live=""' in page
    assert "refresh" not in page


def test_a_halted_order_says_so(house: House, crowd: list[KnownHost]) -> None:
    order = ordered(house, crowd, Pace(halt_after=1))
    answered(house.fleet, order, crowd[0], ended=Ended.TIMED_OUT, exit_code=None)
    page = house.as_("vic").get(f"/orders/{ID}").text
    assert "Halted: 1 host did not end well" in page
    assert "The 2 that wait are not handed it" in page


def test_operators_cancel_and_nobody_starts(house: House, crowd: list[KnownHost]) -> None:
    ordered(house, crowd)
    viewer, operator = house.as_("vic"), house.as_("olga")
    assert "/cancel" not in viewer.get(f"/orders/{ID}").text
    assert viewer.post(f"/orders/{ID}/cancel").status_code == 403
    assert operator.post(f"/orders/{ID}/cancel").status_code == 303
    page = operator.get(f"/orders/{ID}").text
    assert "Cancelled" in page and "/cancel" not in page
    assert "forewarn run SCRIPT" in operator.get("/orders").text
    with house.fleet.database.read() as connection:
        rows = connection.execute(select(tables.audit.c.actor, tables.audit.c.action)).all()
    assert ("olga", "order.cancel") in [tuple(row) for row in rows]


def test_another_clients_orders_are_not_there(house: House, crowd: list[KnownHost]) -> None:
    order = ordered(house, crowd)
    answered(house.fleet, order, crowd[0], output="secret words")
    stranger = house.as_("olaf")
    for path in (
        f"/orders/{ID}",
        f"/orders/{ID}/results/{crowd[0].id}",
        f"/scripts/{script_hash(SCRIPT)}",
    ):
        assert stranger.get(path).status_code == 404, path
    assert stranger.post(f"/orders/{ID}/cancel").status_code == 404
    for path in ("/orders", "/orders?host=" + crowd[0].id, "/approvals", "/scripts"):
        text = stranger.get(path).text
        assert "around" not in text and ">a1<" not in text and "acme" not in text, path
        assert "<b>0</b>" in text or path not in ("/orders",), path


def test_lists_are_narrowed(house: House, crowd: list[KnownHost]) -> None:
    ordered(house, crowd[:2])
    viewer = house.as_("vic")
    row = f'href="/orders/{ID}"'
    assert row in viewer.get("/orders", state="open").text
    assert row not in viewer.get("/orders", state="ended").text
    assert row in viewer.get("/orders", host=crowd[0].id).text
    assert row not in viewer.get("/orders", host=crowd[2].id).text
    assert row in viewer.get("/orders", reason="look at").text
    assert row not in viewer.get("/orders", reason="100%").text
    assert row in viewer.get("/orders", script=script_hash(SCRIPT), client="acme").text


def test_a_result_of_another_key_is_shown_as_not_proven(
    house: House, crowd: list[KnownHost]
) -> None:
    order = ordered(house, crowd)
    answered(house.fleet, order, crowd[0], output="true")
    envelope = answered(house.fleet, order, crowd[1], output="also true")
    results = tables.order_results
    with house.fleet.database.write() as connection:
        same = results.c.host_id == crowd[0].id
        connection.execute(update(results).where(same).values(envelope=envelope))
    viewer = house.as_("vic")
    words = "did not sign this"
    assert words in viewer.get(f"/orders/{ID}/results/{crowd[0].id}").text
    assert words not in viewer.get(f"/orders/{ID}/results/{crowd[1].id}").text


def test_what_is_altered_in_the_database_cannot_break_the_page(
    house: House, crowd: list[KnownHost]
) -> None:
    order = ordered(house, crowd)
    answered(house.fleet, order, crowd[0])
    with house.fleet.database.write() as connection:
        connection.execute(update(tables.orders).values(payload=b"\xff{rubbish"))
        connection.execute(update(tables.order_results).values(envelope=b"rubbish"))
    viewer = house.as_("vic")
    assert "no order that can be read" in viewer.get(f"/orders/{ID}").text
    assert "no result" in viewer.get(f"/orders/{ID}/results/{crowd[0].id}").text


def test_who_signs_sees_everything_first(lived: House) -> None:
    page = lived.as_("vic").get("/approvals").text
    assert f"forewarn approve {UNSIGNED}" in page
    assert "unknown: not of the library" in page
    assert "U+202E" in page and "cannot be seen" in page
    assert "web01" in page


def test_the_library_is_shown_with_its_hashes(house: House) -> None:
    house.fleet.person("vic", Role.VIEWER)
    page = house.as_("vic").get("/scripts").text
    for script in all_scripts().values():
        assert script.name in page
        for body in script.bodies.values():
            text = house.as_("vic").get(f"/scripts/{body.sha256}").text
            assert body.sha256 in text and script.manifest.help.split("'")[0] in text


def test_ticket_order_and_host_lead_to_each_other(lived: House) -> None:
    viewer, web = lived.as_("vic"), lived.host_id("web01")
    order = f'href="/orders/{web}"'  # it has the id of its host, see errands
    ticket = viewer.get("/tickets/1").text
    assert order in ticket
    assert order in viewer.get(f"/hosts/{web}").text
    page = viewer.get(f"/orders/{web}").text
    assert 'href="/tickets/1"' in page and f'href="/hosts/{web}"' in page


def test_many_hosts_come_in_pages(house: House) -> None:
    hosts = [house.fleet.host(f"h{number:03}") for number in range(130)]
    house.fleet.person("vic", Role.VIEWER)
    ordered(house, hosts)
    first, second = (house.as_("vic").get(f"/orders/{ID}", page=page).text for page in "01")
    assert first.count('<th scope="row">') == 100 and second.count('<th scope="row">') == 30
    assert "of 130" in first
    assert errands.UNSIGNED not in first
