"""What is judged: `rules check`, `rules list`, `rules test` and `rules backtest`."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from forewarn_collector.commands.frame import (
    HERE,
    NOT_WELL,
    AsJson,
    Directory,
    note,
    print_json,
    print_table,
    say,
    tells_trouble,
)
from forewarn_collector.commands.replaying import backtest_rules
from forewarn_collector.instance import find, read_settings
from forewarn_collector.rule_tests import read
from forewarn_collector.rule_trial import run
from forewarn_collector.rules.book import BookedRule
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.toml_file import RulesFile, read_toml

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
    booked = read_settings(find(directory)).book.rules()
    if as_json:
        print_json({"rules": [_told(one) for one in booked]})
        return
    print_table(
        ("rule", "check", "severity", "fires when"),
        [(one.name, one.check, str(one.rule.severity), _when(one)) for one in booked],
    )


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


def _told(one: BookedRule) -> dict[str, JsonValue]:
    return {
        "name": one.name,
        "kind": kind_of(one.rule).name,
        "check": one.check,
        "severity": str(one.rule.severity),
        "when": _when(one),
        "advice": one.rule.advice,
    }


def _when(one: BookedRule) -> str:
    return kind_of(one.rule).explain(one.rule)
