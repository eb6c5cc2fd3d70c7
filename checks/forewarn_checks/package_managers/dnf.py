"""What dnf 4 says about updates (Fedora to 40, Red Hat Enterprise Linux 8 to 10 and kin).

Only its cache is asked (``-C``): nothing is fetched.  dnf exits 0 with an empty answer when a
repository is unavailable and may be skipped, so that is forbidden here; what it complains of on
stderr is taken for a failure even when the status is 0.
"""

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead
from forewarn_checks.package_managers.shape import (
    SEVERITIES,
    Host,
    Manager,
    Source,
    Survey,
    Update,
    first_complaint,
)

# Times in UTC; no queue behind a lock; no silence about repositories; no five lines in its log.
ASK = (
    "-C",
    "--setopt=exit_on_lock=1",
    "--setopt=*.skip_if_unavailable=0",
    "--setopt=logfilelevel=0",
)
_LOCKED = 200
_MEND = (
    "run `dnf makecache` as root and read its errors: a repository that is gone is mended or "
    "switched off, a damaged rpm database rebuilt (`rpm --rebuilddb`)"
)
UPDATES = 100  # what check-update says besides 0 when there are some
_ROW = "%{name}\\t%{evr}\\t%{arch}\\t"

# What `dnf needs-restarting -r` looks at, and the parts into which newer releases split it.
_RESTART = (
    *("kernel", "kernel-core", "kernel-rt", "kernel-rt-core", "glibc", "linux-firmware"),
    *("systemd", "dbus", "dbus-broker", "dbus-daemon", "microcode_ctl"),
)
_COMPLAINT = re.compile(r"error:|ignoring repositories:|failed to |config error:", re.IGNORECASE)
_ADVISORY = re.compile(r"(?P<mark>.) (?P<id>\S+)\s+(?P<kind>\S+)\s+(?P<package>\S+)\s*$")
_KINDS = ("bugfix", "enhancement", "newpackage", "unknown", "unspecified")
_PAIR = re.compile(r"\s*(?P<name>[A-Z][A-Za-z -]*?)\s*: (?P<value>.*)")
_LAST = re.compile(r"\(last: (?P<moment>[^)]+)\)")
_DATES = ("%a %b %d %H:%M:%S %Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M")

Key = tuple[str, str]
"""Name and architecture: what is updated is told apart by both."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package as installed or on offer; `moment` is when it was installed."""

    name: str
    version: str
    arch: str
    moment: datetime | None = None

    @property
    def key(self) -> Key:
        """Name and architecture."""
        return self.name, self.arch


@dataclass(frozen=True, slots=True)
class Advisory:
    """One package of one advisory.  `severity` is "" unless the advisory is of security."""

    id: str
    package: Key
    security: bool
    severity: str
    installed: bool


def survey(program: str, host: Host) -> Survey:
    """Return what dnf 4 knows.  Raises CannotRead when it cannot tell, or may not."""
    dnf = ("env", "TZ=UTC", program, *ASK)
    sources = parse_repositories(ask(host, [*dnf, "repoinfo"]).output)
    if not sources:
        raise CannotRead(
            "dnf has no repository that is switched on, so nobody can say what is missing; "
            "see /etc/yum.repos.d (a host without its subscription has none)"
        )
    row = ["--qf", _ROW + "%{installtime}"]
    installed = parse_packages(ask(host, [*dnf, "repoquery", "--installed", *row]).output)
    if not installed:
        raise CannotRead(
            "dnf finds no package installed: the rpm database is gone or empty; try `rpm -qa`"
        )
    # What an exclude or a version lock keeps back is missing all the same.
    row = ["--latest-limit=1", "--qf", _ROW]
    asked = [*dnf, "--disableexcludes=all", "repoquery", "--upgrades", *row]
    offered = parse_packages(ask(host, asked).output)
    free = parse_check_update(ask(host, [*dnf, "check-update"], good=(0, UPDATES)).output)
    rows = parse_advisories(ask(host, [*dnf, "updateinfo", "list", "--all"]).output)
    open_ = [row for row in rows if row.security and not row.installed]
    dates: Mapping[str, datetime] = {}
    if open_:
        dates = parse_dates(ask(host, [*dnf, "updateinfo", "info", "--security"]).output)
    return Survey(
        updates=join(offered, installed, free, open_, dates, tells_security=bool(rows)),
        sources=sources,
        tells_security=bool(rows),
        tells_severity=bool(rows),
        last_install=max((one.moment for one in installed if one.moment), default=None),
        restart_for=restart_for(installed, host.booted),
    )


def ask(host: Host, argv: Sequence[str], good: Sequence[int] = (0,)) -> Done:
    """Run dnf.  Raises CannotRead when it fails, is locked out, or complains of anything."""
    done = host.answer(argv, good=(*good, _LOCKED), mend=_MEND)
    if done.status == _LOCKED:
        raise CannotRead(
            f"dnf: {first_complaint(done)}: another process holds its lock; it is asked again at "
            "the next reading.  A lock held for hours is a process to look at"
        )
    for line in done.errors.splitlines():
        if _COMPLAINT.match(line.strip()):
            raise CannotRead(f"dnf: {line.strip()[:300]}; {_MEND}")
    return done


