"""Working on tickets by the forms of their pages, and reading the reports that come of it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from tests.collector.pages.conftest import CAN_PRINT, House, Visitor

from forewarn_collector.api.principal import Role
from forewarn_collector.pages.clocks import clocks_of, span
from forewarn_collector.sla.clocks import Pace
from forewarn_collector.sla.policy import Policies, Policy, Target
from forewarn_collector.sla.shown import ClockShown, Sla
from forewarn_collector.state.tables import service_reports, sites

HOUR = timedelta(hours=1)
GOLD = Policy(name="gold", targets={"P3": Target(response=HOUR, resolution=8 * HOUR)})


@pytest.fixture
def ann(house: House) -> Visitor:
    """A technician, at a collector with a promise and one host."""
    house.fleet.telling = replace(house.fleet.telling, policies=Policies(otherwise=GOLD))
    house.fleet.host("web01")
    house.fleet.host("db01", client="globex")
    return house.as_("ann")


def opened(house: House, ann: Visitor, **said: str) -> str:
    """Open a ticket about web01 by the page, and return its address."""
    answer = ann.post("/tickets", title="The fan rattles", host="web01", **said)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def test_a_ticket_is_opened_by_hand_and_shown_with_its_promise(house: House, ann: Visitor) -> None:
    assert 'value="web01"' in ann.get("/tickets/new", host="web01").text
    place = opened(house, ann, text="Since Monday.", impact="2", urgency="2")
    page = ann.get(place).text
    assert "Since Monday." in page
    assert "reported by a person" in page
    assert "1 h left" in page
    assert "8 h left" in page


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"title": "", "host": "web01"}, "Title: is empty"),
        ({"title": "x", "host": "nowhere"}, "no host called"),
        ({"title": "x"}, "Say what it is about"),
        ({"title": "x", "host": "web01", "impact": "9"}, "Impact: must be 3 or less"),
    ],
)
def test_a_form_that_makes_no_sense_comes_back_as_it_was_filled_in(
    ann: Visitor, said: dict[str, str], told: str
) -> None:
    answer = ann.post("/tickets", text="what I wrote", **said)
    assert answer.status_code == 422
    assert told in answer.text
    assert "what I wrote" in answer.text


def test_remaining_time_is_that_of_the_moment_the_page_is_read(house: House, ann: Visitor) -> None:
    place = opened(house, ann)
    house.fleet.at += timedelta(minutes=50)
    ann = house.as_("ann")
    assert "10 min left" in ann.get(place).text
    house.fleet.at += timedelta(minutes=30)
    ann = house.as_("ann")
    page = ann.get(place).text
    assert "overrun by 20 min" in page
    assert "was due" in page
    assert "overrun by 20 min" in ann.get("/tickets").text
    assert "The fan rattles" in ann.get("/tickets", view="overdue").text


def test_every_step_of_the_work_has_a_form(house: House, ann: Visitor) -> None:
    place = opened(house, ann)
    for name, said, shows in (
        ("acknowledge", {}, "in progress"),
        ("wait", {"waiting_for": "parts", "text": "a new fan"}, "for parts"),
        ("start", {}, "in progress"),
        ("priority", {"priority": "P2"}, "changed its priority from P3 to P2"),
        ("assign", {"assignee": "zoe"}, "gave it to zoe"),
        ("labour", {"minutes": "25", "text": "took it apart"}, "25 min"),
        ("parts", {"name": "Fan 92 mm", "quantity": "2", "unit_cost": "9.90 EUR"}, "19.80 EUR"),
        ("root-cause", {"text": "the bearing was dry"}, "the bearing was dry"),
        ("resolve", {"text": "new fan"}, "Report"),
    ):
        answer = ann.post(f"{place}/{name}", **said)
        assert answer.status_code == 303, f"{name}: {answer.text}"
        assert shows in ann.get(place).text, name
    refused = ann.post(f"{place}/start")
    assert refused.status_code == 409
    assert "cannot be worked on" in refused.text


@pytest.mark.parametrize(
    ("name", "said", "told"),
    [
        ("wait", {"waiting_for": "godot"}, "must be one of"),
        ("priority", {"priority": "P9"}, "must be one of"),
        ("labour", {"minutes": "many"}, "must be a whole number"),
        ("labour", {"minutes": "0"}, "say how many minutes"),
        ("labour", {"minutes": "-5"}, "no more can be taken back"),
        ("parts", {"name": "fan", "unit_cost": "9,90"}, "write it like 1299.00 EUR"),
        ("parts", {"name": "=1+1"}, "as a formula does"),
        ("assign", {"assignee": "x" * 200}, "is longer than 100 characters"),
        ("cancel", {"text": "   "}, "Write what was done"),
    ],
)
def test_what_makes_no_sense_is_told_on_the_page(
    house: House, ann: Visitor, name: str, said: dict[str, str], told: str
) -> None:
    place = opened(house, ann)
    answer = ann.post(f"{place}/{name}", **said)
    assert answer.status_code in (409, 422)
    assert told in answer.text


def test_the_list_is_narrowed_to_mine_nobodys_and_a_clients(house: House, ann: Visitor) -> None:
    place = opened(house, ann)
    ann.post("/tickets", title="The link drops", host="db01")
    ann.post(f"{place}/acknowledge")
    for query, wanted in (
        ({"view": "mine"}, ["The fan"]),
        ({"view": "nobodys"}, ["The link"]),
        ({"view": "team"}, []),
        ({"client": "globex"}, ["The link"]),
        ({"client": "globex", "view": "mine"}, []),
    ):
        page = ann.get("/tickets", **query).text
        found = [title for title in ("The fan", "The link") if title in page]
        assert found == wanted, query
    assert ann.get("/tickets", view="everything").status_code == 422


def test_somebody_of_one_client_is_offered_only_that(house: House, ann: Visitor) -> None:
    house.fleet.person("gus", Role.TECHNICIAN, "globex")
    gus = house.as_("gus")
    assert "acme" not in gus.get("/tickets/new").text
    assert gus.post("/tickets", title="x", host="web01").status_code == 422
    opened(house, ann)
    assert "The fan rattles" in ann.get("/tickets", client="acme").text
    assert "The fan rattles" not in gus.get("/tickets", client="acme").text


# -- reports -------------------------------------------------------------------------------------


def closed(house: House, ann: Visitor) -> str:
    place = opened(house, ann)
    ann.post(f"{place}/labour", minutes="25", text="<script>alert(1)</script>")
    ann.post(f"{place}/resolve", text="new fan")
    return place


def test_a_report_tells_times_of_the_site_and_each_version_stays(
    house: House, ann: Visitor
) -> None:
    with house.fleet.database.write() as connection:
        connection.execute(update(sites).values(zone="Asia/Tokyo"))
    place = closed(house, ann)
    first = ann.get(f"{place}/report").text
    assert "JST" in first
    assert "Asia/Tokyo" in first
    assert "25 min" in first
    assert "<script>alert" not in first
    ann.post(f"{place}/labour", minutes="10", text="drove there again")
    assert "35 min" in ann.get(f"{place}/report").text
    old = ann.get(f"{place}/report", version="1").text
    assert "A later version of this report exists" in old
    assert "35 min" not in old
    assert ann.get(f"{place}/report", version="3").status_code == 404


def test_a_report_is_a_pdf_where_the_extra_is_installed(house: House, ann: Visitor) -> None:
    if not CAN_PRINT:
        pytest.skip("needs the extra [pdf] and Pango")
    place = closed(house, ann)
    answer = ann.get(f"{place}/report.pdf")
    assert answer.status_code == 200
    assert answer.content.startswith(b"%PDF-")
    assert answer.headers["content-disposition"] == 'attachment; filename="report-1.pdf"'


def test_without_the_extra_the_page_says_what_to_install(
    house: House, ann: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    place = closed(house, ann)
    answer = ann.get(f"{place}/report.pdf")
    assert answer.status_code == 501
    assert "forewarn[pdf]" in answer.text


# -- clocks in words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (59, "less than a minute"),
        (60, "1 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (-7500, "2 h 5 min"),
        (86400, "1 d"),
        (98_000, "1 d 3 h"),
    ],
)
def test_a_span_has_two_parts_at_most(seconds: float, written: str) -> None:
    assert span(seconds) == written


@pytest.mark.parametrize(
    ("pace", "running", "left", "word", "level"),
    [
        ("running", True, 3000, "50 min left", "ok"),
        ("running", True, 900, "15 min left", "warning"),
        ("paused", False, 900, "stands still, 15 min left", "info"),
        ("met", False, 900, "met, 15 min to spare", "ok"),
        ("breached", True, -900, "overrun by 15 min", "critical"),
        ("breached", False, -900, "overrun by 15 min, then done", "critical"),
    ],
)
def test_a_clock_is_told_in_a_word_and_a_shape(
    pace: str, running: bool, left: float, word: str, level: str
) -> None:
    clock = ClockShown(
        pace=Pace(pace),
        running=running,
        target_seconds=3600,
        remaining_seconds=left,
        due_at=None,
    )
    (view,) = clocks_of(Sla(policy="gold", response=clock, resolution=None))
    assert (view.word, view.level) == (word, level)


def test_the_report_of_a_ticket_of_many_hosts_shows_a_dozen_and_lists_the_rest(
    house: House, ann: Visitor
) -> None:
    """A page of two hundred boxes is not read; how many there were in all is said."""
    place = opened(house, ann)
    ann.post(f"{place}/resolve", text="power is back")
    one = {
        "rule": "HostSilent",
        "raises": "",
        "advice": "",
        "severity": "high",
        "before": {"value": 1.0, "shown": "silent"},
        "after": None,
        "opened_at": "2026-03-01T12:00:00.000Z",
        "closed_at": None,
    }
    many = [{**one, "title": f"<b>pc{n}</b> is silent"} for n in range(200)]
    with house.fleet.database.write() as connection:
        row = connection.execute(select(service_reports)).mappings().one()
        told = {**json.loads(row["document"]), "raised_by": many, "raised_by_count": 4711}
        connection.execute(update(service_reports).values(document=json.dumps(told)))
    page = ann.get(f"{place}/report").text
    assert page.count('<section class="episode">') == 12
    assert page.count("&lt;b&gt;pc") == 200
    assert "Of 4711 in all, the worst and oldest 200 are listed." in page
