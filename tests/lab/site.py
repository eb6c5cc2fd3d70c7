"""A machine with a collector and an agent installed as services, and what its operator knows."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab.machine import Machine

ROOT = Path(__file__).parent.parent.parent
CHECKOUT = "/srv/forewarn"
STATE, AGENT = "/var/lib/forewarn", "/var/lib/forewarn-agent"
NOT_OURS = ("var/lib/systemd", "var/lib/private", "var/lib/nginx")
TOKEN = "sudo -u forewarn-collector forewarn-collector token create --client acme --site hq"


def copy_checkout(tree: Path) -> None:
    """Put the sources into the machine; FOREWARN_LAB_CHECKOUT names others than these."""
    skipped = shutil.ignore_patterns(".git", ".venv", "build", "*_cache", "__pycache__", "output")
    sources = os.environ.get("FOREWARN_LAB_CHECKOUT", ROOT)
    shutil.copytree(sources, tree / CHECKOUT.removeprefix("/"), ignore=skipped)


class Site:
    """The machine, and what its operator knows."""

    def __init__(self, tree: Path) -> None:
        """Take a tree that nothing was done to."""
        self.tree = tree
        self.machine = Machine(tree)
        self.password = ""
        self.line = ""
        self.host = ""
        self.before: set[str] = set()
        self.took: dict[str, float] = {}

    def timed(self, what: str, act: Callable[[], str]) -> str:
        """Do something and keep how long it took."""
        began = time.monotonic()
        try:
            return act()
        finally:
            self.took[what] = time.monotonic() - began
            print(f"\n{what}: {self.took[what]:.1f} s")

    def ask(self, path: str) -> object:
        """Ask the operators' API inside the machine, signed in as the first operator."""
        base = "curl -fsS --cacert /var/lib/forewarn/ca.pem -H content-type:application/json"
        login = json.dumps({"name": "admin", "password": self.password})
        url = "https://localhost:8441/api/v1"
        key = json.loads(self.machine.run(f"{base} -d @- {url}/login", given=login))["key"]
        return json.loads(self.machine.run(f"{base} -H 'authorization: Bearer {key}' {url}{path}"))

    def readings(self) -> list[object]:
        """Return what the collector holds of the host, newest values."""
        told = self.ask(f"/hosts/{self.host}/readings")
        assert isinstance(told, dict)
        found = told.get("readings") or told.get("items") or []
        assert isinstance(found, list)
        return found

    def wait(self, script: str, seconds: float) -> float:
        """Wait until a script inside ends well; return how long that took."""
        began = time.monotonic()
        while not self.machine.try_run(script):
            if time.monotonic() - began > seconds:
                journal = self.machine.told("journalctl -b --no-pager -n 40")[1]
                raise AssertionError(f"not within {seconds} s: {script}\n{journal}")
            time.sleep(0.3)
        return time.monotonic() - began

    def boot(self) -> str:
        """Boot the machine and wait for the collector in it."""
        self.machine.boot()
        self.wait("curl -fsSk https://localhost:8441/readyz", 60)
        return ""

    def pid(self, unit: str) -> int:
        """Return the main process of a unit, 0 for none."""
        return int(self.machine.run(f"systemctl show -P MainPID {unit}"))


def files_of(tree: Path) -> set[str]:
    """Return every file and folder that an installation could leave behind."""
    return {
        str(path.relative_to(tree))
        for top in ("etc", "opt", "usr/local", "var/lib", "root", "home", "srv")
        for path in (tree / top).rglob("*")
        if not str(path.relative_to(tree)).startswith(NOT_OURS)
    }


def items(told: object) -> list[dict[str, object]]:
    """Return the list inside an answer of the API."""
    if isinstance(told, dict):
        told = next(value for value in told.values() if isinstance(value, list))
    assert isinstance(told, list)
    return told
