"""Windows services: which failed, which should run and do not, which come and go."""

import fnmatch
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forewarn_checks.base import CannotRead, WrongSystem

if TYPE_CHECKING:
    from _win32typing import PySC_HANDLE

_MOST_RESTARTED = 40
_MOST_FAILED = 40
_MOST_WELL = 100
_FIRST_RUNS = 10
_NEVER_STARTED = 1077  # ERROR_SERVICE_NEVER_STARTED: one that waits for its trigger
# Ends of a service that are none: asked to by the system, or nothing was to be done.
_GOOD_ENDS = frozenset({0, _NEVER_STARTED})


@dataclass(frozen=True, slots=True)
class Service:
    """One service: ``running``, ``stopped`` …; `automatic` ones start with the system.

    `exit_code` is how it last ended; `process` is 0 while it does not run.
    """

    name: str
    status: str
    automatic: bool
    exit_code: int
    process: int

    @property
    def has_failed(self) -> bool:
        """Whether it should run by itself and ended badly; many others stop by design."""
        return self.automatic and self.status == "stopped" and self.exit_code not in _GOOD_ENDS


@dataclass(frozen=True, slots=True)
class Told:
    """What a run has to say: services in failure, those well again, and restarts by name."""

    failed: tuple[str, ...]
    failed_count: int
    well: tuple[str, ...]
    restarts: Mapping[str, int]


class Memory:
    """What earlier runs of this process saw, so that restarts show and failures end."""

    def __init__(self) -> None:
        self._processes: dict[str, int] = {}
        self._restarts: dict[str, int] = {}
        self._failed: set[str] = set()
        self._runs = 0

    def look(
        self, services: Iterable[Service], ignored: Sequence[str], first: Sequence[str]
    ) -> Told:
        """Return what is to be told of `services`; `first` are told before others.

        A service that runs in another process than the run before has been restarted.  The first
        runs also say of those that start by themselves that they are well: one may have failed
        before the agent's start.
        """
        counted = [
            each
            for each in services
            if not any(fnmatch.fnmatchcase(each.name, pattern) for pattern in ignored)
        ]
        for each in counted:
            before = self._processes.get(each.name)
            if each.process and before and before != each.process:
                self._restarts[each.name] = self._restarts.get(each.name, 0) + 1
            if each.process:
                self._processes[each.name] = each.process
        failed = {each.name for each in counted if each.has_failed}
        told = sorted(failed, key=lambda name: (name not in first, name))[:_MOST_FAILED]
        well = self._failed - failed
        if self._runs < _FIRST_RUNS:
            well |= {each.name for each in counted if each.automatic} - failed
        ranked = sorted(well, key=lambda name: (name not in self._failed, name))[:_MOST_WELL]
        self._runs += 1
        self._failed = set(sorted(self._failed | set(told))[:_MOST_WELL])
        most = sorted(self._restarts, key=lambda name: (-self._restarts[name], name))
        return Told(
            tuple(told),
            len(failed),
            tuple(ranked),
            {name: self._restarts[name] for name in most[:_MOST_RESTARTED]},
        )


def all_services() -> list[Service]:
    """Return every service.  Raises CannotRead where the service manager does not answer."""
    if sys.platform != "win32":
        raise WrongSystem
    try:
        import pywintypes  # type: ignore[import-not-found, import-untyped, unused-ignore]
        import win32con  # type: ignore[import-not-found, import-untyped, unused-ignore]
        import win32service  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise CannotRead(
            f"services are asked through pywin32, which is missing ({error}); install it into "
            "the agent's Python: pip install pywin32"
        ) from error
    names = {
        win32service.SERVICE_RUNNING: "running",
        win32service.SERVICE_STOPPED: "stopped",
        win32service.SERVICE_PAUSED: "paused",
    }
    found: list[Service] = []
    try:
        manager = win32service.OpenSCManager(None, None, win32con.GENERIC_READ)
        try:
            # The stubs name one argument more than pywin32 takes in this place.
            rows = win32service.EnumServicesStatusEx(  # type: ignore[call-arg, unused-ignore]
                manager, win32service.SERVICE_WIN32, win32service.SERVICE_STATE_ALL
            )
            for row in rows:
                found.append(
                    Service(
                        name=str(row["ServiceName"]),
                        status=names.get(row["CurrentState"], "changing"),
                        automatic=_starts_by_itself(manager, row["ServiceName"]),
                        exit_code=int(row["Win32ExitCode"]),
                        process=int(row["ProcessId"]),
                    )
                )
        finally:
            win32service.CloseServiceHandle(manager)
    except pywintypes.error as error:
        raise CannotRead(
            f"the service manager: {error.strerror}; grant the account of the agent "
            "SC_MANAGER_ENUMERATE_SERVICE"
        ) from error
    return found


def _starts_by_itself(manager: "PySC_HANDLE", name: str) -> bool:
    if sys.platform != "win32":
        raise WrongSystem
    import pywintypes  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import win32service  # type: ignore[import-not-found, import-untyped, unused-ignore]

    try:
        handle = win32service.OpenService(manager, name, win32service.SERVICE_QUERY_CONFIG)
    except pywintypes.error:
        return False  # not ours to see, so nothing is said of it
    try:
        return bool(win32service.QueryServiceConfig(handle)[1] == win32service.SERVICE_AUTO_START)
    except pywintypes.error:
        return False
    finally:
        win32service.CloseServiceHandle(handle)
