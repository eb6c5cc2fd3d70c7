"""Real ticket systems on this machine for as long as a test runs, and how to look into them."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

_SCRIPT = Path(__file__).with_name("house.sh")
_NEEDED = ("unshare", "chroot", "apt-get", "debconf-set-selections")
_REASONS = {
    3: "no overlay can be mounted here",
    4: "the package servers cannot be reached",
    5: "installing failed",
}
_INSTALLED_SECONDS = 900.0
_ANSWERS_SECONDS = 120.0
PASSWORD = "lab-password"


@dataclass(frozen=True)
class Seen:
    """A ticket of the other system, as its own interface shows it."""

    id: str
    open: bool
    comments: int


@dataclass(frozen=True)
class House:
    """Where the systems answer."""

    rt: str
    redmine: str
    alertmanager: str
    redmine_key: str

    def address(self, kind: str) -> str:
        """Return where a system answers."""
        return str(getattr(self, kind))

    def table(self, kind: str) -> dict[str, Any]:
        """Return what the table of a destination says besides the address."""
        if kind == "rt":
            return {"user": "root", "secret": PASSWORD}
        if kind == "redmine":
            return {"project": "lab", "secret": self.redmine_key}
        return {}

    def seen(self, kind: str, tag: str, key: str) -> list[Seen]:
        """Return the tickets with our mark, but those that were made twice and taken back."""
        if kind == "rt":
            return self._rt(tag, count_comments=True)
        if kind == "redmine":
            return self._redmine(tag)
        return self._alerts(key)

    def all_tickets(self, kind: str) -> int:
        """Return how many tickets there are altogether, those taken back left out."""
        if kind == "rt":
            return len(self._rt("fw-", count_comments=False))
        if kind == "redmine":
            return len(self._redmine("fw-"))
        return len(self._alerts(""))

    def take(self, kind: str, number: str) -> None:
        """Do as a person there does who takes a ticket."""
        change = {"Status": "open", "Owner": "root"}
        self._change(kind, number, change, {"status_id": 2, "assigned_to_id": 1})

    def resolve(self, kind: str, number: str) -> None:
        """Do as a person there does who is done with it."""
        self._change(kind, number, {"Status": "resolved"}, {"status_id": 5})

    def _change(self, kind: str, number: str, rt: dict[str, Any], redmine: dict[str, Any]) -> None:
        if kind == "rt":
            url, auth = f"{self.rt}/REST/2.0/ticket/{number}", ("root", PASSWORD)
            httpx.put(url, json=rt, auth=auth, timeout=60).raise_for_status()
            return
        headers = {"x-redmine-api-key": self.redmine_key}
        url = f"{self.redmine}/issues/{number}.json"
        told = httpx.put(url, json={"issue": redmine}, headers=headers, timeout=60)
        told.raise_for_status()

    def _rt(self, tag: str, *, count_comments: bool) -> list[Seen]:
        with httpx.Client(base_url=self.rt, auth=("root", PASSWORD), timeout=60) as http:
            found: list[Seen] = []
            for page in range(1, 100):
                asked = {"query": f"Subject LIKE '{tag}'", "fields": "Status", "per_page": "100"}
                asked["page"] = str(page)
                told = http.get("/REST/2.0/tickets", params=asked).raise_for_status().json()
                found += [
                    Seen(
                        one["id"],
                        one["Status"] not in ("resolved", "rejected"),
                        self._said(http, one["id"]) if count_comments else 0,
                    )
                    for one in told["items"]
                ]
                if page >= told["pages"]:
                    break
            return found

    def _said(self, http: httpx.Client, number: str) -> int:
        asked = {"fields": "Type", "per_page": "100"}
        told = http.get(f"/REST/2.0/ticket/{number}/history", params=asked).raise_for_status()
        return sum(one["Type"] == "Comment" for one in told.json()["items"])

    def _redmine(self, tag: str) -> list[Seen]:
        headers = {"x-redmine-api-key": self.redmine_key}
        with httpx.Client(base_url=self.redmine, headers=headers, timeout=60) as http:
            found: list[Seen] = []
            offset = 0
            while True:
                asked = {
                    "status_id": "*",
                    "subject": f"~{tag}",
                    "limit": "100",
                    "offset": str(offset),
                }
                told = http.get("/issues.json", params=asked).raise_for_status().json()
                for one in told["issues"]:
                    if one["status"]["id"] == 6:
                        continue
                    shown = http.get(f"/issues/{one['id']}.json", params={"include": "journals"})
                    notes = [each for each in shown.json()["issue"]["journals"] if each["notes"]]
                    found.append(Seen(str(one["id"]), not one["status"]["is_closed"], len(notes)))
                offset += 100
                if offset >= told["total_count"]:
                    return found

    def _alerts(self, key: str) -> list[Seen]:
        asked = {"filter": f'forewarn_key="{key}"'} if key else {}
        told = httpx.get(f"{self.alertmanager}/api/v2/alerts", params=asked, timeout=60)
        return [Seen(one["fingerprint"], True, 0) for one in told.raise_for_status().json()]


@contextmanager
def house() -> Iterator[House]:
    """Install and serve all three; skips where that cannot be."""
    lacking = [name for name in _NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0 or lacking:
        pytest.skip(f"ticket systems need root on Debian; lacking: {', '.join(lacking) or 'root'}")
    base = Path(tempfile.mkdtemp(prefix="forewarn-lab-", dir="/var/tmp"))
    ports = [_free_port() for _ in range(3)]
    log = (base / "log").open("wb")
    command = ["unshare", "-m", "-p", "-f", "--kill-child", "--propagation", "private"]
    child = subprocess.Popen(
        [*command, "bash", str(_SCRIPT), str(base), *map(str, ports)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _await_start(child, base)
        rt, redmine, alertmanager = (f"http://127.0.0.1:{port}" for port in ports)
        for url in (f"{rt}/REST/2.0/rt", f"{redmine}/issues.json", f"{alertmanager}/-/ready"):
            _await_answer(url, base)
        key = (base / "upper/root/redmine.key").read_text().strip()
        yield House(rt, redmine, alertmanager, key)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        log.close()
        shutil.rmtree(base, ignore_errors=True)


def _await_start(child: subprocess.Popen[bytes], base: Path) -> None:
    until = time.monotonic() + _INSTALLED_SECONDS
    while not (base / "started").exists():
        if child.poll() is not None:
            last = (base / "log").read_text(errors="replace")[-2000:]
            reason = _REASONS.get(child.returncode, f"exit code {child.returncode}")
            if child.returncode in (3, 4):
                pytest.skip(f"no ticket systems: {reason}")
            raise AssertionError(f"{reason}\n{last}")
        assert time.monotonic() < until, (base / "log").read_text(errors="replace")[-2000:]
        time.sleep(0.5)


def _await_answer(url: str, base: Path) -> None:
    until = time.monotonic() + _ANSWERS_SECONDS
    while True:
        try:
            if httpx.get(url, timeout=30).status_code < 500:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < until, (base / "log").read_text(errors="replace")[-2000:]
        time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
