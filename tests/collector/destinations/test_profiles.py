"""Every profile against a strict system in memory: one ticket, whatever is lost on the way."""

import copy
import importlib
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from tests.collector.destinations.contract import AT, DestinationContract, message
from tests.collector.destinations.desk import Desk, Spec

from forewarn_collector.destinations import all_destinations, all_profiles
from forewarn_collector.destinations._words import tag_of
from forewarn_collector.tickets import Delivered, Delivery, Kind, Message, Refused, TryAgain

URL = "https://desk.example.com/base/"
KINDS = sorted(all_profiles())
FINDING = [kind for kind in KINDS if not all_profiles()[kind].puts]
TAG = tag_of("k#1")

TICKET = {
    "key": "k#1",
    "number": 7,
    "title": 'Disk "/srv" of web1 is 93 % full; \'quoted\', {"json": 1} ☃',
    "priority": "P2",
    "severity": "high",
    "state": "new",
    "client": "acme",
    "site": "hq",
    "host": "web1",
    "component": "filesystem /srv",
    "rules": ["DiskAlmostFull"],
    "evidence": [{"rule": "DiskAlmostFull", "shown": "93 %", "advice": "Free <space>."}],
    "opened_at": "2026-02-28T12:00:00.000Z",
    "closed_at": None,
    "url": "https://monitor.example.com/tickets/7",
}


def spec_of(kind: str) -> Spec:
    """Return the system a profile is tested against: the file of its kind in `desks`."""
    spec: Spec = importlib.import_module(f"tests.collector.destinations.desks.{kind}").SPEC
    return spec


def config_of(kind: str, **changes: Any) -> BaseModel:
    table = {"url": URL, **spec_of(kind).config, **changes}
    config: BaseModel = all_destinations()[kind].config.model_validate(table)
    return config


def told(kind: Kind, number: int = 1, reference: str = "", **changes: Any) -> Message:
    """Return the message number `number` about ticket ``k#1``."""
    if kind is Kind.CLOSED:
        changes = {"closed_at": "2026-03-01T11:59:00.000Z", "state": "closed", **changes}
    body = json.dumps({"type": kind, "data": {"ticket": {**TICKET, **changes}}})
    return message(kind, id=f"0-{number}", body=body.encode(), reference=reference)


def story(**changes: Any) -> list[Message]:
    """Return what is told of a ticket that opens, worsens, closes, opens again and closes."""
    kinds = (Kind.OPENED, Kind.UPDATED, Kind.CLOSED, Kind.OPENED, Kind.CLOSED)
    worse = {"priority": "P1", "severity": "critical"}
    return [
        told(kind, number, **{**(worse if kind is Kind.UPDATED else {}), **changes})
        for number, kind in enumerate(kinds)
    ]


