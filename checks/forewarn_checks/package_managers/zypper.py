"""What zypper says about updates (SUSE Linux Enterprise, openSUSE).

Nothing is refreshed.  zypper locks the package database even to read it, so that a person's own
zypper would be turned away while we look; ZYPP_READONLY_HACK is its maker's way around that.
"""

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead
from forewarn_checks.package_managers.shape import (
    SEVERITIES,
    Host,
    Manager,
    Source,
    Survey,
    Update,
)

_ASK = ("--non-interactive", "--no-refresh", "--xmlout")
_NO_REPOSITORIES, _LOCKED, _SKIPPED, _RESTART_NEEDED = 6, 7, 106, 102
_MEND = "run `zypper refresh` as root and read its errors"
_RAW = re.compile(r" raw cache dir = (?P<path>/.*)$", re.MULTILINE)
_HISTORY_SECONDS = 30
_CONFLICT = re.compile(r"(?:^Conflicts +: |^ {4})(?P<name>[^\s<]+?)(?:\.\w+)? < \S+$")
_FIELD = re.compile(r"(?P<name>[A-Z][A-Za-z ]*?) *: ?(?P<value>.*)")
_PATCHES_AT_ONCE = 200  # as many names as fit an argv with room to spare


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch that is needed, as ``list-patches`` gives it."""

    name: str
    security: bool
    severity: str
    issued: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The XML zypper wrote, and what it complained of in it."""

    root: ElementTree.Element
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def survey(program: str, host: Host) -> Survey:
    """Return what zypper knows.  Raises CannotRead when it cannot tell."""
    zypper = ("env", "ZYPP_READONLY_HACK=1", "ZYPP_LOGFILE=/dev/null", program, *_ASK)
    # Only the log says where the lists are kept; "-" is stderr.
    told = ["env", "ZYPP_READONLY_HACK=1", "ZYPP_LOGFILE=-", program, *_ASK, "repos"]
    listed, log = ask_and_log(host, told)
    repositories = parse_repositories(listed)
    raw = host.root / parse_raw(log).lstrip("/")
    if not repositories:
        raise CannotRead(
            "zypper has no repository that is switched on, so nobody can say what is missing; "
            "see `zypper repos` (a host that is not registered has none)"
        )
    trouble: list[str] = []
    listed = ask(host, [*zypper, "list-updates", "--all"], trouble)
    updates = parse_updates(listed)
    if not updates and not trouble:
        _see_that_packages_are_known(host, zypper)
    locks = parse_locks(ask(host, [*zypper, "locks"], trouble))
    listed = ask(host, [*zypper, "list-patches"], trouble)
    patches = parse_patches(listed)
    tells = listed.root.find(".//appletinfo[@status='no-update-repositories']") is None
    security = [patch for patch in patches if patch.security]
    touched: dict[str, frozenset[str]] = {}
    for at in range(0, len(security), _PATCHES_AT_ONCE):
        names = [patch.name for patch in security[at : at + _PATCHES_AT_ONCE]]
        touched |= parse_touched(ask(host, [*zypper, "info", "-t", "patch", *names], trouble))
    return Survey(
        updates=join(updates, security, touched, locks, tells_security=tells),
        sources=tuple(_source(raw, alias) for alias in repositories),
        tells_security=tells,
        tells_severity=tells,
        last_install=_last_install(host),
        restart_for=_restart_for(program, host),
        trouble=tuple(dict.fromkeys(trouble)),
    )


def ask(host: Host, argv: Sequence[str], trouble: list[str] | None = None) -> Answer:
    """Run zypper; add to `trouble` that it left repositories out.

    Raises CannotRead when it fails, is locked out, or does not write XML, and without `trouble`
    when it left any out.
    """
    return ask_and_log(host, argv, trouble)[0]


