"""What apt says about updates, read without changing anything and without a lock."""

import contextlib
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from forewarn_checks._process import Done, Execute
from forewarn_checks.base import CannotRead, NothingToRead
from forewarn_checks.package_managers.shape import Host, Manager, Source, Survey, Update

_LISTS = Path("var/lib/apt/lists")
_STAMP = Path("var/lib/apt/periodic/update-success-stamp")
_INFO = Path("var/lib/dpkg/info")

# --ignore-hold: a held package is missing its update all the same; a hold must not hide it.
_SIMULATE = ("-s", "--ignore-hold", "-o", "Debug::NoLocking=true", "dist-upgrade")
_LONGEST_SECONDS = 120.0
_NO_SECURITY = (
    "no archive of security updates is among the package sources; add it to "
    "/etc/apt/sources.list and run `apt-get update`"
)

_INST = re.compile(
    r"Inst (?P<name>\S+) \[(?P<old>[^\]]+)\] \((?P<new>\S+) (?P<origins>.*?)(?: \[[^\]]*\])?\)"
)
_CONF = re.compile(r"Conf (?P<name>\S+) ")
_SUMMARY = re.compile(r"(?P<upgraded>\d+) upgraded, \d+ newly installed, .*not upgraded\.")
_INDEX = re.compile(r"^'([^']+/InRelease)' (\S+_InRelease) ", re.MULTILINE)
_HEADER = re.compile(r"(Label|Version|Suite|Codename|Date|Valid-Until): (.*)")


@dataclass(frozen=True, slots=True)
class Offer:
    """A newer version of an installed package; `origins` are apt's ``Label:version/suite``."""

    name: str
    installed: str
    offered: str
    origins: tuple[str, ...]

    @property
    def security(self) -> bool:
        """Whether a security archive offers it."""
        return any(is_security(origin) for origin in self.origins)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What ``apt-get dist-upgrade`` would do."""

    updates: tuple[Offer, ...]
    half_configured: tuple[str, ...] = ()  # unpacked once, never configured


def survey(program: str, host: Host) -> Survey:
    """Return what apt knows.

    Raises NothingToRead without package lists, CannotRead when apt fails.
    """
    lists = read_lists(host.root / _LISTS)
    if not lists:
        raise NothingToRead(
            "apt has no package lists, so nobody can say what is missing; run `apt-get update`, "
            "and see that something runs it daily (package unattended-upgrades)"
        )
    simulation = simulate(program, host.run)
    on_hold = held(host.run)
    tells = any(one.security for one in lists)
    trouble = never_fetched(program, host)
    if not tells and _should_have_security(host.system, lists):
        trouble = (*trouble, _NO_SECURITY)
    made = {one.name: one.made for one in lists if one.made is not None}
    return Survey(
        updates=tuple(_update(one, on_hold, made, tells) for one in simulation.updates),
        sources=lists,
        tells_security=tells,
        refreshed=last_refresh(lists, read_stamp(host.root / _STAMP)),
        last_install=last_install(host.root / _INFO),
        half_configured=simulation.half_configured,
        trouble=trouble,
    )


def _update(
    offer: Offer, on_hold: frozenset[str], made: Mapping[str, datetime], tells_security: bool
) -> Update:
    """Return the update; the list that offers it was made at a known date."""
    dates = [made[origin] for origin in offer.origins if origin in made]
    return Update(
        name=offer.name,
        installed=offer.installed,
        offered=offer.offered,
        security=offer.security if tells_security else None,
        held=offer.name in on_hold,
        since=min(dates, default=None),
    )


def _should_have_security(system: str, lists: Sequence[Source]) -> bool:
    """Return whether its maker has an archive for security that is missing here.

    Debian's unstable and testing have none of their own, nor have most derivatives.
    """
    rolling = all(one.name.endswith(("/unstable", "/testing", "/sid")) for one in lists)
    return system == "ubuntu" or (system == "debian" and not rolling)


def never_fetched(program: str, host: Host) -> tuple[str, ...]:
    """Return, in words, the sources of which nothing was ever fetched.

    apt knows nothing of what such an archive offers, and says "0 upgraded" without a word.
    """
    try:
        asked = [program, "update", "--print-uris", "-o", "Debug::NoLocking=true"]
        done = host.run(asked, 30)
    except OSError:
        return ()
    if done.status != 0:
        return ()  # the simulation speaks of the same trouble
    here = [path.name for path in (host.root / _LISTS).glob("*_*")]
    gone = [
        uri.removesuffix("InRelease")
        for uri, name in _INDEX.findall(done.output)
        if not uri.startswith("cdrom:")
        and not any(one.startswith(name.removesuffix("InRelease")) for one in here)
    ]
    if not gone:
        return ()
    mend = "run `apt-get update`, read its errors, and mend the source or take it out"
    return (f"nothing was ever fetched from {', '.join(gone[:5])}; {mend}",)


def last_install(info: Path) -> datetime | None:
    """Return when dpkg last unpacked a package: it writes the list of its files anew."""
    moments = [0.0]
    for path in info.glob("*.list"):
        with contextlib.suppress(OSError):
            moments.append(path.stat().st_mtime)
    return datetime.fromtimestamp(max(moments), UTC) if max(moments) else None


def is_security(origin: str) -> bool:
    """Return whether ``Label:version/suite`` is an archive of security updates.

    Debian says so by its label; Ubuntu, its ESM and Debian alike by the suite.
    """
    return origin.startswith("Debian-Security:") or origin.endswith("-security")


def simulate(apt_get: str, run: Execute) -> Simulation:
    """Return what an upgrade would do.  Raises CannotRead when apt cannot tell."""
    done = run([apt_get, *_SIMULATE], _LONGEST_SECONDS)
    if done.status is None:
        raise CannotRead(f"{apt_get} -s dist-upgrade did not end in {_LONGEST_SECONDS:.0f} s")
    if done.status != 0:
        raise CannotRead(f"{apt_get} -s dist-upgrade: {_reason(done)}")
    return parse_simulation(done.output)


def _reason(done: Done) -> str:
    """Return apt's own first error, which names the file or command to mend."""
    for line in done.errors.splitlines() + done.output.splitlines():
        if line.startswith("E: "):
            return line[3:300]
    return f"exit status {done.status}"


