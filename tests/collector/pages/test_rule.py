"""The page of a rule, and where its address is told."""

import html
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.collector.pages.conftest import House

from forewarn_collector.api.principal import Role
from forewarn_collector.rules.book import BookedRule, RuleBook, declared
from forewarn_collector.runbook import runbook_of
from forewarn_collector.runbook_url import runbook_url
from forewarn_collector.ticket_body import CarriedEpisode, TicketBody, write
from forewarn_collector.tickets import Kind
from forewarn_collector.toml_file import read_rules
from forewarn_scripts import library

BOOKED = [one.booked for one in declared()]
AT = datetime(2026, 11, 21, 8, tzinfo=UTC)


def named(rule: BookedRule) -> str:
    return rule.name


@pytest.mark.parametrize("booked", BOOKED, ids=named)
def test_what_the_page_says_to_write_can_be_written(booked: BookedRule, tmp_path: Path) -> None:
    """The TOML of each rule is read back as the rule that is shown."""
    book = runbook_of(booked)
    file = tmp_path / "changed.toml"
    file.write_text(f"{book.settings}\n\n{book.elsewhere}\n", "utf-8")
    read = read_rules(file)
    usual = next(one for one in read.rules() if one.name == booked.name)
    assert usual.rule == booked.rule


@pytest.mark.parametrize("booked", BOOKED, ids=named)
def test_every_rule_says_what_to_do_and_when_it_is_over(booked: BookedRule) -> None:
    book = runbook_of(booked)
    assert len(book.advice) > 30
    assert len(book.steps) >= 4
    assert book.ends.endswith(".")
    assert "{" not in f"{book.title}{book.advice}{book.ends}"


def test_every_rule_has_a_page_for_everybody(lived: House) -> None:
    """Whoever is logged in reads every runbook: it tells of no client."""
    for name in ("vic", "ann", "gus"):
        visitor = lived.as_(name)
        for booked in BOOKED:
            assert visitor.get(f"/rules/{booked.name}").status_code == 200, booked.name
        assert visitor.get("/rules/NoSuchRule").status_code == 404


def test_the_page_says_what_to_do_why_and_how_to_change_it(lived: House) -> None:
    text = html.unescape(lived.as_("vic").get("/rules/DiskAlmostFull").text)
    assert "du -xhd1 MOUNTPOINT | sort -h" in text
    assert "<code>forewarn-agent once --check disk</code>" in text
    assert "warning from 90 % up with disk_free_bytes from 20.0 GiB down" in text
    assert '[rules.DiskAlmostFull]\nseverity = "warning"\nabove = 0.9\n' in text
    assert "rules backtest --from 7d --rule changed.toml --compare current" in text


def test_the_page_names_the_scripts_that_may_help(lived: House) -> None:
    """Those of the library that say so themselves."""
    helping = {
        (rule, name)
        for name, script in library.all_scripts().items()
        for rule in script.manifest.helps_with
    }
    assert helping
    for rule, name in helping:
        text = html.unescape(lived.as_("vic").get(f"/rules/{rule}").text)
        assert f"<code>forewarn run {name} --on host:HOST" in text


def test_the_page_lists_alerts_of_ones_own_clients_only(lived: House) -> None:
    ann, gus = (lived.as_(name).get("/rules/DiskAlmostFull").text for name in ("ann", "gus"))
    assert ">web01</a> filesystem:/srv" in ann
    assert re.search(r'<a href="/tickets/\d+">ticket #\d+</a>', ann)
    assert "web01" not in gus


def test_a_rule_that_is_off_says_so(house: House, tmp_path: Path) -> None:
    file = tmp_path / "off.toml"
    file.write_text(
        "[rules.CpuSaturated]\nenabled = false\n"
        "[rules.MemoryLow]\nenabled = false\n"
        '[[rules.MemoryLow.scopes]]\nselect = "tag:db"\nenabled = true\n',
        "utf-8",
    )
    house.fleet.book = read_rules(file)
    visitor = house.as_("ann")
    assert "off everywhere" in visitor.get("/rules/CpuSaturated").text
    assert "on for some hosts only" in visitor.get("/rules/MemoryLow").text
    house.fleet.book = RuleBook(declared())


def test_a_ticket_leads_to_its_runbook(lived: House) -> None:
    text = lived.as_("vic").get("/tickets/1").text
    rules = re.findall(r'href="/rules/(\w+)"', text)
    assert rules
    assert set(rules) <= {one.name for one in BOOKED}


def test_the_catalogue_of_the_api_has_the_address(lived: House) -> None:
    answer = lived.as_("vic").ask("GET", "/api/v1/checks", headers={"accept": "application/json"})
    told = {one["name"]: one["runbook_url"] for one in answer.json()["rules"]}
    assert set(told) == {one.name for one in BOOKED}
    base = lived.fleet.telling.ticket_url
    assert all(url == runbook_url(base, name) for name, url in told.items())


def test_an_address_is_made_of_that_of_a_ticket_or_not_at_all() -> None:
    pages = "https://forewarn.example.com/in/tickets/"
    assert runbook_url(f"{pages}17", "DriveHot") == "https://forewarn.example.com/in/rules/DriveHot"
    assert runbook_url("", "DriveHot") == ""
    assert runbook_url(f"{pages}17", "") == ""


@pytest.mark.parametrize("longest", [20, 60_000])
def test_destinations_are_told_where_the_runbook_is(longest: int) -> None:
    """However long the rest of the evidence is, the address is whole."""
    episode = CarriedEpisode(
        rule="DiskAlmostFull",
        severity="high",
        opened_at=AT,
        closed_at=None,
        evidence={"advice": "x" * longest},
    )
    pages = f"https://{'a' * 160}.example.com"
    ticket = TicketBody(
        key="k#1", number=1, title="t", priority="P2", severity="high", state="new",
        condition="firing", client="c", site="s", host="h", host_id="h1", component="disk",
        assignee=None, url=f"{pages}/tickets/1", opened_at=AT, closed_at=None, episodes=[episode],
    )  # fmt: skip
    evidence = json.loads(write(Kind.OPENED, ticket, AT))["data"]["ticket"]["evidence"]
    assert evidence[0]["runbook_url"] == f"{pages}/rules/DiskAlmostFull"
    assert len(json.dumps(evidence)) <= 8192


def test_roles_that_only_read_are_shown_the_page(house: House) -> None:
    house.fleet.person("vera", Role.VIEWER, "acme")
    assert house.as_("vera").get("/rules/HostSilent").status_code == 200
