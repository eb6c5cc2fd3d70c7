"""The agent as a service of Windows: made, changed, started, stopped and removed.

CannotControl        what was tried and what Windows said to it
    NoSuchService    it is not installed
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pywintypes
import win32service
import winerror

from forewarn_agent import service_access
from forewarn_agent.service_access import ACCOUNT, NAME, root_list, state_list

assert sys.platform == "win32"

if TYPE_CHECKING:
    from _win32typing import PySC_HANDLE

_TITLE = "forewarn agent"
_DESCRIPTION = "Samples this host and ships the samples to the collector."
# Tried again for ever: a host whose agent gave up is a host nobody watches.
_RESTARTS_MILLISECONDS = (5_000, 30_000, 60_000)
_FORGET_FAILURES_SECONDS = 86_400
_POLL_SECONDS = 0.2
_WORDS = {
    win32service.SERVICE_STOPPED: "stopped",
    win32service.SERVICE_START_PENDING: "starting",
    win32service.SERVICE_STOP_PENDING: "stopping",
    win32service.SERVICE_RUNNING: "running",
}


class CannotControl(Exception):
    """Windows refused, or did not do it in time."""


class NoSuchService(CannotControl):
    """There is no such service on this host."""

    def __init__(self) -> None:
        super().__init__(f"no service {NAME} is installed; run: forewarn-agent service install")


def host_command(directory: Path) -> list[str]:
    """Return what the service runs: this very program, as the service of `directory`."""
    return [
        sys.executable, "-I", "-X", "no_debug_ranges",
        "-m", "forewarn_agent.service_host", str(directory),
    ]  # fmt: skip


def command_line(argv: Sequence[str]) -> str:
    """Return `argv` as one line in which the program is always quoted.

    Without the quotes ``C:\\Program Files\\…`` would first be looked for as ``C:\\Program.exe``.
    """
    return f'"{argv[0]}" {subprocess.list2cmdline(argv[1:])}'


def install(directory: Path, default: Path) -> list[str]:
    """Make the service of `directory`, or change the one there is to this program.

    `default` is where services keep their things; there the folder above is closed, too.  Returns
    which settings this Windows does not know.  Raises CannotControl and OSError.
    """
    if directory == default:
        service_access.protect(directory.parent, root_list(NAME))
    service_access.protect(directory, state_list(NAME))
    line = command_line(host_command(directory))
    try:
        service = win32service.CreateService(
            _manager(), NAME, _TITLE, win32service.SERVICE_ALL_ACCESS,
            win32service.SERVICE_WIN32_OWN_PROCESS, win32service.SERVICE_AUTO_START,
            win32service.SERVICE_ERROR_NORMAL, line, None, False, None, ACCOUNT, None,
        )  # fmt: skip
    except pywintypes.error as failure:
        if failure.winerror != winerror.ERROR_SERVICE_EXISTS:
            raise _cannot("install", failure) from None
        service = _opened()
        _change(service, line)
    return _settle(service)


def remove() -> None:
    """Stop the service and remove it; its files stay.  Raises CannotControl."""
    stop()
    try:
        win32service.DeleteService(_opened())
    except pywintypes.error as failure:
        raise _cannot("remove", failure) from None


def state() -> str:
    """Return ``stopped``, ``starting``, ``running``, ``stopping`` or ``absent``."""
    try:
        asked = _opened(win32service.SC_MANAGER_CONNECT, win32service.SERVICE_QUERY_STATUS)
    except NoSuchService:
        return "absent"
    return _word(asked)


def start(within_seconds: float = 60) -> None:
    """Start the service and return when it samples.  Raises CannotControl."""
    service = _opened()
    try:
        win32service.StartService(service, None)
    except pywintypes.error as failure:
        if failure.winerror != winerror.ERROR_SERVICE_ALREADY_RUNNING:
            raise _cannot("start", failure) from None
    _wait(service, "running", within_seconds)


def stop(within_seconds: float = 30) -> None:
    """Stop the service and return when it has; nothing to do if it does not run."""
    service = _opened()
    try:
        win32service.ControlService(service, win32service.SERVICE_CONTROL_STOP)
    except pywintypes.error as failure:
        if failure.winerror == winerror.ERROR_SERVICE_NOT_ACTIVE:
            return
        if failure.winerror != winerror.ERROR_SERVICE_CANNOT_ACCEPT_CTRL:
            raise _cannot("stop", failure) from None
    _wait(service, "stopped", within_seconds)


def _change(service: "PySC_HANDLE", line: str) -> None:
    keep = win32service.SERVICE_NO_CHANGE
    try:
        win32service.ChangeServiceConfig(
            service, keep, win32service.SERVICE_AUTO_START, keep, line,
            None, False, None, ACCOUNT, None, _TITLE,
        )  # fmt: skip
    except pywintypes.error as failure:
        raise _cannot("change", failure) from None


def _settle(service: "PySC_HANDLE") -> list[str]:
    """Set all that has a call of its own; return what this Windows does not know."""
    restarts = [(win32service.SC_ACTION_RESTART, after) for after in _RESTARTS_MILLISECONDS]
    recovery = {
        "ResetPeriod": _FORGET_FAILURES_SECONDS, "RebootMsg": "", "Command": "",
        "Actions": restarts,
    }  # fmt: skip
    settings = {
        "description": (win32service.SERVICE_CONFIG_DESCRIPTION, _DESCRIPTION),
        "recovery": (win32service.SERVICE_CONFIG_FAILURE_ACTIONS, recovery),
        "delayed start": (win32service.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, True),
        "own SID": (
            win32service.SERVICE_CONFIG_SERVICE_SID_INFO,
            win32service.SERVICE_SID_TYPE_UNRESTRICTED,
        ),
        # What a process without any rights still has: to pass through folders.
        "privileges": (
            win32service.SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO,
            ["SeChangeNotifyPrivilege"],
        ),
    }
    unknown = []
    for name, (level, value) in settings.items():
        try:
            win32service.ChangeServiceConfig2(service, level, value)
        except pywintypes.error as failure:
            if failure.winerror != winerror.ERROR_INVALID_LEVEL:  # as Wine says
                raise _cannot(f"set the {name} of", failure) from None
            unknown.append(name)
    return unknown


def _manager(access: int = win32service.SC_MANAGER_ALL_ACCESS) -> "PySC_HANDLE":
    try:
        return win32service.OpenSCManager(None, None, access)
    except pywintypes.error as failure:
        raise _cannot("reach the manager of", failure) from None


def _opened(
    to_manager: int = win32service.SC_MANAGER_ALL_ACCESS,
    to_service: int = win32service.SERVICE_ALL_ACCESS,
) -> "PySC_HANDLE":
    try:
        return win32service.OpenService(_manager(to_manager), NAME, to_service)
    except pywintypes.error as failure:
        if failure.winerror == winerror.ERROR_SERVICE_DOES_NOT_EXIST:
            raise NoSuchService from None
        raise _cannot("open", failure) from None


def _wait(service: "PySC_HANDLE", wanted: str, within_seconds: float) -> None:
    until = time.monotonic() + within_seconds
    while (found := _word(service)) != wanted:
        ended = wanted == "running" and found == "stopped"
        if ended or time.monotonic() > until:
            raise CannotControl(
                f"the service {NAME} is {found}, not {wanted}; its own words are in log\\agent.log "
                "of its folder"
            )
        time.sleep(_POLL_SECONDS)


def _word(service: "PySC_HANDLE") -> str:
    return _WORDS.get(win32service.QueryServiceStatus(service)[1], "paused")


def _cannot(what: str, failure: pywintypes.error) -> CannotControl:
    as_whom = "; run this as administrator" if failure.winerror == 5 else ""
    return CannotControl(
        f"Windows would not {what} the service {NAME}: {failure.strerror} "
        f"(error {failure.winerror}){as_whom}"
    )
