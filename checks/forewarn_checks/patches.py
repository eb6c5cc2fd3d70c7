"""Updates that wait to be installed."""

import contextlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from forewarn_checks._patches_seen import first_offered, key_of, recall, remember
from forewarn_checks._process import execute, within
from forewarn_checks.base import (
    CannotRead,
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
from forewarn_checks.linux.os_release import read_distribution
from forewarn_checks.linux.reboot import Reboot, read_reboot
from forewarn_checks.linux.release_support import support_end
from forewarn_checks.package_managers import windows_update
from forewarn_checks.package_managers.shape import (
    SEVERITIES,
    Host,
    Source,
    Survey,
    Update,
    all_managers,
    native_first,
)
from forewarn_checks.windows.reboot import read_reboot as read_windows_reboot

MISSING = Metric(
    "patches_missing",
    Unit.COUNT,
    "Updates offered and not installed, held packages included; kind is security or other, and "
    "unsorted where the package manager cannot tell them apart (pacman, apk).  A zero is given "
    "only while the package lists are current.",
    ("kind",),
)
SECURITY = Metric(
    "patches_security_missing",
    Unit.COUNT,
    "Missing security updates by the vendor's grade, where it gives one (dnf, zypper, Windows).",
    ("severity",),
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
LAST_INSTALL = Metric(
    "patches_last_install_age_seconds",
    Unit.SECONDS,
    "Time since a package was last installed or updated.",
)
SUPPORT = Metric(
    "os_support_left_seconds",
    Unit.SECONDS,
    "Time until the maker of this release publishes no more fixes, below 0 after that; given "
    "where os-release or the package distro-info-data tells.",
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
_LONGEST = timedelta(seconds=160)  # of all programs together; the check itself has 180
_NOT_READ = ("rpm-ostree", "transactional-update", "microdnf", "tdnf", "xbps-install", "emerge")


def read_linux(options: Options) -> Iterator[Reading]:
    """Ask the system's own package manager what is missing.

    Raises NothingToRead without a package manager or without its lists, CannotRead when it fails.
    """
    if sys.platform == "win32":
        raise WrongSystem
    distribution = read_distribution()
    now = datetime.fromtimestamp(time.time(), UTC)
    ends = support_end(distribution)
    if ends is not None:
        yield SUPPORT.sample((ends - now).total_seconds())
    reboot = read_reboot(platform.release())
    found = {one.name: one.find() for one in all_managers()}
    here = [one for one in all_managers() if found[one.name] is not None]
    if not here:
        yield from _restart(reboot, ())
        raise NothingToRead(_no_manager())
    manager = native_first(here, distribution.id, distribution.like)[0]
    yield Fact("package_manager", manager.name)
    yield Fact("package_managers_here", [one.name for one in here])
    host = Host(
        run=within(execute, _LONGEST.total_seconds()),
        now=now,
        booted=_began(),
        system=distribution.id,
    )
    directory = os.environ.get("FOREWARN_AGENT_DIR")
    yield from read_updates(
        lambda: manager.survey(found[manager.name] or manager.name, host),
        now=now,
        reboot=reboot,
        max_age=parse_duration(str(options.get("lists_max_age", "7d"))),
        refresh=manager.refresh,
        memory=Path(directory) / MEMORY_NAME if directory else None,
    )


def read_windows(options: Options) -> Iterator[Reading]:
    """Ask the Windows Update Agent what is missing; search only.

    Raises CannotRead when it fails.
    """
    if sys.platform != "win32":
        raise WrongSystem
    now = datetime.fromtimestamp(time.time(), UTC)
    yield Fact("package_manager", "windows update")
    directory = os.environ.get("FOREWARN_AGENT_DIR")
    max_age = parse_duration(str(options.get("lists_max_age", "7d")))
    yield from read_updates(
        lambda: windows_update.survey(now, max_age),
        now=now,
        reboot=read_windows_reboot(),
        max_age=max_age,
        refresh="UsoClient StartScan",
        memory=Path(directory) / MEMORY_NAME if directory else None,
    )


def _no_manager() -> str:
    other = next((name for name in _NOT_READ if shutil.which(name)), None)
    managers = ", ".join(manager.name for manager in all_managers())
    return (
        f"no package manager that is read here ({managers}; yum 3 of CentOS 7 is not)"
        + (f"; this host has {other}" if other else "")
        + ".  Turn the check off: [checks.patches] enabled = false"
    )


def _began() -> datetime | None:
    """Return when the first process began: the host's start, or the container's."""
    with contextlib.suppress(psutil.Error, OSError):
        return datetime.fromtimestamp(psutil.Process(1).create_time(), UTC)
    return None


def read_updates(
    ask: Callable[[], Survey],
    *,
    now: datetime,
    reboot: Reboot,
    max_age: timedelta,
    refresh: str,
    memory: Path | None,
) -> Iterator[Reading]:
    """Read what a package manager answers; nothing that it cannot vouch for becomes a zero.

    `memory` is the file that keeps when each update was first seen; None keeps nothing.
    Raises what `ask` raises, and CannotRead when its answer has gaps, after all readings.
    """
    try:
        survey = ask()
    except Exception:
        yield KNOWN.sample(0)
        yield from _restart(reboot, ())
        raise
    stale = staleness(survey, now, max_age, refresh)
    doubts = [*survey.trouble, *stale]
    yield KNOWN.sample(not doubts)
    yield Fact("patches_status", "; ".join(doubts) or "known")
    yield from _restart(reboot, survey.restart_for)
    if survey.compared is not None:
        yield REFRESH.sample(_seconds(survey.compared, now))
    if survey.last_install is not None:
        yield LAST_INSTALL.sample(_seconds(survey.last_install, now))
    offered = first_offered(survey.updates, recall(memory), now)
    remember(memory, offered)
    yield from _counts(survey, offered, now, current=not doubts)
    if survey.half_configured is not None:
        yield HALF_CONFIGURED.sample(len(survey.half_configured))
    yield HELD.sample(sum(update.held for update in survey.updates))
    yield Fact("patches_security_told", survey.tells_security)
    yield Fact("package_sources", [_source_row(one) for one in survey.sources[:100]])
    yield Fact("packages_waiting", _waiting(survey.updates))
    if survey.trouble:
        raise CannotRead("; ".join(survey.trouble))


def _restart(reboot: Reboot, restart_for: Sequence[str]) -> Iterator[Reading]:
    """Yield whether a restart is pending and why, from the host and from its package manager."""
    reasons = [reboot.reason] if reboot.pending or not restart_for else []
    if restart_for:
        reasons.append(f"updated since the start: {', '.join(restart_for)}")
    if reboot.pending is not None or restart_for:
        yield REBOOT.sample(bool(reboot.pending or restart_for))
    yield Fact("reboot_reason", "; ".join(reasons))


def _counts(
    survey: Survey, offered: Mapping[str, datetime], now: datetime, *, current: bool
) -> Iterator[Reading]:
    """Yield the counts and ages.  Old lists can show an update missing, never that none is."""
    security = [update for update in survey.updates if update.security]
    kinds = {"unsorted": [*survey.updates]}
    if survey.tells_security:
        other = [update for update in survey.updates if not update.security]
        kinds = {"security": security, "other": other}
    for kind, some in kinds.items():
        if some or current:
            yield MISSING.sample(len(some), kind=kind)
    if survey.tells_severity and (security or current):
        for grade in SEVERITIES:
            grades = [update for update in security if (update.severity or "unrated") == grade]
            yield SECURITY.sample(len(grades), severity=grade)
    ages = [(OLDEST, [*survey.updates])]
    if survey.tells_security:
        ages.append((OLDEST_SECURITY, security))
    for metric, some in ages:
        if some or current:
            seconds = [_seconds(offered[key_of(update)], now) for update in some]
            yield metric.sample(max(seconds, default=0.0))


def staleness(survey: Survey, now: datetime, max_age: timedelta, refresh: str) -> tuple[str, ...]:
    """Return, in words, why the lists cannot vouch for "nothing is missing"."""
    mend = f"run `{refresh}`, read its errors, and see that something runs it daily"
    if survey.compared is None:
        return (f"nothing tells when the package lists were last compared; {mend}",)
    if now - survey.compared > max_age:
        days = (now - survey.compared).days
        return (f"the package lists were last compared {days} days ago; {mend}",)
    expired = [one for one in survey.sources if one.valid_until and one.valid_until <= now]
    if expired:
        names = ", ".join(one.name for one in expired[:5])
        return (f"{names}: past its own date, so the mirror is no longer updated; use another",)
    return ()


def _seconds(then: datetime, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds())


def _source_row(one: Source) -> dict[str, str | int | float | bool | None]:
    return {"origin": one.name[:200], "security": one.security}


def _waiting(updates: Sequence[Update]) -> list[dict[str, str | int | float | bool | None]]:
    """Return the updates as a table, security first, the worst before all, cut at a bound."""
    grades = ["", *reversed(SEVERITIES)]
    ordered = sorted(
        updates,
        key=lambda one: (not one.security, -grades.index(one.severity or ""), one.name),
    )
    return [
        {
            "name": update.name,
            "installed": update.installed,
            "offered": update.offered,
            "security": update.security,
            "severity": update.severity,
            "held": update.held,
            "advisory": update.advisory,
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
        SECURITY,
        OLDEST,
        OLDEST_SECURITY,
        REFRESH,
        LAST_INSTALL,
        KNOWN,
        HELD,
        HALF_CONFIGURED,
        REBOOT,
        SUPPORT,
    ),
    component=Component("patches"),
    read_linux=read_linux,
    read_windows=read_windows,
    in_child=True,
    options=(
        Option(
            name="lists_max_age",
            default="7d",
            help="Package lists older than this no longer show that nothing is missing.",
            remote=True,
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
            advice="Install them in the next maintenance window: `apt-get upgrade`, `dnf upgrade "
            "--security`, `zypper patch`, or Windows Update.  The host's page lists them with the "
            "vendor's grade; a held one stays missing until it is let go (`apt-mark unhold`, `dnf "
            "versionlock delete`, `zypper removelock`, unhide it on Windows).",
        ),
        State(
            name="PatchStatusUnknown",
            metric=KNOWN,
            severity=Severity.WARNING,
            when=0,
            hold_for=timedelta(hours=24),
            title="Nobody can say which updates {host} is missing",
            advice="The host's facts (patches_status) or the text of its last run name the reason. "
            "Most often: a repository that is gone, a key that has expired, no way to the mirror, "
            "or nothing that fetches the lists daily.  Run there, and read the errors: `apt-get "
            "update`, `dnf makecache`, `zypper refresh`, `pacman -Syu`, `apk update`, or look for "
            "updates in Windows' settings.",
        ),
        Threshold(
            name="ReleaseUnsupported",
            metric=SUPPORT,
            severity=Severity.WARNING,
            below=timedelta(days=60).total_seconds(),
            clear_at=timedelta(days=61).total_seconds(),
            levels={Severity.HIGH: Level(below=0, clear_at=timedelta(days=1).total_seconds())},
            title="The release that {host} runs is near or past its end of support",
            advice="From that day its maker publishes no more security fixes, and no check can "
            "find them missing.  Plan the upgrade to the next release, or buy extended support.",
        ),
    ),
    panels=(
        Panel(MISSING),
        Panel(OLDEST_SECURITY),
        Panel(REFRESH),
        Panel(SECURITY),
        Panel(LAST_INSTALL),
        Panel(KNOWN, drawn_as="state"),
        Panel(REBOOT, drawn_as="state"),
    ),
)
