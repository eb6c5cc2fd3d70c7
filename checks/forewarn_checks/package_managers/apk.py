"""What apk says about updates (Alpine Linux and kin).

Written from its manual pages and source and not yet tried on a real one: Debian does not carry it.
Alpine keeps its security data in a database of its own that apk does not know.
"""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead
from forewarn_checks.package_managers.shape import Host, Manager, Source, Survey, Update

_ROW = re.compile(r"(?P<package>\S+) \S+ \{[^}]*\} \(.*\) \[upgradable from: (?P<old>[^\]]+)\]$")
# Where the lists are kept: on a disk of its own, or with the system.
_CACHES = (Path("etc/apk/cache"), Path("var/cache/apk"))
_DATABASES = (Path("lib/apk/db/installed"), Path("usr/lib/apk/db/installed"))


def survey(program: str, host: Host) -> Survey:
    """Return what apk knows.  Raises CannotRead when it cannot tell."""
    done = host.answer([program, "--no-network", "list", "--upgradable"])
    sources = read_sources(host.root)
    if not sources:
        raise CannotRead(
            "apk has no package lists, so nobody can say what is missing; run `apk update`"
        )
    made = max((one.made for one in sources if one.made), default=None)
    pinned = parse_pinned(_text(host.root / "etc/apk/world"))
    return Survey(
        updates=tuple(
            Update(
                name=update.name,
                installed=update.installed,
                offered=update.offered,
                held=update.name in pinned,
                since=made,
            )
            for update in parse_updates(done.output)
        ),
        sources=sources,
        tells_security=False,
        last_install=_last_install(host.root),
        trouble=_trouble(done),
    )


def parse_updates(output: str) -> tuple[Update, ...]:
    """Return the rows of ``apk list --upgradable``."""
    found = []
    for line in output.splitlines():
        row = _ROW.fullmatch(line.strip())
        if row is not None:
            name, version = _split(row["package"])
            found.append(Update(name=name, installed=_split(row["old"])[1], offered=version))
    return tuple(found)


def _split(package: str) -> tuple[str, str]:
    """Return name and version of ``busybox-1.36.1-r2``."""
    name, *version = package.rsplit("-", 2)
    return name, "-".join(version)


def parse_pinned(world: str) -> frozenset[str]:
    """Return the names that ``/etc/apk/world`` binds to a version."""
    rows = (re.match(r"([^\s@<>=~!]+)(?:@\S+)?[<>=~]", word) for word in world.split())
    return frozenset(row[1] for row in rows if row)


def _trouble(done: Done) -> tuple[str, ...]:
    """apk exits 0 although it opened no list, and warns."""
    told = [line for line in done.errors.splitlines() if line.startswith(("WARNING", "ERROR"))]
    return tuple(f"apk: {line[:300]}; run `apk update`" for line in told[:3])


def read_sources(root: Path) -> tuple[Source, ...]:
    """Return the package lists that are here.

    Each has its server's date; the inode changes when apk has fetched or confirmed it.
    """
    for cache in _CACHES:
        found = []
        for path in sorted((root / cache).glob("APKINDEX.*.tar.gz")):
            try:
                stat = path.stat()
            except OSError:
                continue
            made = datetime.fromtimestamp(stat.st_mtime, UTC)
            checked = datetime.fromtimestamp(stat.st_ctime, UTC)
            found.append(Source(path.name, made=made, checked=checked))
        if found:
            return tuple(found)
    return ()


def _last_install(root: Path) -> datetime | None:
    """Return when apk last wrote down what is installed."""
    for database in _DATABASES:
        try:
            return datetime.fromtimestamp((root / database).stat().st_mtime, UTC)
        except OSError:
            continue
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


MANAGER = Manager(
    name="apk",
    native_to=frozenset({"alpine", "postmarketos", "wolfi"}),
    find=lambda: shutil.which("apk"),
    survey=survey,
    refresh="apk update",
)