def ask_and_log(
    host: Host, argv: Sequence[str], trouble: list[str] | None = None
) -> tuple[Answer, str]:
    """Return what `ask` does, and what zypper wrote to stderr."""
    done = host.answer(argv, good=range(256))
    answer = parse(done)
    complaint = (answer.errors or answer.warnings or ("it did not say why",))[0]
    if done.status == _LOCKED:
        raise CannotRead(
            f"zypper: {complaint} It is asked again at the next reading; a lock held for hours is "
            "a process to look at"
        )
    if done.status == _NO_REPOSITORIES:
        raise CannotRead(
            "zypper has no repository, so nobody can say what is missing; see `zypper repos` (a "
            "host that is not registered has none)"
        )
    if done.status not in (0, _SKIPPED):
        raise CannotRead(f"zypper {argv[-1]}: exit status {done.status}: {complaint}; {_MEND}")
    if done.status == _SKIPPED or answer.errors:
        said = f"zypper left repositories out: {complaint}; run `zypper refresh` as root"
        if trouble is None:
            raise CannotRead(said)
        trouble.append(said)
    return answer, done.errors


def parse(done: Done) -> Answer:
    """Return what zypper wrote.  Raises CannotRead when that is not XML.

    librpm writes its own errors in between, to the same place.
    """
    lines = (done.errors + "\n" + done.output).splitlines()
    strange = [line for line in lines if line.startswith("error: ")]
    if strange:
        raise CannotRead(f"zypper: {strange[0][:300]}; the rpm database is damaged, try `rpm -qa`")
    try:
        root = ElementTree.fromstring(done.output)  # noqa: S314 - zypper's own, no entities in it
    except ElementTree.ParseError as error:
        raise CannotRead(f"zypper did not write XML ({error}); run it by hand") from error
    told = [(one.get("type", ""), _one_line(one.text)) for one in root.iter("message")]
    return Answer(
        root,
        errors=tuple(text for kind, text in told if kind == "error"),
        warnings=tuple(text for kind, text in told if kind == "warning"),
    )


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())[:300]


def parse_raw(log: str) -> str:
    """Return where the fetched lists are kept, as zypper's own log says."""
    found = _RAW.search(log)
    return found["path"].strip() if found else "/var/cache/zypp/raw"


def parse_repositories(answer: Answer) -> tuple[str, ...]:
    """Return the aliases of the repositories that are switched on."""
    rows = answer.root.iter("repo")
    return tuple(one.get("alias", "") for one in rows if one.get("enabled") == "1")


def parse_updates(answer: Answer) -> tuple[Update, ...]:
    """Return the packages of ``list-updates --all``, held ones among them."""
    return tuple(
        Update(
            name=one.get("name", ""),
            installed=one.get("edition-old", ""),
            offered=one.get("edition", ""),
        )
        for one in answer.root.iter("update")
        if one.get("kind") == "package"
    )


def parse_patches(answer: Answer) -> tuple[Patch, ...]:
    """Return the patches of ``list-patches`` that are needed."""
    return tuple(
        Patch(
            name=one.get("name", ""),
            security=one.get("category") == "security",
            severity=_severity(one.get("severity", "")),
            issued=_issued(one.find("issue-date")),
        )
        for one in answer.root.iter("update")
        if one.get("kind") == "patch" and one.get("status") == "needed"
    )


def _severity(word: str) -> str:
    return word if word in SEVERITIES else "unrated"


