"""What differs between systems, and nothing else: where things lie, clocks, process trees.

The only module of the agent that asks which system this is.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from forewarn_checks.base import Check, Reader

if TYPE_CHECKING:
    from forewarn_agent.helper.framing import Line

DIRECTORY_VARIABLE = "FOREWARN_AGENT_DIR"
CONFIG_NAME = "agent.toml"


def system_name() -> str:
    """Return ``linux`` or ``windows``, as enrolment and selectors write it."""
    return "windows" if sys.platform == "win32" else "linux"


def default_directory() -> Path:
    """Return where an agent that runs as a service keeps identity, spool and status."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "forewarn" / "agent"
    return Path("/var/lib/forewarn-agent")


def helper_directory() -> Path:
    """Return where the privileged helper keeps its journal; root's alone."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "forewarn" / "helper"
    return Path("/var/lib/forewarn-helper")


def helper_socket() -> Path:
    """Return where the helper is reached."""
    if sys.platform == "win32":
        return Path(r"\\.\pipe\forewarn-helper")
    return Path("/run/forewarn/helper.sock")


def is_root() -> bool:
    """Say whether this process may do everything here."""
    if sys.platform == "win32":
        import ctypes

        return bool(ctypes.windll.shell32.IsUserAnAdmin())
    return os.geteuid() == 0


def has_helper() -> bool:
    """Say whether there is a helper to ask, running or not."""
    if sys.platform == "win32":
        from forewarn_agent import service_access, service_control

        return service_control.state(service_access.HELPER) != "absent"
    return helper_socket().exists()


def connect_local(path: Path, timeout_seconds: float) -> "Line":
    """Return a connection to the helper, which is started by it.  Raises OSError."""
    if sys.platform == "win32":
        from forewarn_agent import service_control, service_pipe

        try:
            service_control.ask_helper_to_start()
        except service_control.CannotControl as failure:
            raise OSError(str(failure)) from failure
        return service_pipe.connect(path, timeout_seconds)
    import socket

    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(timeout_seconds)
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def config_files(directory: Path) -> tuple[Path, ...]:
    """Return where agent.toml may lie; the first that exists is taken."""
    if sys.platform == "win32":
        return (directory / CONFIG_NAME,)
    return (directory / CONFIG_NAME, Path("/etc/forewarn") / CONFIG_NAME)


def native_reader(check: Check) -> Reader | None:
    """Return the reader of this system, or None when the check does not know the system."""
    return check.read_windows if sys.platform == "win32" else check.read_linux


def boottime_seconds() -> float:
    """Return seconds since boot, suspended time included; no clock change moves it."""
    if sys.platform == "win32":
        import ctypes

        ticks = ctypes.windll.kernel32.GetTickCount64
        ticks.restype = ctypes.c_ulonglong
        return float(ticks()) / 1000
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def awake_seconds() -> float:
    """Return seconds that this host was awake since some moment; asleep it stands still."""
    if sys.platform == "win32":
        import ctypes

        # Not time.monotonic: there it counts the time asleep, too.
        ticks = ctypes.c_ulonglong()
        ctypes.windll.kernel32.QueryUnbiasedInterruptTime(ctypes.byref(ticks))
        return ticks.value / 1e7
    return time.monotonic()


def boot_id() -> str:
    """Return what names this boot of the host: the kernel's own id, else the time of boot."""
    if sys.platform == "win32":
        # Rounded: wall time minus ticks wobbles by a few milliseconds from call to call.
        return f"boot-{round((time.time() - boottime_seconds()) / 60)}"
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def reload_signal() -> signal.Signals | None:
    """Return the signal that asks for a reload, None where there is none."""
    if sys.platform == "win32":
        return None
    return signal.SIGHUP


def start_group(argv: list[str]) -> "subprocess.Popen[bytes]":
    """Start a child in a process group of its own, so that `end_group` ends its children too.

    The child reads and writes pipes; what it says on stderr is ours.  Raises OSError.
    """
    if sys.platform == "win32":
        from forewarn_agent.service_job import InJob

        return InJob(argv)
    return subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )


def end_group(child: "subprocess.Popen[bytes]") -> None:
    """Kill a child of `start_group` and all it started.  Harmless when it is gone."""
    if sys.platform == "win32":
        from forewarn_agent.service_job import InJob

        assert isinstance(child, InJob)
        child.end()
        return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        child.kill()  # the group is gone, or its leader changed user


def end_own_group() -> None:
    """Kill this process and all it started: what a child does whose agent has died."""
    if sys.platform != "win32":
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def become(argv: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Run `argv` in place of this process; on Windows as its only child."""
    if sys.platform == "win32":
        # execv on Windows would return to the shell while the agent runs on, out of its reach.
        sys.exit(subprocess.run(argv, env=dict(environment), check=False).returncode)
    os.execve(argv[0], argv, dict(environment))  # noqa: S606 - an argv list, no shell


service_listeners: list[Callable[[str], None]] = []
"""Who hears what a service manager is told, where that is this very process: on Windows."""


def start_command() -> str:
    """Return what an administrator types to start the agent's service."""
    if sys.platform == "win32":
        return "forewarn-agent service start"
    return "systemctl start forewarn-agent"


def notify_service_manager(state: str) -> None:
    """Tell systemd, or the service that runs us, ``READY=1`` or ``WATCHDOG=1``."""
    for listener in service_listeners:
        listener(state)
    address = os.environ.get("NOTIFY_SOCKET", "")
    if sys.platform == "win32" or not address:
        return
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
        try:
            messenger.connect("\0" + address[1:] if address.startswith("@") else address)
            messenger.send(state.encode())
        except OSError:
            return  # the manager is away; it will restart us if that matters to it
