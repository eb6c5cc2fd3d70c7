"""What dnf 5 says about updates (Fedora 41 and later).

Tried on 5.4.6.  It differs from dnf 4 in its tables, in that a row format must end its own line,
and in that all but root get a cache and a log of their own, in a home that a service may not have.
"""

import re
import shutil
from datetime import datetime
from pathlib import Path

from forewarn_checks.base import CannotRead
from forewarn_checks.package_managers import dnf
from forewarn_checks.package_managers.shape import Host, Manager, Survey

_ASK = (
    "-C",
    "--setopt=*.skip_if_unavailable=0",
    "--setopt=cachedir=/var/cache/libdnf5",  # root's, which anybody may read
    "--setopt=logdir=/proc",  # where no log can be made, which it does not mind
)
_ALL = "--setopt=disable_excludes=*"
_ROW = "%{name}\t%{evr}\t%{arch}\t"  # real tabs: of escapes it knows the line end alone
_GRADES = "critical|important|moderate|low|none|unknown"
_ADVISORY = re.compile(
    rf"(?P<id>\S+)\s+(?P<kind>security|bugfix|enhancement|newpackage|unknown|unspecified)"
    rf"(?:\s+(?P<grade>{_GRADES}))?\s+(?P<package>\S+)"
    r"\s+(?P<issued>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)",
    re.IGNORECASE,
)


def survey(program: str, host: Host) -> Survey:
    """Return what dnf 5 knows.  Raises CannotRead when it cannot tell."""
    asked = ("env", "TZ=UTC", program, *_ASK)
    sources = dnf.parse_repositories(dnf.ask(host, [*asked, "repo", "info"]).output)
    if not sources:
        raise CannotRead(
            "dnf5 has no repository that is switched on, so nobody can say what is missing; "
            "see /etc/yum.repos.d"
        )
    row = ["--qf", _ROW + "%{installtime}\\n"]
    installed = parse_installed(dnf.ask(host, [*asked, "repoquery", "--installed", *row]).output)
    if not installed:
        raise CannotRead(
            "dnf5 finds no package installed: the rpm database is gone or empty; try `rpm -qa`"
        )
    query = [_ALL, "repoquery", "--upgrades", "--latest-limit=1"]
    offered = dnf.parse_packages(dnf.ask(host, [*asked, *query, "--qf", _ROW + "\\n"]).output)
    check = dnf.ask(host, [*asked, "check-upgrade"], good=(0, dnf.UPDATES))
    free = parse_check_upgrade(check.output)
    everything = dnf.ask(host, [*asked, _ALL, "advisory", "list", "--all"]).output
    open_, dates = parse_advisories(dnf.ask(host, [*asked, _ALL, "advisory", "list"]).output)
    known = bool(parse_advisories(everything)[0])
    security = [one for one in open_ if one.security]
    return Survey(
        updates=dnf.join(offered, installed, free, security, dates, tells_security=known),
        sources=sources,
        tells_security=known,
        tells_severity=known,
        last_install=max((one.moment for one in installed if one.moment), default=None),
        restart_for=dnf.restart_for(installed, host.booted),
    )


def parse_installed(output: str) -> tuple[dnf.Package, ...]:
    """Return the installed packages; dnf 5 gives the moment in seconds since 1970."""
    rows = (line.split("\t") for line in output.splitlines() if line.count("\t") == 3)
    return tuple(
        dnf.Package(name, version, arch, dnf.moment(text) or dnf.epoch(text))
        for name, version, arch, text in rows
    )


def parse_check_upgrade(output: str) -> frozenset[dnf.Key]:
    """Return the updates that ``check-upgrade`` would let through: those below its first title."""
    free: set[dnf.Key] = set()
    for line in output.splitlines():
        words = line.split()
        if words[:1] == ["Obsoletes"]:
            break
        if len(words) == 3:
            name, _, arch = words[0].rpartition(".")
            free.add((name, arch))
    return frozenset(free)


def parse_advisories(
    output: str,
) -> tuple[tuple[dnf.Advisory, ...], dict[str, datetime]]:
    """Return the rows of ``advisory list``, and when each advisory was issued."""
    found, dates = [], {}
    for line in output.splitlines():
        match = _ADVISORY.match(line)
        if match is None:
            continue
        security = match["kind"].lower() == "security"
        grade = dnf.severity(match["grade"] or "") if security else ""
        package = dnf.key_of(match["package"])
        found.append(dnf.Advisory(match["id"], package, security, grade, installed=False))
        if (when := dnf.moment(match["issued"])) is not None:
            dates[match["id"]] = when
    return tuple(found), dates


def find() -> str | None:
    """Return the path of dnf 5, by that name or as ``dnf``; None where it is not the dnf here."""
    program = shutil.which("dnf")
    if program is not None and Path(program).resolve().name.startswith("dnf5"):
        return program
    return None if program else shutil.which("dnf5")


MANAGER = Manager(
    name="dnf5",
    native_to=frozenset({"fedora"}),
    find=find,
    survey=survey,
    refresh="dnf makecache",
)
