"""Compare a host after its maintenance with how it was before: what is still wrong?

Only what the maintenance changed is a finding; what was broken before it is not its fault.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from forewarn_checks import disk, services, uptime
from forewarn_checks.base import Component, Outcome
from forewarn_checks.base.catalog import all_checks
from forewarn_collector.samples import CheckStatus, Reading
from forewarn_collector.text import plain

SECOND = 1_000_000
SILENT_FOR = 600 * SECOND
"""Not heard for so long, with our own absences taken off, and a host is silent."""
_SAME_BOOT = 120 * SECOND
"""Start times told by two readings of one boot differ by less."""
_MISSED = 3
"""A check that ran no more for so many of its intervals is silent."""
_MOST = 200
_BAD = (Outcome.FAILED, Outcome.TIMED_OUT)


class FindingKind(StrEnum):
    """What can be wrong after a maintenance that was not before, the worst first."""

    SILENT = "silent"
    MOUNT_GONE = "mount_gone"
    SERVICE_FAILED = "service_failed"
    CHECK_FAILING = "check_failing"
    CHECK_SILENT = "check_silent"


_TEXTS = {
    FindingKind.SILENT: "it has not come back",
    FindingKind.MOUNT_GONE: "{name} is no longer mounted",
    FindingKind.SERVICE_FAILED: "service {name} failed",
    FindingKind.CHECK_FAILING: "check {name} fails",
    FindingKind.CHECK_SILENT: "check {name} runs no more",
}
_COMPONENTS = {
    FindingKind.SILENT: Component("host"),
    FindingKind.MOUNT_GONE: disk.CHECK.component,
    FindingKind.SERVICE_FAILED: services.CHECK.component,
    FindingKind.CHECK_FAILING: Component("check", ("check",)),
    FindingKind.CHECK_SILENT: Component("check", ("check",)),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; `name` is of the mount, service or check, "" for the host."""

    kind: FindingKind
    name: str = ""

    @property
    def component(self) -> str:
        """The component a rule about the same thing names."""
        component = _COMPONENTS[self.kind]
        return component.name(dict.fromkeys(component.labels, self.name))

    @property
    def text(self) -> str:
        """What is wrong, in words for people; names come from hosts and are cleaned."""
        return _TEXTS[self.kind].format(name=plain(self.name, 200))


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How a host was at one moment, as far as its readings tell.

    `booted` is when it started, in microseconds, None when unknown.  `mounts` and
    `failed_services` are None when their check did not tell; `failing` are checks whose latest
    run failed, `ran` all checks with when they last ran.
    """

    heard: bool
    booted: int | None
    mounts: frozenset[str] | None
    failed_services: frozenset[str] | None
    failing: frozenset[str]
    ran: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of a host: `rebooted` is None when it cannot be told."""

    rebooted: bool | None
    findings: tuple[Finding, ...]


def observe(readings: Iterable[Reading], statuses: Sequence[CheckStatus], silent: int) -> Condition:
    """Return how a host is by its latest readings; it was silent for `silent` microseconds."""
    latest = {one.check: one for one in statuses}
    current: dict[str, set[str]] = {}
    booted = None
    for one in readings:
        if one.metric == uptime.UPTIME.name:
            booted = one.at - round(one.value * SECOND)
        elif one.metric == disk.SIZE.name and _is_current(one, latest.get(disk.CHECK.name)):
            current.setdefault("mounts", set()).add(one.labels.get("mountpoint", ""))
        elif (
            one.metric == services.FAILED.name
            and one.value == 1.0
            and _is_current(one, latest.get(services.CHECK.name))
        ):
            current.setdefault("services", set()).add(one.labels.get("service", ""))
    return Condition(
        heard=silent < SILENT_FOR,
        booted=booted,
        mounts=_told(latest.get(disk.CHECK.name), current.get("mounts")),
        failed_services=_told(latest.get(services.CHECK.name), current.get("services")),
        failing=frozenset(one.check for one in statuses if one.outcome in _BAD),
        ran={one.check: one.at for one in statuses},
    )


def compare(before: Condition, after: Condition, started: int, now: int) -> Comparison:
    """Return what a maintenance that began at `started` left behind."""
    if not after.heard:
        findings = (Finding(FindingKind.SILENT),) if before.heard else ()
        return Comparison(None, findings)
    found: list[Finding] = []
    if before.mounts is not None and after.mounts is not None:
        gone = sorted(before.mounts - after.mounts)
        found += [Finding(FindingKind.MOUNT_GONE, name) for name in gone]
    if after.failed_services is not None:
        failed = sorted(after.failed_services - (before.failed_services or frozenset()))
        found += [Finding(FindingKind.SERVICE_FAILED, name) for name in failed]
    failing = sorted(after.failing - before.failing)
    found += [Finding(FindingKind.CHECK_FAILING, name) for name in failing]
    found += [Finding(FindingKind.CHECK_SILENT, name) for name in _silent(before, after, now)]
    return Comparison(_rebooted(before, after, started), tuple(found[:_MOST]))


def _rebooted(before: Condition, after: Condition, started: int) -> bool | None:
    if after.booted is None:
        return None
    if before.booted is not None and after.booted <= before.booted + _SAME_BOOT:
        return False
    return after.booted > started - _SAME_BOOT


def _silent(before: Condition, after: Condition, now: int) -> list[str]:
    """Return the checks that ran before and run no more."""
    every = {name: check.every for name, check in all_checks().items()}
    silent = []
    for name, last in after.ran.items():
        if name not in before.ran or last > before.ran[name] or name not in every:
            continue
        patience = max(_MISSED * round(every[name].total_seconds()) * SECOND, SILENT_FOR)
        if now - last > patience:
            silent.append(name)
    return sorted(silent)


def _is_current(reading: Reading, status: CheckStatus | None) -> bool:
    """Say whether a reading is of its check's latest run: a gone mount keeps its last value."""
    return status is not None and reading.at >= status.at


def _told(status: CheckStatus | None, names: set[str] | None) -> frozenset[str] | None:
    if status is None or status.outcome is not Outcome.OK:
        return None
    return frozenset(names or ())


# -- kept ----------------------------------------------------------------------------------------


def write_condition(condition: Condition) -> dict[str, Any]:
    """Return a condition as JSON."""
    return {
        "heard": condition.heard,
        "booted": condition.booted,
        "mounts": None if condition.mounts is None else sorted(condition.mounts)[:_MOST],
        "failed_services": None
        if condition.failed_services is None
        else sorted(condition.failed_services)[:_MOST],
        "failing": sorted(condition.failing),
        "ran": dict(condition.ran),
    }


def read_condition(kept: Mapping[str, Any]) -> Condition:
    """Return the condition that JSON of ours says."""
    mounts, failed = kept["mounts"], kept["failed_services"]
    return Condition(
        heard=kept["heard"],
        booted=kept["booted"],
        mounts=None if mounts is None else frozenset(mounts),
        failed_services=None if failed is None else frozenset(failed),
        failing=frozenset(kept["failing"]),
        ran=kept["ran"],
    )
