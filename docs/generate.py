"""Write every page that is made from declarations: metrics, rules, options, commands.

`python docs/generate.py` writes them, `--check` only says which differ.  A test runs the latter,
so that a declaration and its page cannot part.
"""

import re
import sys
from collections.abc import Callable, Iterator
from inspect import cleandoc
from pathlib import Path

import typer
from typer.main import get_command

from forewarn_agent import config as agent_config
from forewarn_agent.cli import app as agent_app
from forewarn_checks.base import Check, Rule
from forewarn_checks.base.catalog import all_checks
from forewarn_checks.base.durations import write_duration
from forewarn_collector import sample_config as collector_sample
from forewarn_collector.cli import app as collector_app
from forewarn_collector.destinations import all_destinations, all_profiles, asked_for
from forewarn_collector.destinations._profile import Profile
from forewarn_collector.rules.book import declared
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.rules.own import OWN_RULES
from forewarn_collector.runbook import Runbook, runbook_of
from forewarn_scripts import library_page
from forewarn_scripts.cli import app as operator_app

ROOT = Path(__file__).resolve().parent.parent
_MADE = "<!-- Made by `make docs` from the declarations; edits here are lost. -->\n"


def condition(rule: Rule) -> str:
    """Return in words when a rule fires and when it clears."""
    hold = getattr(rule, "hold_for", None)
    clear = getattr(rule, "clear_for", None)
    text = kind_of(rule).explain(rule)
    if hold:
        text += f"; held {write_duration(hold)}"
    if clear:
        text += f"; clear for {write_duration(clear)}"
    return text


def cell(text: object) -> str:
    """Return `text` as one cell of a Markdown table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def checks_page(rules_at: str = "../docs/rules.md") -> str:
    """Return every check with its metrics, options and rules; `rules_at` is where runbooks are."""
    lines = [
        _MADE,
        "# What forewarn measures, and what it means\n",
        "One file, one check. Units are base units; what a rule means and how it is changed is in",
        f"its [runbook]({rules_at}).\n",
        "| check | every | Linux | Windows | what |",
        "| --- | --- | --- | --- | --- |",
    ]
    checks = all_checks().values()
    for check in checks:
        systems = ["yes" if r else "no" for r in (check.read_linux, check.read_windows)]
        lines.append(
            f"| [{check.name}](#{check.name}) | {write_duration(check.every)} |"
            f" {systems[0]} | {systems[1]} | {check.help} |"
        )
    for check in checks:
        lines += ["", *_check_section(check, rules_at)]
    lines += [
        "",
        "## Rules of the collector's own\n",
        *_rules_table(tuple(own.rule for own in OWN_RULES), rules_at),
    ]
    return "\n".join(lines) + "\n"


def _check_section(check: Check, rules_at: str) -> Iterator[str]:
    yield f"## {check.name}\n"
    yield (
        f"{check.help} Every {write_duration(check.every)}, given up after"
        f" {write_duration(check.timeout)}"
        + (", in a process of its own" if check.in_child else "")
        + (f"; runs once {_either(check)} is set.\n" if check.works_on else ".\n")
    )
    yield "| metric | unit | labels | what |"
    yield "| --- | --- | --- | --- |"
    for metric in check.metrics:
        labels = ", ".join(metric.labels)
        yield f"| `{metric.name}` | {metric.unit} | {labels} | {cell(metric.help)} |"
    if check.rules:
        yield ""
        yield from _rules_table(check.rules, rules_at)
    if check.options:
        yield "\n| option | default | what |"
        yield "| --- | --- | --- |"
        for option in check.options:
            yield f"| `{option.name}` | `{option.default}` | {cell(option.help)} |"


def _either(check: Check) -> str:
    return " or ".join(f"`{option.name}`" for option in check.works_on)


def _rules_table(rules: tuple[Rule, ...], rules_at: str) -> Iterator[str]:
    yield "| rule | fires | advice |"
    yield "| --- | --- | --- |"
    for rule in rules:
        name = f"[{rule.name}]({rules_at}#{rule.name.lower()})"
        yield f"| {name} | {cell(condition(rule))} | {cell(rule.advice)} |"


def rules_page() -> str:
    """Return docs/rules.md: the runbook of every rule, as the collector's pages show it."""
    lines = [
        _MADE,
        "# Runbooks\n",
        "Every rule as it comes. A collector shows the same at `/rules/NAME`, with the marks",
        "that hold there, its track record and where it fires now; tickets and webhooks name",
        "that address (`runbook_url`). Words in capitals stand for what the ticket says in their",
        "place.\n",
        "Whatever the rule: read the ticket, acknowledge it, do what the advice says, and see",
        "the effect on the host with `forewarn-agent once --check CHECK`. A ticket closes by",
        "itself once the condition is over, unless people worked on it. What grew and is to stay",
        "is taken as it is by `forewarn ticket accept`; what can wait is held back by",
        "`forewarn silence add`.\n",
        "Change a rule under its name in `collector.toml`, everywhere or by scopes, and try the",
        "change on the last week before you believe it:",
        "`forewarn-collector rules backtest --rule changed.toml --compare current`.",
    ]
    for one in declared():
        lines += ["", *_runbook_section(runbook_of(one.booked))]
    return "\n".join(lines) + "\n"


