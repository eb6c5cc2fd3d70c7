"""Tests of rules, written in TOML: series in, episodes out.  `rules test` runs them.

    [[tests]]
    name = "a disk that stays full is one episode"
    every = "5m"
    series = [{metric = "disk_used_ratio", labels = {mountpoint = "/"}, values = "0.5x3 0.95x12"}]
    events = [{at = "30m", do = "gap", for = "1h"}]
    expect = [{rule = "DiskAlmostFull", opens = 1, opened_between = ["30m", "50m"]}]

Times count from the first reading.  Only the rules named under `expect` are judged; ``tickets = 1``
beside it says on how many tickets all their episodes are, after grouping.  Events:
``gap`` (no readings are made), ``offline`` (made, and sent all at once afterwards), ``late`` (sent
`by` later), ``skew`` (the host's clock is wrong by `by`, ``"-3h"`` for behind; nothing may come of
it but `ClockWrong`), ``restart`` (of the collector, away for `for`), ``maintenance`` (what begins
is held until ten minutes after it, and opens then if it still fires), ``silence`` (the same for one
`rule`, or all, without those ten minutes).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
)

from forewarn_checks.base import Severity
from forewarn_collector.rules.book import BadRule, Declared, RuleBook, declared
from forewarn_collector.rules.change import Duration, RuleChange
from forewarn_collector.rules.change import duration as _positive
from forewarn_collector.rules.notation import parse_series
from forewarn_collector.scopes import meant
from forewarn_collector.toml_file import TomlFile, read_toml

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
SHORTEST = timedelta(seconds=1)


def _signed(value: object) -> timedelta:
    if isinstance(value, str) and value[:1] in ("+", "-"):
        span = _positive(value[1:])
        return -span if value[0] == "-" else span
    return _positive(value)


def _series(text: str) -> str:
    parse_series(text)
    return text


Signed = Annotated[timedelta, BeforeValidator(_signed)]
"""A duration that may begin with + or -."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Series(_Table):
    """Readings of one metric, one every interval of the test."""

    metric: str
    labels: Mapping[str, str] = Field(default_factory=dict)
    values: Annotated[str, AfterValidator(_series)]
    host: str = "web1"


class Event(_Table):
    """Something that happens to the line between host and collector, or to either."""

    at: Duration
    do: Literal["gap", "offline", "late", "skew", "restart", "maintenance", "silence"]
    for_: Duration = Field(default=timedelta(0), alias="for")
    by: Signed = timedelta(0)
    host: str | None = None
    rule: str = ""


class Expectation(_Table):
    """What must come of one rule: of its first episode, unless `opens` says how many."""

    rule: str
    host: str | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    never: StrictBool = False
    opens: StrictInt | None = Field(default=None, ge=0)
    flaps_held: int | None = Field(default=None, ge=0)
    opened_between: tuple[Duration, Duration] | None = None
    closed_between: tuple[Duration, Duration] | None = None
    still_open: StrictBool | None = None
    severity: Severity | None = None
    title: str | None = None


class RuleTest(_Table):
    """One test: hosts of one class, their readings, what happens and what must come of it."""

    name: str = Field(min_length=1)
    every: Duration = timedelta(minutes=5)
    run_for: Duration | None = None
    host_class: Literal["server", "workstation", "roaming"] = "server"
    rules: Mapping[str, RuleChange] = Field(default_factory=dict)
    series: tuple[Series, ...] = Field(min_length=1)
    events: tuple[Event, ...] = ()
    expect: tuple[Expectation, ...] = Field(min_length=1)
    tickets: StrictInt | None = Field(default=None, ge=0)


