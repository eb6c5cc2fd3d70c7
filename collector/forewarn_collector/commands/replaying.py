"""`rules backtest`: what rules would have told of, had they been in force."""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue, TypeAdapter
from rich.console import Console
from rich.progress import Progress

from forewarn_checks.base.durations import parse_duration
from forewarn_collector import backtest, clock, control
from forewarn_collector.backtest import Outcome, Source
from forewarn_collector.commands.frame import (
    HERE,
    NOT_WELL,
    WRONG_USE,
    AsJson,
    Directory,
    fail,
    note,
    print_json,
    print_table,
    say,
    tells_trouble,
)
from forewarn_collector.control import NotRunning
from forewarn_collector.dating import microseconds
from forewarn_collector.instance import find, opened_state, read_settings
from forewarn_collector.replay import Replayed
from forewarn_collector.rules.book import RuleBook, declared
from forewarn_collector.samples.duck import DuckSampleStore
from forewarn_collector.samples.series_file import BadSeriesFile
from forewarn_collector.samples.spread import Spread
from forewarn_collector.state.alerts import downtimes_since
from forewarn_collector.state.hosts import Hosts
from forewarn_collector.toml_file import read_rules

_SHOWN = 20
_SPREAD = TypeAdapter(Spread)


@tells_trouble
def backtest_rules(
    since: Annotated[
        str, typer.Option("--from", metavar="WHEN", help="2026-03-01T00:00Z, or 7d: 7 days ago.")
    ] = "7d",
    until: Annotated[str, typer.Option("--to", metavar="WHEN", help="As --from.")] = "0s",
    rule: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rules changed as this file says.")
    ] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="current", help="Tell what the rules in force do besides.")
    ] = None,
    series: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV or Parquet: host, metric, labels, ts, value."),
    ] = None,
    silence: Annotated[
        bool,
        typer.Option("--silence", help="With --series: the file holds all its hosts ever sent."),
    ] = False,
    as_received: Annotated[
        bool,
        typer.Option("--as-received", help="In the order received: what came late comes late."),
    ] = False,
    most: Annotated[
        float | None,
        typer.Option("--max-episodes-per-host-week", metavar="N", help="More: exit code 1."),
    ] = None,
    as_json: AsJson = False,
    directory: Directory = HERE,
) -> None:
    """Replay what was read, and count what the rules would have told of.

    As if every reading had come when it was taken, or with --as-received just as they came.
    A file of --series says nothing of when its hosts were heard, so silence is judged only with
    --silence.
    Exit code 1: more episodes a host and week than --max-episodes-per-host-week.
    """
    if compare not in (None, "current"):
        fail(f"--compare {compare}: write --compare current, the rules in force", WRONG_USE)
    if most is not None and not 0 <= most < inf:
        fail(f"--max-episodes-per-host-week {most}: write a number from 0 up", WRONG_USE)
    if silence and series is None:
        fail(
            "--silence goes with --series FILE; what is stored says when hosts were heard",
            WRONG_USE,
        )
    if series is not None:
        current = RuleBook(declared())
        outcomes = [
            _over_file(series, book, hears=silence) for book in _books(rule, compare, current)
        ]
    else:
        found = find(directory)
        began, ended = _moment(since), _moment(until)
        if began >= ended:
            fail("--from must be before --to; write --from 7d --to 0s", WRONG_USE)
        books = _books(rule, compare, read_settings(found).book)
        outcomes = [
            _over_store(found, book, began, ended, as_received=as_received) for book in books
        ]
    _tell(outcomes, as_json)
    rate = len(outcomes[0].episodes) / outcomes[0].host_weeks
    if most is not None and rate > most:
        note(f"{rate:.3g} episodes a host and week, more than {most:g}")
        raise typer.Exit(NOT_WELL)


def _books(rule: Path | None, compare: str | None, current: RuleBook) -> list[RuleBook]:
    """Return the book to judge by, and after it the one to compare with."""
    tried = current if rule is None else read_rules(rule)
    for warning in tried.warnings:
        note(f"warning: {warning}")
    return [tried] if compare is None else [tried, current]


# -- where from ----------------------------------------------------------------------------------


def _over_file(path: Path, book: RuleBook, *, hears: bool) -> Outcome:
    try:
        source, began, ended = backtest.from_file(path, book, hears=hears)
    except BadSeriesFile as bad:
        fail(str(bad), WRONG_USE)
    return _run(source, book, began, ended + 1)


