"""What people do to our tickets in other systems is read there, and only of tickets of ours."""

import copy
from typing import Any

import httpx
import pytest
from tests.collector.destinations.contract import AT
from tests.collector.destinations.test_profiles import Line, story

from forewarn_collector import egress
from forewarn_collector.destinations import all_destinations, all_profiles
from forewarn_collector.destinations._profile import BadProfile, read_profile
from forewarn_collector.destinations._words import tag_of
from forewarn_collector.tickets import Known, Looked, Progress, Refused, Standing, TryAgain

ANSWERING = sorted(kind for kind, one in all_profiles().items() if one.answers)
FINDING = sorted(kind for kind, one in all_profiles().items() if not one.puts)


def look(line: Line, *known: Known) -> Looked:
    asked = known or (Known(ticket_key="k#1", reference=line.reference),)
    ask = all_destinations()[line.kind].look
    assert ask is not None
    with httpx.Client(transport=httpx.MockTransport(line._served)) as http:
        return ask(line.config, asked, http, AT)


def opened(kind: str, **changes: Any) -> Line:
    line = Line(kind, **changes)
    line.tell(story()[0])
    return line


def test_every_system_that_finds_tickets_is_asked_about_them() -> None:
    assert ANSWERING == FINDING


@pytest.mark.parametrize("kind", ANSWERING)
class TestStanding:
    """How one ticket stands, as each system says it."""

    def test_a_new_ticket_is_open_and_nobodys(self, kind: str) -> None:
        line = opened(kind)
        written = line.desk.written
        assert look(line) == (Standing(ticket_key="k#1", progress=Progress.OPEN),)
        assert line.desk.refused == []
        if kind not in ("halopsa",):  # whose login is a request that counts as written
            assert line.desk.written == written

    def test_whoever_is_at_it_is_seen(self, kind: str) -> None:
        line = opened(kind)
        (row,) = line.ours
        spec = line.desk.spec
        assert spec.taken is not None
        row.update(copy.deepcopy(spec.taken))
        assert look(line) == (
            Standing(ticket_key="k#1", progress=Progress.ACKNOWLEDGED, assignee=spec.taken_by),
        )

    def test_what_was_closed_there_is_resolved(self, kind: str) -> None:
        line = opened(kind)
        reference = line.reference
        line.tell(story()[2])  # whoever closes it, it looks the same
        line.reference = reference
        (standing,) = _tuple(look(line))
        assert standing.progress is Progress.RESOLVED

    def test_a_ticket_without_our_key_says_nothing(self, kind: str) -> None:
        line = opened(kind)
        (row,) = line.ours
        mark = line.desk.spec.mark_field
        row[mark] = ["x"] if isinstance(row[mark], list) else "x"
        assert look(line) == ()

    def test_a_ticket_that_is_gone_says_nothing(self, kind: str) -> None:
        line = opened(kind)
        line.desk.rows = {key: row for key, row in line.desk.rows.items() if row not in line.ours}
        assert look(line) == ()

    def test_the_key_of_another_ticket_is_not_taken_for_ours(self, kind: str) -> None:
        line = opened(kind)
        assert look(line, Known(ticket_key="k#2", reference=line.reference)) == ()

    def test_a_system_that_fails_or_refuses_is_no_answer(self, kind: str) -> None:
        line = opened(kind)
        line.desk.trouble = lambda _: httpx.Response(503)
        assert isinstance(look(line), TryAgain)
        line.desk.trouble = lambda _: httpx.ConnectError("no")
        assert isinstance(look(line), TryAgain)
        line.desk.trouble = lambda _: httpx.Response(401)
        assert isinstance(look(line), Refused)

    def test_hostile_texts_are_cut_and_made_plain(self, kind: str) -> None:
        line = opened(kind)
        spec, (row,) = line.desk.spec, line.ours
        if not spec.taken_by:
            pytest.skip("it says no names")
        worst = "\u202eevil\x00" * 100
        row.update(copy.deepcopy(spec.taken or {}))
        for key, value in row.items():
            if value == spec.taken_by:
                row[key] = worst
            elif isinstance(value, dict) and spec.taken_by in value.values():
                row[key] = dict.fromkeys(value, worst)
        (standing,) = _tuple(look(line))
        assert len(standing.assignee) <= 100
        assert not {"\u202e", "\x00"} & set(standing.assignee)


def _tuple(looked: Looked) -> tuple[Standing, ...]:
    assert isinstance(looked, tuple)
    return looked


def test_many_tickets_are_asked_about_in_few_requests() -> None:
    line = Line("rt")
    known = []
    for number in range(60):
        row = line.desk.new(Subject=f"x [fw-{number}]", Status="new", Priority=0)
        known.append(Known(ticket_key=f"k#{number}", reference=str(row["id"])))
    look(line, *known)
    assert len(line.desk.seen) == 3


def test_answers_longer_than_we_read_are_asked_for_in_parts() -> None:
    """Redmine tells whole descriptions; 64 kB are read, and the rest of an answer is cut."""
    line, known = Line("redmine"), []
    for number in range(8):
        row = line.desk.new(
            subject=f"x [{tag_of(f'k#{number}')}]",
            description="long " * (3000 if number else 30_000),
            status_id=2,
        )
        known.append(Known(ticket_key=f"k#{number}", reference=str(row["id"])))
    ask = all_destinations()["redmine"].look
    assert ask is not None
    inner = httpx.MockTransport(line._served)
    guarded = egress.GuardedTransport(inner, (), lambda *_: ["93.184.216.34"])
    with httpx.Client(transport=guarded) as http:
        found = _tuple(ask(line.config, known, http, AT))
    assert {one.ticket_key for one in found} == {f"k#{number}" for number in range(1, 8)}
    assert {one.progress for one in found} == {Progress.ACKNOWLEDGED}


def test_the_administrator_may_say_what_a_state_means() -> None:
    line = opened("rt", states={"Stalled": "open", "in review": "acknowledged"})
    (row,) = line.ours
    for status, progress in (
        ("stalled", Progress.OPEN),
        ("In Review", Progress.ACKNOWLEDGED),
        ("resolved", Progress.RESOLVED),
    ):
        row["Status"] = status
        assert _tuple(look(line))[0].progress is progress


def test_answers_need_a_record_to_read() -> None:
    text = """
kind = "k"
name = "K"
help = "h"
puts = true
answers = {}
create = { method = "POST", path = "/x" }
close = [{ method = "POST", path = "/x" }]
"""
    with pytest.raises((BadProfile, ValueError), match="answers need fetch and record"):
        read_profile(text)
