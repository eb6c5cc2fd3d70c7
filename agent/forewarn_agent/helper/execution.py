"""Run one script as it was signed: these bytes, this long, as this account, and nothing left over.

The bytes lie in memory, sealed against change, and are hashed from there: between the check and
the start there is no file that anybody could swap.  Where systemd runs, the script gets a
transient unit of its own, whose whole tree ends with it; elsewhere a session of its own, and
orphans are caught by being made ours.

    CannotStart     the system refused; the script did not begin
"""

import ctypes
import fcntl
import os
import pwd
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from forewarn_agent.helper.output import HeadAndTail
from forewarn_scripts.order import SAME_USER, Order, StandingOrder, script_hash

assert sys.platform == "linux"  # noqa: TID251 - what this rests on, no other system has

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GRACE_SECONDS = 2.0  # for children that outlive the script and hold its output open
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class CannotStart(Exception):
    """The script did not begin; the text says why."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a script ended; `exit_code` is None when it was ended by the clock."""

    exit_code: int | None
    timed_out: bool
    output: HeadAndTail


@dataclass(frozen=True, slots=True)
class Account:
    """As whom to run.  `user` is None for the helper's own account."""

    user: int | None
    group: int | None
    groups: tuple[int, ...]
    home: str
    name: str


def adopt_orphans() -> None:
    """Become the parent of whatever a script leaves behind, so that it can be found and ended."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def has_systemd() -> bool:
    """Say whether a transient unit can be had."""
    return (
        Path("/run/systemd/system").is_dir()
        and os.geteuid() == 0
        and shutil.which("systemd-run", path=_PATH) is not None
    )


@contextmanager
def sealed(script: bytes, sha256: str) -> Iterator[int]:
    """Give a descriptor of memory that holds exactly the bytes of this hash, for ever.

    Raises CannotStart when it does not.
    """
    descriptor = os.memfd_create("forewarn-script", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(script)
        while view:
            view = view[os.write(descriptor, view) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        os.lseek(descriptor, 0, os.SEEK_SET)
        with os.fdopen(os.dup(descriptor), "rb") as held:
            if script_hash(held.read()) != sha256:
                raise CannotStart("the bytes to run are not those that were signed for")
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def account(run_as: str) -> Account:
    """Return the account a script is to run as.  Raises CannotStart when there is none."""
    own = os.geteuid()
    try:
        entry = pwd.getpwuid(own) if run_as == SAME_USER else pwd.getpwnam(run_as)
    except KeyError:
        raise CannotStart(f"there is no account {run_as}; make it, or sign for another") from None
    if entry.pw_uid == own:
        return Account(None, None, (), entry.pw_dir, entry.pw_name)
    if own != 0:
        raise CannotStart(f"only root can run a script as {run_as}")
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(entry.pw_uid, entry.pw_gid, groups, entry.pw_dir, entry.pw_name)


def check_interpreter(path: str) -> None:
    """Raise CannotStart unless only root can have written the program at `path`."""
    real = Path(path).resolve()
    try:
        status = real.stat()
    except OSError:
        raise CannotStart(f"there is no {path} on this host") from None
    if not stat.S_ISREG(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
        raise CannotStart(f"{path} could have been written by others than root")


def unit_argv(work: Order | StandingOrder, who: Account, unit: str, script: str) -> list[str]:
    """Return the command that runs a script in a transient unit.  Its stdin is the script.

    systemd makes the folder it works in and removes it: the helper itself may write next to
    nothing, and its /tmp is not the host's.
    """
    properties = (
        f"RuntimeMaxSec={work.timeout_seconds}",
        "KillMode=control-group",
        "SendSIGKILL=yes",
        "TimeoutStopSec=2",
        "TasksMax=1024",
        "MemoryMax=75%",
        "LimitCORE=0",
        "UMask=0077",
        f"RuntimeDirectory={unit}",
        "RuntimeDirectoryMode=0700",
        f"WorkingDirectory=/run/{unit}",
        f"User={who.name}",
    )
    settings = [f"--property={one}" for one in properties]
    environment = [f"--setenv={name}={value}" for name, value in clean_environment(who).items()]
    # systemd would put variables in place of $NAME; a doubled sign is a sign.
    argv = [one.replace("$", "$$") for one in (work.interpreter, script, *work.argv)]
    return [
        "systemd-run", "--quiet", "--wait", "--collect", "--pipe", "--service-type=exec",
        f"--unit={unit}", *settings, *environment, "--", *argv,
    ]  # fmt: skip


def clean_environment(who: Account) -> dict[str, str]:
    """Return all a script finds in its environment."""
    return {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": who.home}


def execute(
    work: Order | StandingOrder,
    script: int,
    *,
    unit: str,
    most_output: int,
    begins: Callable[[], None],
    stop: Callable[[], bool],
    in_unit: bool,
) -> Finished:
    """Run the sealed script and wait for its end, or end it.

    `begins` is called when all is prepared, right before the start; what it raises stops it.
    `stop` is asked again and again while it runs.  Raises CannotStart.
    """
    check_interpreter(work.interpreter)
    who = account(work.run_as)
    output = HeadAndTail(most_output)
    folder = Path(tempfile.mkdtemp(prefix="forewarn-run-"))  # 0700
    try:
        if who.user is not None and not in_unit:
            os.chown(folder, who.user, who.group if who.group is not None else -1)
        # Before the start: what the script leaves behind may become ours at once.
        others = {own.pid for own in psutil.Process().children()}
        begins()
        child = _start_unit(work, who, unit, script, folder) if in_unit else _start(
            work, who, script, folder
        )  # fmt: skip
        timed_out = not _follow(child, output, work.timeout_seconds, stop)
        if in_unit and timed_out:
            _kill_unit(unit)
        _end_tree(child, others)
        return Finished(None if timed_out else child.returncode, timed_out, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(
    work: Order | StandingOrder, who: Account, script: int, folder: Path
) -> "subprocess.Popen[bytes]":
    return _spawned(
        [work.interpreter, f"/proc/self/fd/{script}", *work.argv],
        stdin=subprocess.DEVNULL,
        who=who,
        folder=folder,
        keep=(script,),
        environment=clean_environment(who),
    )


def _start_unit(
    work: Order | StandingOrder, who: Account, unit: str, script: int, folder: Path
) -> "subprocess.Popen[bytes]":
    ours = Account(None, None, (), "/root", "root")  # it is systemd that changes the user
    return _spawned(
        unit_argv(work, who, unit, "/proc/self/fd/0"),
        stdin=script,
        who=ours,
        folder=folder,
        keep=(),
        environment={"PATH": _PATH, "LANG": "C.UTF-8"},
    )


def _spawned(
    argv: Sequence[str],
    *,
    stdin: int,
    who: Account,
    folder: Path,
    keep: tuple[int, ...],
    environment: dict[str, str],
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            pass_fds=keep,
            start_new_session=True,
            umask=0o077,
            user=who.user,
            group=who.group,
            extra_groups=None if who.user is None else who.groups,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as failure:
        raise CannotStart(f"{argv[0]} could not be started: {failure}") from failure


def _follow(
    child: "subprocess.Popen[bytes]",
    output: HeadAndTail,
    timeout_seconds: int,
    stop: Callable[[], bool],
) -> bool:
    """Take what is printed until the script ends; return False when it must be ended first."""
    assert child.stdout is not None
    deadline = time.monotonic() + timeout_seconds
    ended_at = float("inf")
    pipe = child.stdout.fileno()
    os.set_blocking(pipe, False)
    with selectors.DefaultSelector() as waiting:
        waiting.register(pipe, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            if child.poll() is not None:
                ended_at = min(ended_at, now)
            if now >= min(deadline, ended_at + _GRACE_SECONDS):
                return child.returncode is not None
            if stop():
                return False
            if waiting.select(0.05):
                data = os.read(pipe, 65536)
                if not data:
                    return _ended(child, deadline, stop)
                output.feed(data)


def _ended(child: "subprocess.Popen[bytes]", deadline: float, stop: Callable[[], bool]) -> bool:
    """Wait for a script that closed its output."""
    while time.monotonic() < deadline and not stop():
        with suppress(subprocess.TimeoutExpired):
            child.wait(0.1)
            return True
    return False


def _end_tree(child: "subprocess.Popen[bytes]", others: set[int]) -> None:
    """End the script and all it started: its session, and what left the session and became ours."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    for _ in range(100):
        left = [one for one in psutil.Process().children() if one.pid not in others]
        left = [one for one in left if one.pid != child.pid or child.poll() is None]
        if not left:
            break
        for one in left:
            with suppress(psutil.Error):
                for below in (*one.children(recursive=True), one):
                    with suppress(psutil.Error):
                        below.kill()
        for one in left:
            if one.pid != child.pid:
                with suppress(ChildProcessError):
                    os.waitpid(one.pid, os.WNOHANG)
        time.sleep(0.01)
    with suppress(subprocess.TimeoutExpired):
        child.wait(5)
    if child.stdout is not None:
        child.stdout.close()


def _kill_unit(unit: str) -> None:
    subprocess.run(
        ["systemctl", "kill", "--signal=KILL", f"{unit}.service"],
        check=False,
        capture_output=True,
        timeout=30,
    )