def _runbook_section(book: Runbook) -> Iterator[str]:
    yield f"## {book.name}\n"
    yield f"*{prose(book.title)}*; {book.severity} at first. {' '.join(book.meaning)}\n"
    yield f"- **Fires** {prose(book.fires)}."
    if book.holds:
        yield f"- **Before** {' '.join(book.holds)}"
    yield f"- **Over** {prose(book.ends)}"
    yield f"- **What to do** {prose(book.advice)}"
    if book.scripts:
        named = (f"[{one.name}](../scripts/README.md#{one.name})" for one in book.scripts)
        yield f"- **Scripts that may help** {', '.join(named)}"
    if book.metrics:
        yield f"- **Looks at** {', '.join(f'`{metric.name}`' for metric in book.metrics)}"
    yield f"\n```toml\n{book.settings}\n```"


def prose(text: str) -> str:
    """Return `text` so that Markdown shows every sign of it; what is code already stays."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*_<>\[\]])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def settings_page() -> str:
    """Return docs/settings.md: both files of settings, every option with its default."""
    lines = [
        _MADE,
        "# Settings\n",
        "Two files, one on the collector and one on each host; both may be left as they are.",
        "Unknown keys are errors that name file, line and mend. `forewarn-collector rules check`",
        "and `forewarn-agent config check` read them without touching what runs.\n",
        "## collector.toml\n",
        "In the collector's folder (`/var/lib/forewarn`); rules may also stand in `rules.d/*.toml`",
        "beside it. What begins with # shows a default or an example.\n",
        f"```toml\n{collector_sample.sample_config().rstrip()}\n```\n",
        "## agent.toml\n",
        "In the agent's folder (`/var/lib/forewarn-agent`).\n",
        f"```toml\n{agent_config.sample_config().rstrip()}\n```",
    ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Return docs/commands.md: every command with its options, as `--help` says them."""
    lines = [_MADE, "# Commands\n"]
    for name, app in (
        ("forewarn-agent", agent_app),
        ("forewarn-collector", collector_app),
        ("forewarn", operator_app),
    ):
        lines += [f"## {name}\n", *_command_lines(name, get_command(app)), ""]
    return "\n".join(lines)


def _command_lines(name: str, command: object) -> Iterator[str]:
    subcommands = getattr(command, "commands", None)
    if subcommands:
        if getattr(command, "invoke_without_command", False):  # it answers by itself, too
            yield f"### `{name}`\n"
            yield (getattr(command, "help", "") or "").split("\f")[0].strip() + "\n"
        for word, subcommand in subcommands.items():
            yield from _command_lines(f"{name} {word}", subcommand)
        return
    assert isinstance(command, typer.core.TyperCommand)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([name, *((p.name or "").upper() for p in arguments)])
    yield f"### `{usage}`\n"
    yield (command.help or "").split("\f")[0].strip() + "\n"
    for parameter in command.params:
        help_text = getattr(parameter, "help", None)
        if parameter.param_type_name == "argument":
            yield f"- `{(parameter.name or '').upper()}`: {help_text or ''}".rstrip(": ")
        elif help_text and "--help" not in parameter.opts:
            yield f"- `{', '.join(parameter.opts)}`: {help_text}"
    yield ""