def parse_simulation(output: str) -> Simulation:
    """Return the updates in the output of ``apt-get -s dist-upgrade``.

    Raises CannotRead when apt's own count is missing or differs: half an answer would read as
    "all patched".
    """
    lines = output.splitlines()
    rows = [match for line in lines if (match := _INST.match(line))]
    summary = next((match for line in lines if (match := _SUMMARY.match(line))), None)
    if summary is None or int(summary["upgraded"]) != len(rows):
        raise CannotRead(
            "apt-get -s dist-upgrade made no sense: its list of updates and its own count differ; "
            "run it by hand"
        )
    touched = {line.split(" ", 2)[1] for line in lines if line.startswith("Inst ")}
    configured = [match["name"] for line in lines if (match := _CONF.match(line))]
    return Simulation(
        updates=tuple(_offer(row) for row in rows),
        half_configured=tuple(name for name in configured if name not in touched),
    )


def _offer(row: re.Match[str]) -> Offer:
    origins = tuple(origin.strip() for origin in row["origins"].split(","))
    return Offer(row["name"], row["old"], row["new"], origins)


def held(run: Execute) -> frozenset[str]:
    """Return the packages an administrator holds back; none where dpkg cannot be asked."""
    try:
        done = run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Package}\n"], 30)
    except OSError:
        return frozenset()
    rows = (line.split("\t") for line in done.output.splitlines() if line.startswith("h"))
    return frozenset(row[1] for row in rows if len(row) == 2)


def read_lists(directory: Path) -> tuple[Source, ...]:
    """Return the repositories whose package lists are here; empty when apt knows no package.

    apt gives the files the server's dates, but renames a release file each time it has compared
    it with the server, changed or not, and never when the server was out of reach: the inode's
    change time is the moment of the last good check, repository by repository.
    """
    if not any(_with_size(directory.glob("*_Packages*"))):
        return ()
    signed = sorted(directory.glob("*_InRelease"))
    found = []
    for path in signed or sorted(directory.glob("*_Release")):
        with contextlib.suppress(OSError):  # replaced by an update running now
            text = path.read_text("utf-8", "replace")[:4096]
            checked = datetime.fromtimestamp(path.stat().st_ctime, UTC)
            found.append(replace(parse_release(text), checked=checked))
    return tuple(found) or (Source("unnamed"),)


def _with_size(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        with contextlib.suppress(OSError):
            if path.stat().st_size:
                yield path


def parse_release(text: str) -> Source:
    """Return what the head of a Release file says of its repository."""
    matches = (_HEADER.match(line) for line in text.splitlines())
    fields = {match[1]: match[2].strip() for match in matches if match}
    suite = fields.get("Suite") or fields.get("Codename", "")
    origin = f"{fields.get('Label', '')}:{fields.get('Version', '')}/{suite}"
    return Source(
        origin,
        security=is_security(origin),
        made=_moment(fields.get("Date", "")),
        valid_until=_moment(fields.get("Valid-Until", "")),
    )


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def last_refresh(lists: Sequence[Source], stamp: datetime | None) -> datetime | None:
    """Return when all repositories were last compared with their servers.

    That is the check of the one checked longest ago, or the stamp apt's periodic job leaves after
    a refresh without any failure.
    """
    checked = [one.checked for one in lists if one.checked is not None]
    moments = [moment for moment in (min(checked, default=None), stamp) if moment is not None]
    return max(moments, default=None)


def read_stamp(path: Path) -> datetime | None:
    """Return when the periodic job last refreshed everything, None where it never has."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


MANAGER = Manager(
    name="apt",
    native_to=frozenset({"debian", "ubuntu"}),
    find=lambda: shutil.which("apt-get"),
    survey=survey,
    refresh="apt-get update",
)
