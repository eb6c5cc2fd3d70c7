"""What is judged: `rules check`, `rules list`, `rules test` and `rules backtest`."""

from collections.abc import Sequence
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import Annotated

import typer
from pydantic import JsonValue

from forewarn_checks.base.durations import write_duration
from forewarn_collector.commands.frame import (
    HERE,
    NOT_WELL,
    AsJson,
    Directory,
    note,
    print_json,
    say,
    tells_trouble,
)
from forewarn_collector.commands.replaying import backtest_rules
from forewarn_collector.instance import find, opened_state, read_settings
from forewarn_collector.rule_tests import read
from forewarn_collector.rule_trial import run
from forewarn_collector.rules.book import BookedRule
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.runbook_url import runbook_url
from forewarn_collector.state import forecasts
from forewarn_collector.toml_file import RulesFile, read_rules, read_toml
from forewarn_collector.track_record import FORETELLING, Coverage

rules = typer.Typer(help="What is judged, and by which marks.", no_args_is_help=True)
rules.command("backtest")(backtest_rules)


@rules.command()
@tells_trouble
def check(directory: Directory = HERE) -> None:
    """Check collector.toml and rules.d as a whole, without touching a running collector.

    Exit code 2: a mistake; the text names file, line, key and mend.
    """
    settings = read_settings(find(directory))
    for warning in settings.config.warnings:
        note(f"warning: {warning}")
    count, places = len(settings.book.names()), len(settings.config.destinations)
    say(f"all is well: {count} rules are on, {places} destinations are told")


@rules.command("list")
@tells_trouble
def list_rules(as_json: AsJson = False, directory: Directory = HERE) -> None:
    """List the rules that are on, as they hold where no scope says otherwise."""
    found = find(directory)
    settings = read_settings(found)
    booked = settings.book.rules()
    records = _records(found, booked)
    if as_json:
        address = settings.config.ticket_url
        print_json({"rules": [_told(one, records.get(one.name), address) for one in booked]})
        return
    for one in booked:
        say(f"{one.name} ({one.check})")
        if one.name in records and records[one.name].words:
            say(f"    {records[one.name].words}")
        # A number and its unit stay together.
        text = _when(one).replace(" %", "\xa0%")
        for line in wrap(text, max(get_terminal_size().columns, 40) - 4):
            say("    " + line.replace("\xa0", " "))


@rules.command("test")
@tells_trouble
def test_rules(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tests, in TOML.")],
    rule: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rules changed as this file says.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run tests of rules: readings in, episodes out.  Needs no instance and no running collector.

    Exit code 1: an expectation was not met; 2: a file makes no sense, and nothing was run.
    """
    if rule is not None:
        read_rules(rule)  # as a whole: a test may look at few of its rules
    changes = {} if rule is None else read_toml(rule, RulesFile).says.rules
    cases = [case for path in files for case in read(path, changes)]
    failures = [failure for case in cases for failure in run(case)]
    if as_json:
        told: list[JsonValue] = [
            {"file": f.file, "line": f.line, "test": f.test, "rule": f.rule, "text": f.text}
            for f in failures
        ]
        print_json({"tests": len(cases), "failures": told})
    else:
        for failure in failures:
            say(str(failure))
        failed = len({(failure.file, failure.test) for failure in failures})
        say(f"{len(cases)} tests, {failed} failed" if failed else f"{len(cases)} tests, all well")
    if failures:
        raise typer.Exit(NOT_WELL)


def _records(directory: Path, rules: Sequence[BookedRule]) -> dict[str, Coverage]:
    """Return how the forecasts of each rule that makes some came out."""
    with opened_state(directory) as database, database.read() as connection:
        return {
            one.name: forecasts.record(connection, clients=None, rule=one.name)
            for one in rules
            if isinstance(one.rule, FORETELLING)
        }


def _told(one: BookedRule, record: Coverage | None, ticket_url: str) -> dict[str, JsonValue]:
    told = _said(one) | {"runbook_url": runbook_url(ticket_url, one.name)}
    if record is not None:
        told["track_record"] = {"tested": record.tested, "inside": record.inside}
    return told


def _said(one: BookedRule) -> dict[str, JsonValue]:
    return {
        "name": one.name,
        "kind": kind_of(one.rule).name,
        "check": one.check,
        "severity": str(one.rule.severity),
        "when": _when(one),
        "advice": one.rule.advice,
    }


def _when(one: BookedRule) -> str:
    """Return e.g. ``critical while smart_passed is 0; held for 10m; over after 10m``."""
    hold = getattr(one.rule, "hold_for", None)
    clear = getattr(one.rule, "clear_for", None)
    parts = [kind_of(one.rule).explain(one.rule)]
    parts += [f"held for {write_duration(hold)}"] if hold else []
    parts += [f"over after {write_duration(clear)}"] if clear else []
    return "; ".join(parts)
