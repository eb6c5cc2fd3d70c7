"""`bench`: what one collector carries on this machine."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from forewarn_collector.commands.frame import (
    NOT_WELL,
    AsJson,
    fail,
    print_json,
    print_table,
    tells_trouble,
)


@tells_trouble
def bench(
    hosts: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many are simulated.")] = (
        1000
    ),
    minutes: Annotated[float, typer.Option(min=0.2, help="For how long they send.")] = 3.0,
    keep: Annotated[
        Path | None,
        typer.Option(help="A folder that does not exist yet, kept for a look afterwards."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send what a fleet sends to a collector of its own, and measure it.

    Every simulated host signs and sends a batch of 30 samples a minute.  Touches no other
    instance.  Exit code 1: the bench could not be run.
    """
    # Not above: no other command needs it.
    from forewarn_collector.bench import BenchFailed, run

    console = Console(stderr=True)
    with console.status(f"{hosts} hosts for {minutes:g} minutes") as status:
        try:
            report = run(hosts, minutes, keep, status.update).to_json()
        except BenchFailed as failed:
            fail(str(failed), NOT_WELL)
    if as_json:
        print_json(report)
        return
    print_table(("measured", "value"), [(name, _shown(value)) for name, value in report.items()])


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(one)}" for name, one in value.items())
    if value is None:
        return "nothing to measure"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
