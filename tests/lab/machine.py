"""A machine with systemd as its first process, booted from a bare tree in a container."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PACKAGES = "systemd,systemd-sysv,dbus,procps,python3,curl,ca-certificates,sudo,nginx-light,iproute2"
_ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    f"PIP_CERT={CERTIFICATES}",
)


class Failed(Exception):
    """A command in the machine did not end well."""


def bare_tree(folder: Path) -> Path:
    """Return a fresh Debian 12 tree below `folder`; FOREWARN_LAB_TREE names one to copy."""
    tree = folder / "tree"
    given = os.environ.get("FOREWARN_LAB_TREE")
    if given:
        subprocess.run(["cp", "-ax", given, str(tree)], check=True)
    else:
        make = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(tree)]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    if CERTIFICATES.exists():  # what this machine trusts on its way to the package index
        shutil.copy(CERTIFICATES, tree / CERTIFICATES.relative_to("/"))
    (tree / "etc/hostname").write_text("fwlab\n", "ascii")
    names = f"127.0.0.1 localhost fwlab {socket.gethostname()}\n::1 localhost\n"
    (tree / "etc/hosts").write_text(names, "ascii")
    (tree / "etc/systemd/system/nginx.service").unlink(missing_ok=True)
    (tree / "etc/systemd/system/multi-user.target.wants/nginx.service").unlink(missing_ok=True)
    return tree


@dataclass(slots=True)
class Machine:
    """A booted tree.  `network` False leaves it loopback and nothing else."""

    tree: Path
    network: bool = True
    binds: Sequence[str] = ()
    _container: "subprocess.Popen[bytes] | None" = None
    _first: int = 0
    timings: dict[str, float] = field(default_factory=dict)

    def boot(self) -> None:
        """Start it and wait until systemd is up."""
        argv = ["systemd-nspawn", "-q", "-D", str(self.tree), "-b", "--register=no"]
        argv += ["--keep-unit", f"--machine=fwlab{os.getpid()}", "--console=pipe"]
        argv += [f"--bind-ro={bind}" for bind in self.binds]
        argv += [] if self.network else ["--private-network"]
        self._container = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.2)
            self._first = self._child()
            if self._first and self.try_run("test -S /run/systemd/private"):
                self.try_run("systemctl is-system-running --wait")
                return
        raise Failed("the machine did not boot within a minute")

    def run(self, script: str, timeout: float = 600, given: str = "") -> str:
        """Run a shell script inside as root and return its stdout.  Raises Failed."""
        done = self._inside(script, timeout, given)
        if done.returncode:
            raise Failed(f"{script}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def try_run(self, script: str, timeout: float = 60) -> bool:
        """Run a shell script inside and say whether it ended well."""
        return self._inside(script, timeout, "").returncode == 0

    def told(self, script: str, timeout: float = 600) -> tuple[int, str]:
        """Run a shell script inside and return its exit code and all that it said."""
        done = self._inside(script, timeout, "")
        return done.returncode, done.stdout + done.stderr

    def power_off(self) -> None:
        """Shut it down as its operator would."""
        if self._container is None:
            return
        self.try_run("systemctl poweroff")
        try:
            self._container.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self._container.pid, signal.SIGKILL)
            self._container.wait(10)
        self._container = None

    def _inside(
        self, script: str, timeout: float, given: str
    ) -> "subprocess.CompletedProcess[str]":
        argv = ["nsenter", "-t", str(self._first), *["-m", "-u", "-i", "-n", "-p", "-C", "--"]]
        argv += ["env", "-i", *_ENVIRONMENT, "sh", "-c", script]
        return subprocess.run(
            argv, capture_output=True, text=True, timeout=timeout, check=False, input=given
        )

    def _child(self) -> int:
        assert self._container is not None
        for listed in Path(f"/proc/{self._container.pid}/task").glob("*/children"):
            for number in listed.read_text().split():
                return int(number)
        return 0
