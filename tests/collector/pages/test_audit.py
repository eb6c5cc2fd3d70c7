"""The page of the audit log: to whom it shows what, whether it holds, and what leaves as CSV."""

from __future__ import annotations

import csv
import io

import pytest
from sqlalchemy import insert, update
from tests.collector.pages.conftest import House, Visitor
from tests.collector.pages.fleet import HOSTILE

from forewarn_collector.api.principal import Role
from forewarn_collector.pages.spreadsheet import to_csv
from forewarn_collector.state import audit, tables
from forewarn_collector.witnessing import signing_key

FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "  =1",
    "=cmd|' /C calc'!A0",
    "＝1",
    '=HYPERLINK("http://evil.example")',
)


@pytest.fixture
def people(house: House) -> House:
    """One host each of acme and globex; root is there for all, mia for globex."""
    (house.fleet.directory / "secrets").mkdir()
    ours, theirs = house.fleet.host("a1"), house.fleet.host("g1", client="globex")
    house.fleet.person("root", Role.ADMIN)
    house.fleet.person("mia", Role.APPROVER, "globex")
    house.fleet.person("otto", Role.OPERATOR)
    for host in (ours, theirs):
        note(house, "root", "host.change", host.id, tags="x")
    note(house, "root", "user.create", "secretive")
    return house


def note(house: House, actor: str, action: str, subject: str = "", **data: str) -> None:
    with house.fleet.database.write() as connection:
        audit.record(connection, house.fleet.at, actor, action, subject, dict(data))


def table(visitor: Visitor, **query: str) -> list[list[str]]:
    answer = visitor.get("/audit.csv", **query)
    assert answer.status_code == 200
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))[1:]


def test_only_approvers_see_it_and_only_what_is_theirs(people: House) -> None:
    assert people.as_("otto").get("/audit").status_code == 403
    assert people.as_("otto").get("/audit.csv").status_code == 403
    mine = table(people.as_("mia"))
    assert [row[3] for row in mine] == ["host.change"]
    assert mine[0][4] == people.host_id("g1")
    page = people.as_("mia").get("/audit", verify="yes").text
    assert "The chain" not in page and "secretive" not in page and ">a1<" not in page
    assert len(table(people.as_("root"))) == 3


def test_it_is_narrowed_by_who_what_where_and_when(people: House) -> None:
    note(people, "ann", "order.propose", "0193dddd-0000-7000-8000-000000000001")
    root = people.as_("root")
    assert [row[2] for row in table(root, actor="ann")] == ["ann"]
    assert {row[3] for row in table(root, action="host.")} == {"host.change"}
    assert [row[4] for row in table(root, subject="a1")] == [people.host_id("a1")]
    assert table(root, since="2026-11-21T08:01") == []
    assert len(table(root, until="2026-11-21T08:01")) == 4
    assert root.get("/audit", since="yesterday").status_code == 422
    assert "/orders/0193dddd" in root.get("/audit").text


def test_more_than_a_page_is_turned(people: House) -> None:
    for number in range(120):
        note(people, "ann", "order.cancel", f"n{number}")
    first = people.as_("root").get("/audit").text
    assert first.count('<th scope="row">') == 100
    following = first.split('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    second = people.as_("root").get(following.replace("&amp;", "&")).text
    assert second.count('<th scope="row">') == 23


def test_a_changed_row_is_told(people: House) -> None:
    root = people.as_("root")
    assert "whole" in root.get("/audit", verify="yes").text
    with people.fleet.database.write() as connection:
        row = tables.audit.c.id == 2
        connection.execute(update(tables.audit).where(row).values(actor="nobody"))
    assert "breaks at row 2" in root.get("/audit", verify="yes").text


def test_a_host_that_was_shown_another_row_contradicts(people: House) -> None:
    key = signing_key(people.fleet.directory)
    with people.fleet.database.write() as connection:
        point = audit.checkpoint(connection)
        assert point is not None
        shown = audit.signed(point, key).text()
        fact = {"name": audit.WITNESS_FACT, "value": shown, "since": people.fleet.at}
        connection.execute(insert(tables.host_facts).values(host_id=people.host_id("a1"), **fact))
    root = people.as_("root")
    assert "1 host bears witness" in root.get("/audit", verify="yes").text
    with people.fleet.database.write() as connection:
        connection.execute(tables.audit.delete().where(tables.audit.c.id == point.row))
    page = root.get("/audit", verify="yes").text
    assert "contradicted by hosts" in page and "this log ends before it" in page


def test_no_cell_of_a_spreadsheet_computes() -> None:
    rows = [(text, "x") for text in (*FORMULAS, *HOSTILE, "plain", "", "a=b")]
    told = to_csv(("a", "b"), rows)
    assert told.startswith(b"\xef\xbb\xbf")
    cells = [row[0] for row in csv.reader(io.StringIO(told.decode("utf-8-sig")))][1:]
    assert len(cells) == len(rows)
    for cell in cells:
        assert cell.lstrip()[:1] not in ("=", "+", "-", "@", "|", "%", "＝", "＋", "－", "＠")
        assert not [one for one in cell if one in "\t\r\n\x1b\x07\u202e\u2066"]
    assert cells[-3:] == ["plain", "", "a=b"]
    assert cells[0] == "'=1+1"


def test_what_people_and_hosts_wrote_is_inert_in_the_log(people: House) -> None:
    for text in (*HOSTILE, *FORMULAS):
        note(people, "root", "host.asset", text, owner=text)
    page = people.as_("root").get("/audit").text
    for text in ("<script>alert", "<img src", "<svg onload", "\x1b", "\u202e"):
        assert text not in page
    for row in table(people.as_("root")):
        assert not [cell for cell in row if cell[:1] in ("=", "@", "+", "-")], row
