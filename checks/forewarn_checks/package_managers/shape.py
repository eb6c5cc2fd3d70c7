"""The shape in which every package manager gives its answer, and how it is asked."""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import forewarn_checks.package_managers
from forewarn_checks._process import Done, Execute
from forewarn_checks.base import CannotRead

SEVERITIES = ("critical", "important", "moderate", "low", "unrated")
"""How vendors grade security updates, worst first; the last is for those they did not grade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A newer version of something installed.

    `security` is None where the manager cannot tell.  `since` is a date at which it was on offer
    already, None when no such date is known.  A `held` one waits for a person to let it go.
    """

    name: str
    installed: str = ""
    offered: str
    security: bool | None = None
    severity: str = ""
    held: bool = False
    since: datetime | None = None
    advisory: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One repository: when its lists were made and last compared with its server.

    A list past `valid_until` vouches for nothing, however lately it was compared.
    """

    name: str
    made: datetime | None = None
    valid_until: datetime | None = None
    checked: datetime | None = None
    security: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Everything one package manager says.

    `trouble` tells, each with its mend, why more may be missing than `updates` shows.
    `tells_security` is False where it keeps security updates and others in one heap, and
    `tells_severity` where it does not grade them.
    """

    updates: tuple[Update, ...]
    sources: tuple[Source, ...] = ()
    tells_security: bool = True
    tells_severity: bool = False
    refreshed: datetime | None = None
    last_install: datetime | None = None
    half_configured: tuple[str, ...] | None = None
    restart_for: tuple[str, ...] = ()
    trouble: tuple[str, ...] = ()

    @property
    def compared(self) -> datetime | None:
        """When all lists were last compared with their servers: when the one longest ago was."""
        if self.refreshed is not None:
            return self.refreshed
        known = [one.checked for one in self.sources if one.checked is not None]
        return min(known) if known and len(known) == len(self.sources) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where a manager is asked: how programs run, where files lie, and what time it is.

    `booted` is when the first process began; None when that cannot be told.
    """

    run: Execute
    now: datetime
    root: Path = Path("/")
    booted: datetime | None = None
    system: str = ""

    def answer(
        self,
        argv: Sequence[str],
        seconds: float = 60,
        good: Sequence[int] = (0,),
        mend: str = "run it by hand",
    ) -> Done:
        """Run `argv`.  Raises CannotRead when it does not end or its status is not a good one."""
        asked = " ".join(word for word in argv if "=" not in word and word != "env")[:200]
        try:
            done = self.run(argv, seconds)
        except OSError as error:
            raise CannotRead(f"{asked} could not be started: {error}") from error
        if done.status is None:
            raise CannotRead(f"{asked} did not end in time and was stopped; run it by hand")
        if done.status not in good:
            complaint = first_complaint(done)
            raise CannotRead(f"{asked}: exit status {done.status}: {complaint}; {mend}")
        return done


# Of dnf 5, which may keep no log of us.
_CHATTER = ("Updating and loading repositories", "Repositories loaded", "Cannot open log file")


def first_complaint(done: Done) -> str:
    """Return the line that says what went wrong, as well as a program lets one find it."""
    lines = [line.strip() for line in (done.errors + "\n" + done.output).splitlines()]
    told = [line for line in lines if line and not line.startswith(_CHATTER)]
    named = [line for line in told if line.lower().startswith(("error", "e:", "fatal", "config"))]
    return (named or told or ["it did not say why"])[0][:300]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """A package manager.

    `native_to` are the systems (ID and ID_LIKE of os-release) whose own manager it is; `find`
    returns its program, None where it is not installed; `refresh` is what an operator types to
    have the lists fetched anew.
    """

    name: str
    native_to: frozenset[str]
    find: Callable[[], str | None]
    survey: Callable[[str, Host], Survey]
    refresh: str


@cache
def all_managers() -> tuple[Manager, ...]:
    """Return every MANAGER of the modules in this package, by name."""
    modules = pkgutil.iter_modules(forewarn_checks.package_managers.__path__)
    found = (importlib.import_module(f"{__package__}.{one.name}") for one in modules)
    managers: list[Manager] = [one.MANAGER for one in found if hasattr(one, "MANAGER")]
    return tuple(sorted(managers, key=lambda manager: manager.name))


def native_first(managers: Sequence[Manager], id_: str, like: Sequence[str]) -> tuple[Manager, ...]:
    """Return `managers`, that of the system `id_` first, then those of its kin."""
    names = [id_, *like]

    def distance(manager: Manager) -> int:
        return next((at for at, name in enumerate(names) if name in manager.native_to), len(names))

    return tuple(sorted(managers, key=distance))
