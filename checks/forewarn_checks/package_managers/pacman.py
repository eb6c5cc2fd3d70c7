"""What pacman says about updates (Arch Linux and kin).

Only the package lists that are here are compared: fetching them alone, without upgrading, is what
Arch warns of.  Arch does not say which updates are of security, and keeps no grades.
"""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead
from forewarn_checks.package_managers.shape import (
    Host,
    Manager,
    Source,
    Survey,
    Update,
    first_complaint,
)

_ROW = re.compile(r"(?P<name>\S+) (?P<old>\S+) -> (?P<new>\S+)(?P<held> \[ignored\])?")
_PATH = re.compile(r"(?P<name>DB Path|Log File)\s*: (?P<path>.+?)\s*$", re.MULTILINE)
_NO_LIST = re.compile(r"warning: database file for '(?P<name>[^']+)' does not exist")
_SYNC = re.compile(r"\[(?P<moment>[^\]]+)\] \[PACMAN\] synchronizing package lists")
_UPDATED = re.compile(r"\[(?P<moment>[^\]]+)\] \[ALPM\] (?:installed|upgraded|reinstalled) ")
_NOTHING = 1  # no update, and any error too
_LOG_TAIL = 2**20


def survey(program: str, host: Host) -> Survey:
    """Return what pacman knows.  Raises CannotRead when it cannot tell."""
    # Nothing is tested for, so it only tells where things are.
    paths = parse_paths(host.answer([program, "-T", "-v"]).output)
    database = host.root / paths.get("DB Path", "/var/lib/pacman").lstrip("/")
    log = _tail(host.root / paths.get("Log File", "/var/log/pacman.log").lstrip("/"))
    done = host.answer([program, "-Qu"], good=(0, _NOTHING))
    sources = read_sources(database / "sync", _last(_SYNC, log))
    updates = parse_updates(done)
    if not any((database / "local").glob("*/desc")):
        raise CannotRead(
            f"pacman: no package in {database / 'local'}: the database is gone; see pacman -Dk"
        )
    made = max((one.made for one in sources if one.made), default=None)
    return Survey(
        updates=tuple(
            Update(
                name=update.name,
                installed=update.installed,
                offered=update.offered,
                held=update.held,
                since=made,
            )
            for update in updates
        ),
        sources=sources,
        tells_security=False,
        last_install=_last(_UPDATED, log),
        trouble=_trouble(done),
    )


def parse_paths(output: str) -> dict[str, str]:
    """Return the places that ``pacman -v`` names."""
    return {match["name"]: match["path"] for match in _PATH.finditer(output)}


def parse_updates(done: Done) -> tuple[Update, ...]:
    """Return the updates of ``pacman -Qu``.

    Raises CannotRead when its status 1 came with an error: alone it means that there is none.
    """
    errors = [line for line in done.errors.splitlines() if line.startswith("error: ")]
    if errors:
        raise CannotRead(f"pacman -Qu: {first_complaint(done)}; run it by hand, then `pacman -Syu`")
    rows = (_ROW.fullmatch(line) for line in done.output.splitlines())
    return tuple(
        Update(name=row["name"], installed=row["old"], offered=row["new"], held=bool(row["held"]))
        for row in rows
        if row is not None
    )


def _trouble(done: Done) -> tuple[str, ...]:
    missing = _NO_LIST.findall(done.errors)
    if not missing:
        return ()
    mend = "run `pacman -Syu`, or take the repository out of /etc/pacman.conf"
    return (f"pacman has never fetched the list of {', '.join(missing[:10])}; {mend}",)


def read_sources(sync: Path, refreshed: datetime | None) -> tuple[Source, ...]:
    """Return the package lists that are here.

    pacman gives each file its server's date, and writes to its log when it compares them all.
    """
    found = []
    for path in sorted(sync.glob("*.db")):
        try:
            made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except OSError:
            continue  # replaced by an update running now
        found.append(Source(path.stem, made=made, checked=refreshed))
    return tuple(found)


def _tail(path: Path) -> str:
    """Return the end of a log, "" where it cannot be read."""
    try:
        with path.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - _LOG_TAIL))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _last(pattern: re.Pattern[str], log: str) -> datetime | None:
    """Return the moment of the last line of `log` that fits."""
    found = None
    for match in pattern.finditer(log):
        try:
            moment = datetime.fromisoformat(match["moment"])
        except ValueError:
            continue
        # Before pacman 5.2 the log had local time without saying so.
        found = moment.astimezone(UTC)
    return found


MANAGER = Manager(
    name="pacman",
    native_to=frozenset({"arch", "archarm", "manjaro", "artix"}),
    find=lambda: shutil.which("pacman"),
    survey=survey,
    refresh="pacman -Syu",
)