def parse_repositories(output: str) -> tuple[Source, ...]:
    """Return the repositories in the output of ``dnf repoinfo``, run with TZ=UTC."""
    found: list[Source] = []
    name, made = "", None
    for line in output.splitlines():
        pair = _PAIR.match(line)
        if pair is None:
            continue
        if pair["name"] in ("Repo-id", "Repo ID"):
            name, made = pair["value"].strip(), None
            found.append(Source(name))
        elif pair["name"] in ("Repo-updated", "Updated") and found:
            made = moment(pair["value"].strip())
            found[-1] = Source(name, made=made, checked=found[-1].checked)
        elif (last := _LAST.search(pair["value"])) and found:
            found[-1] = Source(name, made=found[-1].made, checked=moment(last["moment"]))
    return tuple(found)


def moment(text: str) -> datetime | None:
    """Return a date as dnf writes it in UTC; None for "unknown" and the like."""
    for form in _DATES:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def epoch(text: str) -> datetime | None:
    """Return a moment given in seconds since 1970; None for anything else."""
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def parse_packages(output: str) -> tuple[Package, ...]:
    """Return the packages of ``repoquery`` in rows of name, version, architecture and moment."""
    rows = (line.split("\t") for line in output.splitlines() if line.count("\t") == 3)
    return tuple(Package(row[0], row[1], row[2], moment(row[3].strip())) for row in rows)


def parse_check_update(output: str) -> frozenset[Key]:
    """Return the updates that ``check-update`` would let through.

    They come in three columns, and a long name pushes the rest of its row to the next line.
    """
    body = output.partition("\nObsoleting Packages")[0]
    words = [
        word
        for line in body.splitlines()
        if not line.startswith(("Last metadata", "Security:"))
        for word in line.split()
    ]
    names = (word.rpartition(".") for word in words[::3])
    return frozenset((name, arch) for name, _, arch in names)


def parse_advisories(output: str) -> tuple[Advisory, ...]:
    """Return the rows of ``updateinfo list --all``: ``i ID Important/Sec. name-1-2.noarch``."""
    found = []
    for line in output.splitlines():
        match = _ADVISORY.fullmatch(line) if line[:2] in ("  ", "i ") else None
        if match is None:
            continue
        grade, slash, _ = match["kind"].partition("/Sec.")
        if not slash and grade.lower() not in _KINDS:
            continue
        found.append(
            Advisory(
                id=match["id"],
                package=key_of(match["package"]),
                security=bool(slash),
                severity=severity(grade) if slash else "",
                installed=match["mark"] == "i",
            )
        )
    return tuple(found)


def key_of(package: str) -> Key:
    """Return name and architecture of ``name-[epoch:]version-release.arch``."""
    rest, _, arch = package.rpartition(".")
    return rest.rsplit("-", 2)[0], arch


def severity(word: str) -> str:
    """Return the vendor's grade in our words."""
    return word.lower() if word.lower() in SEVERITIES else "unrated"


def parse_dates(output: str) -> dict[str, datetime]:
    """Return when each advisory of ``updateinfo info`` was last changed, by its id.

    The lines of a description carry their own colon in front, so none can pose as a field.
    """
    dates: dict[str, datetime] = {}
    id_ = ""
    for line in output.splitlines():
        pair = _PAIR.match(line)
        if pair is None:
            continue
        if pair["name"] == "Update ID":
            id_ = pair["value"].strip()
        elif pair["name"] == "Updated" and (when := moment(pair["value"].strip())) and id_:
            dates[id_] = when
    return dates


def join(
    offered: Iterable[Package],
    installed: Iterable[Package],
    free: frozenset[Key],
    advisories: Iterable[Advisory],
    dates: Mapping[str, datetime],
    *,
    tells_security: bool,
) -> tuple[Update, ...]:
    """Return the updates on offer with what the open security `advisories` say of them.

    An update carries the worst grade of all its advisories and is as old as the oldest.
    """
    versions = {package.key: package.version for package in installed}
    told: dict[Key, list[Advisory]] = {}
    for advisory in advisories:
        told.setdefault(advisory.package, []).append(advisory)
    updates = []
    for package in offered:
        of_it = sorted(told.get(package.key, ()), key=lambda one: SEVERITIES.index(one.severity))
        updates.append(
            Update(
                name=package.name,
                installed=versions.get(package.key, ""),
                offered=package.version,
                security=bool(of_it) if tells_security else None,
                severity=of_it[0].severity if of_it else "",
                held=package.key not in free,
                since=min((dates[one.id] for one in of_it if one.id in dates), default=None),
                advisory=of_it[0].id if of_it else "",
            )
        )
    return tuple(updates)


def restart_for(installed: Iterable[Package], booted: datetime | None) -> tuple[str, ...]:
    """Return what was updated since the start of the host and takes a restart to come into use."""
    if booted is None:
        return ()
    late = (one for one in installed if one.name in _RESTART and one.moment and one.moment > booted)
    return tuple(sorted({one.name for one in late}))


def find() -> str | None:
    """Return the path of dnf 4, by that name or as the ``yum`` of RHEL 8; None where it is not.

    On Fedora 41 and later dnf is dnf 5, and the yum of CentOS 7 is another program.
    """
    program = shutil.which("dnf")
    if program is None or Path(program).resolve().name.startswith("dnf5"):
        program = shutil.which("dnf-3")
    return program


MANAGER = Manager(
    name="dnf",
    native_to=frozenset({"fedora", "rhel", "centos"}),
    find=find,
    survey=survey,
    refresh="dnf makecache",
)