def _over_store(
    directory: Path, book: RuleBook, began: datetime, ended: datetime, *, as_received: bool
) -> Outcome:
    first, last = microseconds(began), microseconds(ended)
    with opened_state(directory) as database:
        hosts = {host.number: host for host in Hosts(database).all() if not host.revoked}
        with database.read() as connection:
            away = [
                (microseconds(one), microseconds(other))
                for one, other in downtimes_since(connection, began)
            ]
    with _spread(directory) as spread:
        source = backtest.stored(
            spread,
            hosts,
            backtest.wanted(book),
            first,
            last,
            away,
            looked_back=backtest.looked_back(book),
            as_received=as_received,
        )
        return _run(source, book, first, last)


@contextmanager
def _spread(directory: Path) -> Iterator[Spread]:
    """Give where everything lies: asked of the running collector, or looked up without one."""
    into = directory / "replay" / clock.uuid7(clock.now())
    try:
        try:
            spread = _SPREAD.validate_python(control.ask(directory, "spread"))
            into = Path(spread.tail).parent
        except NotRunning:
            store = DuckSampleStore(directory / "samples")
            try:
                spread = store.spread(into)
            finally:
                store.close()
        yield spread
    finally:
        shutil.rmtree(into, ignore_errors=True)


def _run(source: Source, book: RuleBook, began: int, ended: int) -> Outcome:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replaying", total=float(ended - began))
        for step in backtest.replay(source, book, began, ended):
            if isinstance(step, Outcome):
                return step
            progress.update(task, completed=float(step - began))
    raise AssertionError("a replay ends with what came of it")


def _moment(text: str) -> datetime:
    try:
        return clock.now() - parse_duration(text)
    except ValueError:
        pass  # then it is a moment
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text!r} is no moment; write 2026-03-01T00:00Z, or 7d for 7 days ago", WRONG_USE)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# -- what came of it -----------------------------------------------------------------------------


def _tell(outcomes: Sequence[Outcome], as_json: bool) -> None:
    outcome = outcomes[0]
    figures = backtest.summary(outcome)
    added: list[Replayed] = []
    removed: list[Replayed] = []
    if len(outcomes) > 1:
        added = backtest.missing(outcome.episodes, outcomes[1].episodes)
        removed = backtest.missing(outcomes[1].episodes, outcome.episodes)
        figures["compared"] = {
            "current": backtest.summary(outcomes[1]),
            "added": [_short(one) for one in added],
            "removed": [_short(one) for one in removed],
        }
    if as_json:
        print_json({"rules": backtest.by_rule(outcome), "summary": figures})
        return
    _say_rules(outcome)
    _say_figures(figures)
    for sign, some in (("added", added), ("removed", removed)):
        for one in some[:_SHOWN]:
            say(f"{sign}: {one.title} ({one.rule}, {_lasting(one)})")
        if len(some) > _SHOWN:
            say(f"{sign}: {len(some) - _SHOWN} more; --json tells all")


def _say_rules(outcome: Outcome) -> None:
    counts = Counter(one.rule for one in outcome.episodes)
    hosts = Counter(rule for rule, _ in {(one.rule, one.host.number) for one in outcome.episodes})
    rows = [(name, str(count), str(hosts[name])) for name, count in counts.most_common()]
    print_table(("rule", "episodes", "hosts"), rows)


def _say_figures(figures: Mapping[str, JsonValue]) -> None:
    say(
        f"{figures['points']} readings of {figures['hosts']} hosts: {figures['episodes']} episodes"
        f" ({figures['episodes_per_host_week']} a host and week, {figures['flaps_held']} flaps"
        f" held), {figures['tickets']} tickets ({figures['tickets_per_host_week']})"
    )
    noisiest = figures["noisiest"]
    assert isinstance(noisiest, list)
    for one in noisiest:
        assert isinstance(one, dict)
        say(f"  {one['host']}: {one['episodes']}")
    _say_forecasts(figures["forecasts"])
    say(f"Not simulated: {figures['not_simulated']}.")


def _say_forecasts(figures: JsonValue) -> None:
    assert isinstance(figures, dict)
    if not figures["made"]:
        return
    tested = sum(int(str(figures[name])) for name in ("inside", "early", "late"))
    say(
        f"{figures['made']} forecasts: {figures['inside']} of {tested} came true within their "
        f"interval ({figures['early']} earlier, {figures['late']} later), {figures['ended']} ended "
        f"with the growth, {figures['waiting']} wait"
    )
    lead = figures["median_lead_hours"]
    if lead is not None:
        reached, told = figures["episodes_reached"], figures["episodes"]
        say(f"{reached} of {told} episodes of forecasts: the level was reached, {lead} h later")


def _short(one: Replayed) -> dict[str, JsonValue]:
    return {
        "rule": one.rule,
        "host": one.host.name,
        "component": one.component,
        "severity": str(one.severity),
        "title": one.title,
    }


def _lasting(one: Replayed) -> str:
    if one.closed_at is None:
        return "open at the end"
    return f"for {timedelta(microseconds=one.closed_at - one.opened_at)}"