def _issued(element: ElementTree.Element | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(
            int((element.get("time_t") if element is not None else "") or ""), UTC
        )
    except (ValueError, OverflowError, OSError):
        return None


def parse_locks(answer: Answer) -> tuple[str, ...]:
    """Return the names, or patterns of names, that an administrator has locked."""
    return tuple(one.text.strip() for one in answer.root.iterfind(".//lock/name") if one.text)


def parse_touched(answer: Answer) -> dict[str, frozenset[str]]:
    """Return the packages that each patch of ``info -t patch`` replaces.

    A patch conflicts with every older version of what it mends.
    """
    touched: dict[str, frozenset[str]] = {}
    for message in answer.root.iter("message"):
        lines = (message.text or "").splitlines()
        name, at = "", ""
        found: set[str] = set()
        for line in lines:
            field = _FIELD.match(line)
            if field is not None:
                at = field["name"]
                name = name or (field["value"] if at == "Name" else "")
            if at == "Conflicts" and (conflict := _CONFLICT.match(line)):
                found.add(conflict["name"])
        if name:
            touched[name] = frozenset(found)
    return touched


def join(
    updates: Iterable[Update],
    security: Sequence[Patch],
    touched: Mapping[str, frozenset[str]],
    locks: Sequence[str],
    *,
    tells_security: bool,
) -> tuple[Update, ...]:
    """Return `updates` with what the needed security patches say of them.

    A patch none of whose packages is on offer (its repository is gone, a lock hides it) still
    counts: it is added under its own name.
    """
    worst_first = sorted(security, key=lambda patch: SEVERITIES.index(patch.severity))
    joined: list[Update] = []
    placed: set[str] = set()
    for update in updates:
        of_it = [one for one in worst_first if update.name in touched.get(one.name, ())]
        placed |= {one.name for one in of_it}
        joined.append(
            Update(
                name=update.name,
                installed=update.installed,
                offered=update.offered,
                security=bool(of_it) if tells_security else None,
                severity=of_it[0].severity if of_it else "",
                held=any(fnmatchcase(update.name, lock) for lock in locks),
                since=min((one.issued for one in of_it if one.issued), default=None),
                advisory=of_it[0].name if of_it else "",
            )
        )
    joined += [
        Update(
            name=patch.name,
            offered=patch.name,
            security=True,
            severity=patch.severity,
            since=patch.issued,
            advisory=patch.name,
        )
        for patch in worst_first
        if patch.name not in placed
    ]
    return tuple(joined)


def _see_that_packages_are_known(host: Host, zypper: Sequence[str]) -> None:
    """Raise CannotRead when "nothing to update" only means that no package is known."""
    found = host.answer([*zypper, "search", "--installed-only", "-t", "package"], good=(0, 104))
    if found.status == 104 or parse(found).root.find(".//solvable") is None:
        raise CannotRead(
            "zypper finds no package installed: the rpm database is gone or empty; try `rpm -qa`"
        )


def _source(raw: Path, alias: str) -> Source:
    """Return when a repository was last compared: zypper then touches its index."""
    for index in ("repodata/repomd.xml", "suse/repodata/repomd.xml", "content"):
        try:
            changed = (raw / alias / index).stat().st_mtime
        except OSError:
            continue
        return Source(alias, checked=datetime.fromtimestamp(changed, UTC))
    return Source(alias)


def _last_install(host: Host) -> datetime | None:
    """Return when a package was last installed; None where rpm cannot be asked."""
    try:
        done = host.run(["rpm", "-qa", "--qf", "%{INSTALLTIME}\\n"], _HISTORY_SECONDS)
    except OSError:
        return None
    seconds = [int(line) for line in done.output.splitlines() if line.isdecimal()]
    return datetime.fromtimestamp(max(seconds), UTC) if seconds and done.status == 0 else None


def _restart_for(program: str, host: Host) -> tuple[str, ...]:
    """Return that zypper wants a restart; versions that do not know the question do not."""
    done = host.run([program, "--non-interactive", "needs-rebooting"], _HISTORY_SECONDS)
    return ("packages updated by zypper",) if done.status == _RESTART_NEEDED else ()


MANAGER = Manager(
    name="zypper",
    native_to=frozenset({"suse", "opensuse", "sles", "opensuse-leap", "opensuse-tumbleweed"}),
    find=lambda: shutil.which("zypper"),
    survey=survey,
    refresh="zypper refresh",
)
