"""The agent and its helper as services of Windows: made, changed, started, stopped and removed.

CannotControl        what was tried and what Windows said to it
    NoSuchService    it is not installed
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pywintypes
import win32security
import win32service
import winerror

from forewarn_agent import service_access
from forewarn_agent.service_access import (
    ACCOUNT,
    HELPER,
    NAME,
    root_list,
    state_list,
    system_list,
)

assert sys.platform == "win32"

if TYPE_CHECKING:
    from _win32typing import PySC_HANDLE

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    """What is told to the service manager of one of our services."""

    name: str
    title: str
    description: str
    part: str
    account: str | None  # None is SYSTEM
    starts: int


_AGENT = _Service(
    name=NAME,
    title="forewarn agent",
    description="Samples this host and ships the samples to the collector.",
    part="forewarn_agent.service_host",
    account=ACCOUNT,
    starts=win32service.SERVICE_AUTO_START,
)
_HELPER = _Service(
    name=HELPER,
    title="forewarn helper",
    description="Reads drives for the forewarn agent; started when asked, ends when idle.",
    part="forewarn_agent.service_helper",
    account=None,
    starts=win32service.SERVICE_DEMAND_START,
)


class CannotControl(Exception):
    """Windows refused, or did not do it in time."""


class NoSuchService(CannotControl):
    """There is no such service on this host."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no service {name} is installed; run: forewarn-agent service install")


def host_command(part: str, directory: Path) -> list[str]:
    """Return what a service runs: this very program, as `part` with its `directory`."""
    python = [sys.executable, "-I", "-X", "no_debug_ranges"]
    return [*python, "-m", part, str(directory)]


def command_line(argv: Sequence[str]) -> str:
    """Return `argv` as one line in which the program is always quoted.

    Without the quotes ``C:\\Program Files\\…`` would first be looked for as ``C:\\Program.exe``.
    """
    return f'"{argv[0]}" {subprocess.list2cmdline(argv[1:])}'


def install(directory: Path, default: Path, helper_directory: Path) -> list[str]:
    """Make the services of agent and helper, or change those there are to this program.

    `directory` is the agent's, `default` where it is by default; there the folder above is closed,
    too.  Returns what this Windows does not know.  Raises CannotControl and OSError.
    """
    if directory == default:
        service_access.protect(directory.parent, root_list(NAME))
    service_access.protect(directory, state_list(NAME))
    service_access.protect(helper_directory, system_list())
    helper = _made(_HELPER, helper_directory)
    unknown = [*_settle(helper, _HELPER), *_let_agent_start(helper)]
    return list(dict.fromkeys([*unknown, *_settle(_made(_AGENT, directory), _AGENT)]))


def remove() -> None:
    """Stop the services and remove them; their files stay.  Raises CannotControl.

    NoSuchService says that there was no agent; a helper alone is removed all the same.
    """
    absent: NoSuchService | None = None
    for one in (_HELPER, _AGENT):
        try:
            stop(one.name)
            win32service.DeleteService(_opened(one.name))
        except NoSuchService as failure:
            absent = failure if one is _AGENT else absent
        except pywintypes.error as failure:
            raise _cannot("remove", one.name, failure) from None
    if absent is not None:
        raise absent


def state(name: str = NAME) -> str:
    """Return ``stopped``, ``starting``, ``running``, ``stopping`` or ``absent``."""
    try:
        asked = _opened(name, win32service.SC_MANAGER_CONNECT, win32service.SERVICE_QUERY_STATUS)
    except NoSuchService:
        return "absent"
    return _word(asked)


def start(within_seconds: float = 60) -> None:
    """Start the agent and return when it samples.  Raises CannotControl."""
    service = _opened(NAME)
    _ask_to_start(service, NAME)
    _wait(service, NAME, "running", within_seconds)


def ask_helper_to_start() -> None:
    """Have the helper started, by whoever may just that; does not wait.  Raises CannotControl."""
    _ask_to_start(
        _opened(HELPER, win32service.SC_MANAGER_CONNECT, win32service.SERVICE_START), HELPER
    )


def stop(name: str = NAME, within_seconds: float = 30) -> None:
    """Stop a service and return when it has; nothing to do if it does not run."""
    service = _opened(name)
    try:
        win32service.ControlService(service, win32service.SERVICE_CONTROL_STOP)
    except pywintypes.error as failure:
        if failure.winerror == winerror.ERROR_SERVICE_NOT_ACTIVE:
            return
        if failure.winerror != winerror.ERROR_SERVICE_CANNOT_ACCEPT_CTRL:
            raise _cannot("stop", name, failure) from None
    _wait(service, name, "stopped", within_seconds)