class TestFile(_Table):
    """What a file of tests holds."""

    tests: tuple[RuleTest, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Case:
    """One test with the book it is judged by."""

    file: TomlFile[TestFile]
    index: int
    test: RuleTest
    book: RuleBook = field(repr=False)


def read(path: Path, changes: Mapping[str, RuleChange]) -> list[Case]:
    """Return the tests of a file, with rules as changed.  Raises ConfigError."""
    file = read_toml(path, TestFile)
    return [_case(file, index, test, changes) for index, test in enumerate(file.says.tests)]


def _case(
    file: TomlFile[TestFile], index: int, test: RuleTest, changes: Mapping[str, RuleChange]
) -> Case:
    known = {one.booked.name: one for one in declared()}
    for place, expected in enumerate(test.expect):
        if expected.rule not in known:
            text = f"there is no rule {expected.rule}{meant(expected.rule, known)}"
            raise file.wrong(("tests", index, "expect", place, "rule"), text)
    wanted = [known[name] for name in dict.fromkeys(one.rule for one in test.expect)]
    names = {one.booked.name for one in wanted}
    stated = {name: change for name, change in changes.items() if name in names}
    try:
        book = RuleBook(wanted, stated | dict(test.rules))
    except BadRule as bad:
        raise file.wrong(("tests", index, *bad.path), str(bad)) from None
    _check_series(file, index, test, wanted)
    _check_events(file, index, test)
    _check_expected(file, index, test)
    if test.every < SHORTEST:
        raise file.wrong(("tests", index, "every"), "write 1s or more")
    return Case(file, index, test, book)


def _check_events(file: TomlFile[TestFile], index: int, test: RuleTest) -> None:
    """Refuse events that would do nothing, or something else than was meant."""
    hosts = {series.host for series in test.series}
    for place, event in enumerate(test.events):
        where = ("tests", index, "events", place)
        if event.host is not None and event.host not in hosts:
            text = f"no series is of host {event.host}{meant(event.host, hosts)}"
            raise file.wrong((*where, "host"), text)
        if event.do == "restart" and event.host is not None:
            raise file.wrong((*where, "host"), "a restart is the collector's; take it out")
        if event.do != "restart" and not event.for_:
            raise file.wrong(
                (*where, "for"), f'is missing; write how long, for = "1h", of {event.do}'
            )
        takes = event.do in ("late", "skew")
        if takes and not event.by:
            raise file.wrong(
                (*where, "by"), f'is missing; write by how much, by = "2h", of {event.do}'
            )
        if not takes and event.by:
            raise file.wrong((*where, "by"), f"{event.do} takes none; take it out")
        if event.do == "late" and event.by < timedelta(0):
            raise file.wrong(
                (*where, "by"), "nothing arrives before it was sent; write it without -"
            )


def _check_expected(file: TomlFile[TestFile], index: int, test: RuleTest) -> None:
    """Refuse expectations that contradict themselves or can never be met."""
    hosts = {series.host for series in test.series}
    for place, expected in enumerate(test.expect):
        where = ("tests", index, "expect", place)
        said = expected.model_fields_set - {"rule", "host", "labels", "never"}
        if expected.never and said:
            names = ", ".join(sorted(said))
            raise file.wrong(
                (*where, "never"), f"of what never opens nothing else is true: {names}"
            )
        if expected.opens == 0 and said - {"opens"}:
            raise file.wrong((*where, "opens"), "of what never opens nothing else is true")
        if expected.host is not None and expected.host not in hosts:
            text = f"no series is of host {expected.host}{meant(expected.host, hosts)}"
            raise file.wrong((*where, "host"), text)
        for name in ("opened_between", "closed_between"):
            span = getattr(expected, name)
            if span is not None and span[0] > span[1]:
                raise file.wrong((*where, name), "ends before it begins; turn the two round")
        if expected.still_open and expected.closed_between is not None:
            raise file.wrong((*where, "still_open"), "contradicts closed_between; take one out")


def _check_series(
    file: TomlFile[TestFile], index: int, test: RuleTest, wanted: Sequence[Declared]
) -> None:
    """Refuse series that no rule of the test could ever see."""
    metrics = {name: metric for one in wanted for name, metric in one.booked.metrics.items()}
    for place, series in enumerate(test.series):
        where = ("tests", index, "series", place)
        metric = metrics.get(series.metric)
        if metrics and metric is None:
            text = f"no rule of this test knows {series.metric}{meant(series.metric, metrics)}"
            raise file.wrong((*where, "metric"), text)
        for label in series.labels:
            if metric is not None and label not in metric.labels:
                known = ", ".join(metric.labels) or "none"
                text = f"{series.metric} has no label {label}; it has {known}"
                raise file.wrong((*where, "labels"), text)
