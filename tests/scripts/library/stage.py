"""Runs a body with programs of the test's own in place of those that would change this machine."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from forewarn_scripts import library

DANGEROUS = (
    *("apt-get", "apt-cache", "dpkg", "dnf", "dnf5", "zypper", "pacman", "pacman-conf", "apk"),
    *("shutdown", "systemctl", "service", "rc-service", "smartctl", "fstrim", "chronyc"),
    *("timedatectl", "ntpq", "journalctl"),
)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a body ended and what it said."""

    code: int
    output: str


class Stage:
    """A folder of programs.  What is not played ends with 99; nothing sleeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        (folder / "tmp").mkdir()
        for name in DANGEROUS:
            self.play(name, "echo 'not played'; exit 99")
        self.play("sleep", "exit 0")

    def play(self, name: str, script: str) -> None:
        """Let `name` be this shell script; every call of it is noted."""
        note = f'printf "%s" "{name}" >> {self.folder}/calls\n'
        note += f'for word in "$@"; do printf " %s" "$word" >> {self.folder}/calls; done\n'
        note += f"echo >> {self.folder}/calls\n"
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{note}{script}\n", "utf-8")
        path.chmod(0o755)

    def take_away(self, name: str) -> None:
        """Let there be no `name`, unless this machine has it."""
        (self.bin / name).unlink()

    def run(self, name: str, *argv: str) -> Ran:
        """Run the Linux body of a script with exactly these words."""
        body = self.folder / f"{name}.sh"
        body.write_bytes(library.find(name).body("linux").script)
        done = subprocess.run(
            ["/bin/sh", body, *argv],
            env={"PATH": f"{self.bin}:/usr/bin:/bin", "TMPDIR": str(self.folder / "tmp")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
            cwd=self.folder,
        )
        assert os.listdir(self.folder / "tmp") == [], "it left something behind"
        return Ran(done.returncode, done.stdout)

    def order(self, name: str, *given: str) -> Ran:
        """Run it as an operator would who gives these words."""
        return self.run(name, *library.find(name).manifest.argv(given))

    def calls(self, program: str = "") -> list[str]:
        """Return every call so far, of one program or of all, oldest first."""
        path = self.folder / "calls"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [line for line in lines if line.split(" ")[0] == program or not program]
