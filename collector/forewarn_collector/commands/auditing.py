"""`forewarn-collector audit …`: was anything altered, and what hosts remember of it."""

from typing import Annotated

import typer
from pydantic import JsonValue

from forewarn_collector import clock, instance
from forewarn_collector.commands.entry import ACTOR
from forewarn_collector.commands.frame import (
    HERE,
    NOT_WELL,
    AsJson,
    Directory,
    print_json,
    say,
    tells_trouble,
)
from forewarn_collector.state import audit, reports
from forewarn_collector.witnessing import verify_key

audits = typer.Typer(help="The log of who did what.", no_args_is_help=True)


@audits.command("verify")
@tells_trouble
def verify(as_json: AsJson = False, directory: Directory = HERE) -> None:
    """Check that no row of the audit log and no service report was altered or taken out.

    The log is compared with what hosts were shown of it, too.  Exit code 1: something is wrong.
    What was taken from the very end of the reports shows only against a copy.
    """
    directory = instance.find(directory)
    with instance.opened_state(directory) as database, database.read() as held:
        log = audit.verify(held, verify_key(directory))
        faults = list(reports.faults(held))
        count = reports.count(held)
    rewound = [f"{one.host} was shown row {one.checkpoint.row}" for one in log.contradicted]
    if as_json:
        told: dict[str, JsonValue] = {
            "audit_broken_at": log.broken_at,
            "audit_rows": log.rows,
            "witnesses_agree": log.agreeing,
            "witnesses_contradict": [*rewound],
            "reports": count,
            "report_faults": [*faults],
        }
        print_json(told)
    else:
        _tell(log, rewound, faults, count)
    if log.broken_at is not None or rewound or faults:
        raise typer.Exit(NOT_WELL)


def _tell(log: audit.Verified, rewound: list[str], faults: list[str], count: int) -> None:
    if log.broken_at is None:
        say(f"audit log: each of {log.rows} rows follows from those before it")
    else:
        say(f"audit log: the chain breaks at row {log.broken_at}: it or one before was changed")
    for one in rewound:
        say(f"audit log: {one}, which is not here as it was")
    if log.agreeing:
        say(f"audit log: {log.agreeing} hosts were shown rows that are here")
    for fault in faults:
        say(f"service reports: {fault}")
    if not faults:
        say(f"service reports: all {count} are as they were written")


@audits.command("accept-rewind")
@tells_trouble
def accept_rewind(
    reason: Annotated[str, typer.Option(help="Why the log was set back, e.g. which backup.")],
    directory: Directory = HERE,
) -> None:
    """Say that the log was set back on purpose, as after a restore; hosts begin to watch anew.

    It is a row of the log itself.
    """
    with instance.opened_state(instance.find(directory)) as database, database.write() as held:
        era = audit.begin_era(held, clock.now(), ACTOR, reason)
    say(f"hosts are shown the log from now on as its {era}. beginning")