def _made(wanted: _Service, directory: Path) -> "PySC_HANDLE":
    """Return the service, made or changed to be as wanted."""
    line = command_line(host_command(wanted.part, directory))
    try:
        return win32service.CreateService(
            _manager(), wanted.name, wanted.title, win32service.SERVICE_ALL_ACCESS,
            win32service.SERVICE_WIN32_OWN_PROCESS, wanted.starts,
            win32service.SERVICE_ERROR_NORMAL, line, None, False, None, wanted.account, None,
        )  # fmt: skip
    except pywintypes.error as failure:
        if failure.winerror != winerror.ERROR_SERVICE_EXISTS:
            raise _cannot("install", wanted.name, failure) from None
    service = _opened(wanted.name)
    keep = win32service.SERVICE_NO_CHANGE
    try:
        win32service.ChangeServiceConfig(
            service, keep, wanted.starts, keep, line,
            None, False, None, wanted.account, None, wanted.title,
        )  # fmt: skip
    except pywintypes.error as failure:
        raise _cannot("change", wanted.name, failure) from None
    return service


def _ask_to_start(service: "PySC_HANDLE", name: str) -> None:
    try:
        win32service.StartService(service, None)
    except pywintypes.error as failure:
        if failure.winerror != winerror.ERROR_SERVICE_ALREADY_RUNNING:
            raise _cannot("start", name, failure) from None


def _let_agent_start(helper: "PySC_HANDLE") -> list[str]:
    """Let the agent's account start the helper; return what this Windows does not know."""
    wanted = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(
        service_access.helper_service_list(NAME), win32security.SDDL_REVISION_1
    )
    try:
        win32service.SetServiceObjectSecurity(
            helper, win32security.DACL_SECURITY_INFORMATION, wanted
        )
    except pywintypes.error as failure:
        if failure.winerror != winerror.ERROR_CALL_NOT_IMPLEMENTED:
            raise _cannot("set who may start", HELPER, failure) from None
        return ["who may start the helper"]
    return []


def _settle(service: "PySC_HANDLE", wanted: _Service) -> list[str]:
    """Set all that has a call of its own; return what this Windows does not know."""
    restarts = [(win32service.SC_ACTION_RESTART, after) for after in _RESTARTS_MILLISECONDS]
    recovery = {
        "ResetPeriod": _FORGET_FAILURES_SECONDS, "RebootMsg": "", "Command": "",
        "Actions": restarts,
    }  # fmt: skip
    settings = {
        "description": (win32service.SERVICE_CONFIG_DESCRIPTION, wanted.description),
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
    if wanted.starts == win32service.SERVICE_AUTO_START:
        settings["recovery"] = (win32service.SERVICE_CONFIG_FAILURE_ACTIONS, recovery)
        settings["delayed start"] = (win32service.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, True)
    unknown = []
    for name, (level, value) in settings.items():
        try:
            win32service.ChangeServiceConfig2(service, level, value)
        except pywintypes.error as failure:
            if failure.winerror != winerror.ERROR_INVALID_LEVEL:  # as Wine says
                raise _cannot(f"set the {name} of", wanted.name, failure) from None
            unknown.append(name)
    return unknown


def _manager(access: int = win32service.SC_MANAGER_ALL_ACCESS) -> "PySC_HANDLE":
    try:
        return win32service.OpenSCManager(None, None, access)
    except pywintypes.error as failure:
        raise _cannot("reach the manager of", NAME, failure) from None


def _opened(
    name: str,
    to_manager: int = win32service.SC_MANAGER_ALL_ACCESS,
    to_service: int = win32service.SERVICE_ALL_ACCESS,
) -> "PySC_HANDLE":
    try:
        return win32service.OpenService(_manager(to_manager), name, to_service)
    except pywintypes.error as failure:
        if failure.winerror == winerror.ERROR_SERVICE_DOES_NOT_EXIST:
            raise NoSuchService(name) from None
        raise _cannot("open", name, failure) from None


def _wait(service: "PySC_HANDLE", name: str, wanted: str, within_seconds: float) -> None:
    until = time.monotonic() + within_seconds
    while (found := _word(service)) != wanted:
        ended = wanted == "running" and found == "stopped"
        if ended or time.monotonic() > until:
            raise CannotControl(
                f"the service {name} is {found}, not {wanted}; its own words are in the log "
                "folder below its own"
            )
        time.sleep(_POLL_SECONDS)


def _word(service: "PySC_HANDLE") -> str:
    return _WORDS.get(win32service.QueryServiceStatus(service)[1], "paused")


def _cannot(what: str, name: str, failure: pywintypes.error) -> CannotControl:
    as_whom = "; run this as administrator" if failure.winerror == 5 else ""
    return CannotControl(
        f"Windows would not {what} the service {name}: {failure.strerror} "
        f"(error {failure.winerror}){as_whom}"
    )
