"""How the agent itself does: what waits, what was lost, what it was told and would not take."""

from collections.abc import Iterator
from datetime import timedelta

from forewarn_checks.base import (
    Check,
    Component,
    Growth,
    Increase,
    Metric,
    NothingToRead,
    Options,
    Panel,
    Reading,
    Severity,
    State,
    Unit,
)

WAITING = Metric("agent_waiting_runs", Unit.COUNT, "Runs in the spool that wait to be sent.")
DROPPED = Metric(
    "agent_dropped_runs",
    Unit.COUNT,
    "Runs that the bounds of the spool cost since it was made; they are lost.",
)
MEMORY = Metric("agent_memory_bytes", Unit.BYTES, "Resident memory of the agent.")
REFUSED = Metric(
    "agent_config_refused",
    Unit.COUNT,
    "1 when the newest settings, from the collector or agent.toml, could not be taken, else 0.",
)
REWOUND = Metric(
    "agent_audit_rewound",
    Unit.COUNT,
    "1 when the collector's audit log lacks rows that it showed this host before, else 0.",
)


def read(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Say that only the resident agent can tell; it puts a reader of its own in this place."""
    raise NothingToRead("only the running agent tells this of itself")
    yield


CHECK = Check(
    name="agent",
    help="The agent itself: runs that wait or were lost, memory, settings it would not take.",
    every=timedelta(minutes=5),
    timeout=timedelta(seconds=5),
    metrics=(WAITING, DROPPED, MEMORY, REFUSED, REWOUND),
    component=Component("agent"),
    read_linux=read,
    read_windows=read,
    rules=(
        State(
            name="ConfigRefused",
            metric=REFUSED,
            severity=Severity.WARNING,
            when=1,
            title="{host} does not take its newest settings",
            advice=(
                "The last good ones stay in force. The fact 'config_problem' of the host says what "
                "is wrong with the new ones: mend agent.toml there, or [checks] of the collector."
            ),
        ),
        State(
            name="AuditRewound",
            metric=REWOUND,
            severity=Severity.HIGH,
            when=1,
            title="The collector's audit log is not the one that {host} was shown",
            advice=(
                "Rows are missing or were changed: somebody who owns the collector may hide what "
                "they did. Was a backup restored? Then say so: forewarn-collector audit "
                "accept-rewind --reason WHY. If not, run forewarn-collector audit verify, and look "
                "whether other hosts say the same."
            ),
        ),
        Growth(
            name="RunsDropped",
            severity=Severity.WARNING,
            any_of=(Increase(metric=DROPPED, by=1),),
            window=timedelta(days=1),
            title="{host} had to drop readings: {value}",
            advice=(
                "More waited than the spool may hold, or its disk was full. Was the collector out "
                "of reach for long (forewarn-agent doctor says so)? Else give it more room: "
                "[spool] megabytes and keep_for in agent.toml."
            ),
        ),
    ),
    panels=(
        Panel(WAITING),
        Panel(MEMORY),
    ),
)
