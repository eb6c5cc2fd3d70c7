"""What is judged: `rules check` and `rules list`."""

import typer
from pydantic import JsonValue

from forewarn_collector.commands.frame import (
    HERE,
    AsJson,
    Directory,
    note,
    print_json,
    print_table,
    say,
    tells_trouble,
)
from forewarn_collector.instance import find, read_settings
from forewarn_collector.rules.book import BookedRule
from forewarn_collector.rules.kinds import kind_of

rules = typer.Typer(help="What is judged, and by which marks.", no_args_is_help=True)


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