def destinations_page() -> str:
    """Return docs/destinations.md: where tickets can go, and what each place asks for."""
    lines = [
        _MADE,
        "# Where tickets go\n",
        "Each is a table in `collector.toml`, beside `name` and `allow_networks`; a key that",
        "ends in `_file` names a file that holds a secret. A ticket system is asked for our mark",
        "before a ticket is opened in it, so an answer that was lost opens no second one; what it",
        "finds is touched only when it shows our mark; a close is believed when it is shown.",
        "Whoever gets a ticket is told what to do, and where the rule's runbook is (`runbook_url`",
        "in the evidence of webhooks).\n",
        "*Not yet proven* means: the profile follows the maker's reference and passes strict tests",
        "against an imitation, and nobody has run it against the real system; try it with",
        "`forewarn-collector destination test NAME` first.\n",
        "Ticket systems are asked every 15 minutes what became of tickets there, a few at a time:",
        "who took one has taken it here, what was resolved is resolved here, and opened again in",
        "both if it still fires half an hour later. Systems that call by themselves do so by",
        "`POST /api/v1/inbound/NAME` with `destination` in `[inbound.NAME]`, signed as webhooks",
        'are: `{"answer": {"key": "…", "progress": "acknowledged", "assignee": "…"}}`; besides,',
        "`text` is a note, `reference` their own name for a ticket, instead of `key`; progress is",
        "open, acknowledged or resolved.\n",
    ]
    profiles = all_profiles()
    for kind, destination in all_destinations().items():
        profile = profiles.get(kind)
        lines.append(f"## {kind}\n")
        if profile is None:
            lines.append(cleandoc(destination.config.__doc__ or "") + "\n")
        else:
            proven = f"Proven against {profile.proven}." if profile.proven else "*Not yet proven.*"
            lines.append(f"{profile.name}. {profile.help} {proven}\n")
        lines += ["| key | default | what |", "| --- | --- | --- |"]
        for key, default, told in asked_for(destination.config):
            lines.append(f"| `{key}` | {cell(default)} | {cell(told)} |")
        lines += [*_names_in(profile), *_answers_of(profile)] if profile else []
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _names_in(profile: Profile) -> Iterator[str]:
    """Return what the other system calls our priorities and severities."""
    for name, one in profile.maps.items():
        values = ", ".join(f"{ours} = {theirs}" for ours, theirs in one.values.items())
        yield f"\n`maps.{name}`: {values or f'must be given for every {one.of}'}."


def _answers_of(profile: Profile) -> Iterator[str]:
    """Return what is taken over from the other system."""
    if profile.answers is None:
        return
    states = [f"{theirs} = {meant}" for theirs, meant in profile.answers.states.items()]
    closed = profile.record.closed if profile.record else ()
    closed = tuple("closed" if state == "true" else state for state in closed)
    states += [f"{state} = resolved" for state in closed if "{" not in state]
    who = "with the assignee's name" if profile.answers.assignee else "without a name"
    yield f"\nAnswers, {who}: {', '.join(states) or 'by its closed status'}; else open."


PAGES: dict[str, Callable[[], str]] = {
    "checks/README.md": checks_page,
    "docs/checks.md": lambda: checks_page("rules.md"),
    "docs/rules.md": rules_page,
    "docs/settings.md": settings_page,
    "docs/agent.toml": agent_config.sample_config,
    "docs/collector.toml": collector_sample.sample_config,
    "docs/commands.md": commands_page,
    "docs/destinations.md": destinations_page,
    "scripts/README.md": lambda: _MADE + "\n" + library_page.page(),
}


def differing() -> list[str]:
    """Return the pages that are not what the declarations say."""
    return [
        name
        for name, make in PAGES.items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text("utf-8") != make()
    ]


def main() -> int:
    """Write what differs, or with ``--check`` only name it; return the exit code."""
    stale = differing()
    if "--check" in sys.argv:
        for name in stale:
            print(f"{name} differs from the declarations: run `make docs`")
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).write_text(PAGES[name](), "utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
