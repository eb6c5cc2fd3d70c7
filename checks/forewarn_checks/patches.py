"""Updates that wait to be installed."""

import contextlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from forewarn_checks import _patches_apt as apt
from forewarn_checks._process import Execute, execute
from forewarn_checks.base import (
    Check,
    Component,
    Fact,
    Level,
    Metric,
    NothingToRead,
    Option,
    Options,
    Panel,
    Reading,
    Severity,
    State,
    Threshold,
    Unit,
    WrongSystem,
)
from forewarn_checks.base.durations import parse_duration
from forewarn_checks.linux.reboot import read_reboot

MISSING = Metric(
    "patches_missing",
    Unit.COUNT,
    "Updates offered and not installed, held packages included; kind is security or other.  "
    "A zero is given only while the package lists are current.",
    ("kind",),
)
OLDEST = Metric(
    "patches_oldest_age_seconds",
    Unit.SECONDS,
    "How long the oldest missing update has been on offer, at least: since the agent first saw it "
    "or since the date of the package list that has it; 0 when none is missing.",
)
OLDEST_SECURITY = Metric(
    "patches_oldest_security_age_seconds",
    Unit.SECONDS,
    "The same for the oldest missing security update.",
)
REFRESH = Metric(
    "patches_refresh_age_seconds",
    Unit.SECONDS,
    "Time since every package list was last compared with its server.",
)
KNOWN = Metric(
    "patches_status_known",
    Unit.COUNT,
    "1 while the package lists are there and current, 0 while nobody can say what is missing.",
)
HELD = Metric("patches_held", Unit.COUNT, "Missing updates of packages on hold.")
HALF_CONFIGURED = Metric(
    "patches_half_configured", Unit.COUNT, "Packages unpacked but never configured."
)
REBOOT = Metric(
    "reboot_required",
    Unit.COUNT,
    "1 while a restart would finish an update, 0 when nothing asks for one.",
)

MEMORY_NAME = "patches-seen.json"
_MOST_ROWS = 500
_MOST_REMEMBERED = 5000
_OTHERS = ("dnf", "yum", "zypper", "pacman", "apk")


def read_linux(options: Options) -> Iterator[Reading]:
    """Ask apt what is missing.

    Raises NothingToRead without apt or without package lists, CannotRead when apt fails.
    """
    if sys.platform == "win32":
        raise WrongSystem
    apt_get = shutil.which("apt-get")
    if apt_get is None:
        other = next((name for name in _OTHERS if shutil.which(name)), "no package manager")
        raise NothingToRead(
            f"apt-get not found; {other} is here, but only apt (Debian, Ubuntu and kin) is read so "
            "far.  Turn the check off: [checks.patches] enabled = false"
        )
    yield Fact("package_manager", "apt")
    reboot = read_reboot(platform.release())
    yield REBOOT.sample(bool(reboot.pending))
    directory = os.environ.get("FOREWARN_AGENT_DIR")
    yield from read_apt(
        apt_get,
        options,
        execute,
        now=datetime.fromtimestamp(time.time(), UTC),
        lists=apt.read_lists(apt.LISTS),
        stamp=apt.read_stamp(apt.STAMP),
        memory=Path(directory) / MEMORY_NAME if directory else None,
    )


def read_apt(
    apt_get: str,
    options: Options,
    run: Execute,
    *,
    now: datetime,
    lists: Sequence[apt.PackageList],
    stamp: datetime | None,
    memory: Path | None,
) -> Iterator[Reading]:
    """Read the state of updates from `lists` and a simulated upgrade.

    `memory` is the file that keeps when each update was first seen; None keeps nothing.
    """
    if not lists:
        yield KNOWN.sample(0)
        raise NothingToRead(
            "apt has no package lists, so nobody can say what is missing; run `apt-get update`, "
            "and see that something runs it daily (package unattended-upgrades)"
        )
    current = _current(lists, stamp, now, parse_duration(str(options.get("lists_max_age", "7d"))))
    refreshed = apt.last_refresh(lists, stamp)
    if refreshed is not None:
        yield REFRESH.sample(_seconds(refreshed, now))
    yield Fact("package_sources", [_source_row(one) for one in lists[:100]])
    try:
        simulation = apt.simulate(apt_get, run)
    except Exception:
        yield KNOWN.sample(0)
        raise
    yield KNOWN.sample(current)
    updates = simulation.updates
    offered = first_offered(updates, lists, recall(memory), now)
    remember(memory, offered)
    yield from _counts(updates, offered, now, current=current)
    yield HALF_CONFIGURED.sample(len(simulation.half_configured))
    on_hold = apt.held(run)
    yield HELD.sample(sum(update.name in on_hold for update in updates))
    yield Fact("packages_waiting", _waiting(updates, on_hold))