class Line:
    """Our side and the other: what is told is repeated until it is settled."""

    def __init__(self, kind: str, **changes: Any) -> None:
        self.kind = kind
        self.desk = Desk(spec_of(kind))
        self.foreign = self.desk.new(**copy.deepcopy(self.desk.spec.foreign))
        if "sys_id" in self.foreign:
            self.desk.rows = {self.foreign["sys_id"]: self.foreign}
        self.as_it_was = copy.deepcopy(self.foreign)
        self.config = config_of(kind, **changes)
        self.reference = ""

    def tell(self, sent: Message) -> Delivery:
        """Deliver once."""
        told = Message(
            id=sent.id,
            kind=sent.kind,
            ticket_key=sent.ticket_key,
            body=sent.body,
            reference=sent.reference or self.reference,
        )
        with httpx.Client(transport=httpx.MockTransport(self._served)) as http:
            delivery = all_destinations()[self.kind].deliver(self.config, told, http, AT)
        if isinstance(delivery, Delivered) and delivery.reference:
            self.reference = delivery.reference
        return delivery

    def settle(self, sent: Message) -> Delivery:
        """Deliver until it is not to be tried again."""
        for _ in range(9):
            delivery = self.tell(sent)
            if not isinstance(delivery, TryAgain):
                return delivery
        raise AssertionError(delivery)

    def _served(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path.startswith("/base/")
        inner = httpx.Request(
            request.method,
            request.url.copy_with(raw_path=request.url.raw_path.removeprefix(b"/base")),
            headers=request.headers,
            content=request.content,
        )
        return self.desk(inner)

    @property
    def ours(self) -> list[dict[str, Any]]:
        """The tickets that carry our mark, or our key where that is it."""
        mark = "k#1" if self.kind == "alertmanager" else TAG
        return self.desk.ours(mark)

    def is_open(self) -> bool:
        """Say whether our one ticket is there and open."""
        assert len(self.ours) <= 1
        return any(not self.desk.spec.closed(row) for row in self.ours)

    def untouched(self) -> bool:
        """Say whether the other ticket is as it was."""
        return any(row == self.as_it_was for row in self.desk.rows.values())


class ProfileContract(DestinationContract):
    """The contract of all destinations for one profile."""

    kind: str

    def other_side(self) -> Callable[[httpx.Request], httpx.Response]:
        return Line(self.kind)._served

    def keys_told(self, *sent: Message) -> list[str]:
        line, keys = Line(self.kind), []
        for one in sent:
            before = len(line.desk.seen)
            assert isinstance(line.settle(one), Delivered)
            requests = line.desk.seen[before:]
            keys += [
                key
                for key in (TAG, "k#1")
                if any(key in f"{r.url.params} {r.content!r} {r.url.path}" for r in requests)
            ][:1]
        return keys


for _kind in KINDS:
    _name = f"Test{_kind.title().replace('_', '')}"
    globals()[_name] = type(
        _name,
        (ProfileContract,),
        {
            "__doc__": f"The contract for {_kind}.",
            "kind": _kind,
            "destination": all_destinations()[_kind],
            "config": config_of(_kind),
            "secrets": spec_of(_kind).secrets,
        },
    )


@pytest.mark.parametrize("kind", KINDS)
class TestStory:
    """One ticket from its opening to its second close, told to each system."""

    def test_it_opens_once_worsens_closes_and_opens_again(self, kind: str) -> None:
        line = Line(kind)
        opens = []
        for sent in story():
            assert isinstance(line.tell(sent), Delivered)
            opens.append(line.is_open())
        assert opens == [True, True, False, True, False]
        assert line.desk.refused == []
        assert line.untouched()

    def test_texts_of_any_length_and_sign_are_taken(self, kind: str) -> None:
        line = Line(kind)
        long = "ü☃'\"\\{tag}{secret}</p>%$^&" * 300
        worst = {"title": long, "component": long[:400], "evidence": [{"rule": "R", "shown": long}]}
        for sent in story(**worst):
            assert isinstance(line.tell(sent), Delivered)
        assert line.desk.refused == []
        assert line.untouched()

    def test_a_wrong_secret_changes_nothing_and_is_for_a_person(self, kind: str) -> None:
        line = Line(kind, secret="wrong")
        delivery = line.tell(story()[0])
        assert isinstance(delivery, Refused)
        assert re.fullmatch(r"status 40[01] at [A-Z]+ /\S+", delivery.reason)
        assert line.ours == []
        assert line.desk.written == int(kind == "pagerduty")  # its login stands in the body

    @pytest.mark.parametrize("way", ["lost before", "lost after", "502 after", "429 before"])
    def test_whatever_request_is_lost_there_is_one_ticket(self, kind: str, way: str) -> None:
        quiet = Line(kind)
        for sent in story():
            quiet.settle(sent)
        for lost in range(len(quiet.desk.seen)):
            line = Line(kind)
            _lose(line.desk, lost, way)
            opens = []
            for sent in story():
                assert isinstance(line.settle(sent), Delivered)
                opens.append(line.is_open())
            assert opens == [True, True, False, True, False], f"request {lost}"
            assert line.desk.refused == []
            assert line.untouched()


def _lose(desk: Desk, number: int, way: str) -> None:
    """Let one request have trouble, the others none."""
    counter = itertools.count()
    broken: dict[str, httpx.Response | Exception] = {
        "lost before": httpx.ConnectError("no"),
        "lost after": httpx.ReadTimeout("late"),
        "502 after": httpx.Response(502),
        "429 before": httpx.Response(429, headers={"retry-after": "1"}),
    }

    def once(_: httpx.Request) -> httpx.Response | Exception | None:
        return broken[way] if next(counter) == number else None

    if way.endswith("after"):
        desk.after = once
    else:
        desk.trouble = once


@pytest.mark.parametrize("kind", FINDING)
class TestFinding:
    """What is found is believed only when it shows our key."""

    def test_a_lost_answer_to_a_create_is_found_not_repeated(self, kind: str) -> None:
        line = Line(kind)
        line.desk.after = lambda r: httpx.ReadTimeout("late") if len(line.ours) else None
        assert isinstance(line.tell(story()[0]), TryAgain)
        assert len(line.ours) == 1
        line.desk.after = lambda _: None
        written = line.desk.written
        delivery = line.tell(story()[0])
        assert isinstance(delivery, Delivered)
        assert delivery.reference == line.reference != ""
        assert line.desk.written == written
        assert len(line.ours) == 1

    def test_a_wrong_record_of_a_search_is_never_touched(
        self, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        line = Line(kind)
        monkeypatch.setattr(Desk, "find", lambda self, mark, field: [line.foreign])
        delivery = line.tell(story()[0])
        assert line.untouched()
        assert len(line.ours) == (1 if isinstance(delivery, Delivered) else 0)
        find = all_profiles()[kind].find
        if find is not None and find.exact:
            assert isinstance(delivery, Refused)
            assert "nothing was touched" in delivery.reason

    def test_a_record_that_lost_our_key_is_left_alone(self, kind: str) -> None:
        line = Line(kind)
        line.tell(story()[0])
        (row,) = line.ours
        row[line.desk.spec.mark_field] = ["x"] if isinstance(_mark(line, row), list) else "x"
        as_it_is, written = copy.deepcopy(row), line.desk.written
        for sent in story()[1:]:
            delivery = line.tell(sent)
            assert isinstance(delivery, Refused)
            assert "does not carry our key" in delivery.reason
        assert row == as_it_is
        assert line.desk.written == written

    def test_what_a_person_deleted_is_not_opened_to_be_closed(self, kind: str) -> None:
        line = Line(kind)
        line.tell(story()[0])
        line.desk.rows = {key: row for key, row in line.desk.rows.items() if row not in line.ours}
        assert isinstance(line.tell(story()[2]), Delivered)
        assert line.ours == []

    def test_what_a_person_closed_is_left_as_it_is(self, kind: str) -> None:
        line = Line(kind)
        for sent in story()[:3]:
            line.tell(sent)
        written = line.desk.written
        assert isinstance(line.tell(told(Kind.CLOSED, 9)), Delivered)
        assert line.desk.written == written

    def test_a_close_that_does_not_hold_is_tried_again(self, kind: str) -> None:
        line = Line(kind)
        line.tell(story()[0])
        open_rows = copy.deepcopy(line.desk.rows)

        def undo(_: httpx.Request) -> None:
            line.desk.rows = copy.deepcopy(open_rows)

        line.desk.after = undo
        delivery = line.tell(story()[2])
        assert isinstance(delivery, TryAgain)
        assert "still open" in delivery.reason

    def test_a_comment_whose_answer_was_lost_is_not_said_twice(self, kind: str) -> None:
        if all_profiles()[kind].heard is None:
            pytest.skip("there is no way to read comments back")
        line = Line(kind)
        line.tell(story()[0])
        line.desk.after = lambda r: httpx.ReadTimeout("late") if line.desk.said else None
        assert isinstance(line.tell(story()[1]), TryAgain)
        line.desk.after = lambda _: None
        assert isinstance(line.tell(story()[1]), Delivered)
        assert len(line.desk.said) == 1


def test_a_long_discussion_does_not_keep_us_from_saying_more() -> None:
    """Of an answer 64 kB are read; a comment that was perhaps made is then made again."""
    line = Line("redmine")
    line.tell(story()[0])
    cut = httpx.Response(200, text='{"issue": {"journals": [{"notes": "long')
    line.desk.trouble = lambda r: cut if "include" in r.url.params else None
    assert isinstance(line.tell(story()[1]), Delivered)
    assert len(line.desk.said) == 1


def _mark(line: Line, row: dict[str, Any]) -> Any:
    return row[line.desk.spec.mark_field]


@pytest.mark.parametrize("kind", [k for k in FINDING if all_profiles()[k].withdraw])
class TestTwins:
    """A network that doubles requests makes two tickets of one; ours takes one back."""

    def test_of_a_doubled_create_one_ticket_stays_open(self, kind: str) -> None:
        line = Line(kind)

        def double(request: httpx.Request) -> None:
            if request.method == "POST" and len(line.desk.ours(TAG)) == 1 and not line.reference:
                line.desk._act(request)

        line.desk.after = double
        assert isinstance(line.tell(story()[0]), Delivered)
        standing = [row for row in line.ours if row.get("status_id") != 6]
        assert [str(row["id"]) for row in standing] == [line.reference]
        assert line.untouched()

    def test_a_persons_ticket_that_quotes_our_mark_stays(self, kind: str) -> None:
        line = Line(kind)
        line.tell(story()[0])
        quoted = line.desk.new(
            **{**line.desk.spec.foreign, line.desk.spec.mark_field: f"Re: x [{TAG}]"}
        )
        as_it_was = copy.deepcopy(quoted)
        for sent in story()[1:]:
            assert isinstance(line.tell(sent), Delivered)
        assert quoted == as_it_was
        assert str(quoted["id"]) in line.desk.rows


def test_every_profile_has_a_system_it_is_tested_against() -> None:
    assert all(spec_of(kind) for kind in KINDS)


def test_systems_that_were_run_say_which_and_others_say_nothing() -> None:
    proven = {kind: one.proven for kind, one in all_profiles().items() if one.proven}
    assert sorted(proven) == ["alertmanager", "redmine", "rt"]