def _counts(
    updates: Sequence[apt.Update], offered: Mapping[str, datetime], now: datetime, *, current: bool
) -> Iterator[Reading]:
    """Yield the counts and ages.  Old lists can show an update missing, never that none is."""
    security = [update for update in updates if update.security]
    other = [update for update in updates if not update.security]
    for kind, some in (("security", security), ("other", other)):
        if some or current:
            yield MISSING.sample(len(some), kind=kind)
    for metric, some in ((OLDEST, [*updates]), (OLDEST_SECURITY, security)):
        if some or current:
            ages = [_seconds(offered[_key(update)], now) for update in some]
            yield metric.sample(max(ages, default=0.0))


def _current(
    lists: Sequence[apt.PackageList], stamp: datetime | None, now: datetime, max_age: timedelta
) -> bool:
    """Return whether the lists can vouch for "nothing is missing"."""
    refreshed = apt.last_refresh(lists, stamp)
    if refreshed is None or now - refreshed > max_age:
        return False
    return all(one.valid_until is None or one.valid_until > now for one in lists)


def first_offered(
    updates: Iterable[apt.Update],
    lists: Iterable[apt.PackageList],
    seen: Mapping[str, datetime],
    now: datetime,
) -> dict[str, datetime]:
    """Return since when each update has been on offer, at the latest, by name and version.

    The list that offers it was made at a known date; on a later run that list has a newer date,
    and what was `seen` before counts.
    """
    made = {one.origin: one.made for one in lists if one.made is not None}
    result = {}
    for update in updates:
        moments = [made[origin] for origin in update.origins if origin in made]
        if _key(update) in seen:
            moments.append(seen[_key(update)])
        result[_key(update)] = min([*moments, now])
    return result


def recall(memory: Path | None) -> dict[str, datetime]:
    """Return what was remembered; nothing where the file is missing or damaged."""
    if memory is None:
        return {}
    try:
        kept = json.loads(memory.read_text("utf-8"))
        return {name: datetime.fromtimestamp(seconds, UTC) for name, seconds in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError):
        return {}


def remember(memory: Path | None, offered: Mapping[str, datetime]) -> None:
    """Keep what is missing now and since when; without the right to write, keep nothing."""
    if memory is None:
        return
    kept = {name: moment.timestamp() for name, moment in list(offered.items())[:_MOST_REMEMBERED]}
    draft = memory.with_suffix(".new")
    with contextlib.suppress(OSError):
        draft.write_text(json.dumps(kept), "utf-8")
        draft.replace(memory)


def _key(update: apt.Update) -> str:
    return f"{update.name} {update.offered}"


def _seconds(then: datetime, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds())


def _source_row(one: apt.PackageList) -> dict[str, str | int | float | bool | None]:
    return {"origin": one.origin[:200], "security": apt.is_security(one.origin)}


def _waiting(
    updates: Sequence[apt.Update], on_hold: frozenset[str]
) -> list[dict[str, str | int | float | bool | None]]:
    """Return the updates as a table, security first, cut at a bound."""
    ordered = sorted(updates, key=lambda update: (not update.security, update.name))
    return [
        {
            "name": update.name,
            "installed": update.installed,
            "offered": update.offered,
            "security": update.security,
            "held": update.name in on_hold,
        }
        for update in ordered[:_MOST_ROWS]
    ]


CHECK = Check(
    name="patches",
    help="Updates that wait to be installed.",
    every=timedelta(hours=6),
    timeout=timedelta(minutes=3),
    metrics=(
        MISSING,
        OLDEST,
        OLDEST_SECURITY,
        REFRESH,
        KNOWN,
        HELD,
        HALF_CONFIGURED,
        REBOOT,
    ),
    component=Component("patches"),
    read_linux=read_linux,
    read_windows=None,
    in_child=True,
    options=(
        Option(
            name="lists_max_age",
            default="7d",
            help="Package lists older than this no longer show that nothing is missing.",
        ),
    ),
    rules=(
        Threshold(
            name="PatchesSecurityOverdue",
            metric=OLDEST_SECURITY,
            severity=Severity.WARNING,
            above=timedelta(days=7).total_seconds(),
            clear_at=timedelta(days=6).total_seconds(),
            levels={
                Severity.HIGH: Level(
                    above=timedelta(days=14).total_seconds(),
                    clear_at=timedelta(days=13).total_seconds(),
                ),
                Severity.CRITICAL: Level(
                    above=timedelta(days=30).total_seconds(),
                    clear_at=timedelta(days=29).total_seconds(),
                ),
            },
            title="Security updates of {host} are overdue",
            advice="Install them in the next maintenance window: `apt-get upgrade`.  The host's "
            "page lists the packages; one on hold stays missing until `apt-mark unhold`.",
        ),
        State(
            name="PatchStatusUnknown",
            metric=KNOWN,
            severity=Severity.WARNING,
            when=0,
            hold_for=timedelta(hours=24),
            title="Nobody can say which updates {host} is missing",
            advice="Run `apt-get update` on {host} and read its errors: a repository that is gone, "
            "a key that has expired, no way to the mirror.  Then let unattended-upgrades or a "
            "timer run it daily.",
        ),
    ),
    panels=(
        Panel(MISSING),
        Panel(OLDEST_SECURITY),
        Panel(REFRESH),
        Panel(KNOWN, drawn_as="state"),
        Panel(REBOOT, drawn_as="state"),
    ),
)
