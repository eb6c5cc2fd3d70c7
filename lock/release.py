"""Build a release twice, compare both, and say what is in it.  `make release`.

    python lock/release.py [--out build/release] [--no-audit]

Out come: wheel, sdist, one wheelhouse each for the agent and the collector on this platform, a
CycloneDX list of all parts for both, their licences, what bandit found, what pip-audit found, and
SHA256SUMS.  What is built comes from the last commit, never from the working tree.

Exit codes: 0 all well; 1 two builds differ, or bandit or pip-audit found something; 2 a tool could
not do its work (the advisories could not be asked: `--no-audit` releases without asking).
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "lock"
SOURCES = ("agent", "checks", "collector", "scripts")
PARTS = ("agent", "collector")


class Unwell(Exception):
    """The release must not go out; the text says why."""


class CannotSay(Exception):
    """A tool could not do its work; the text says which, and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Make a release; return the exit code."""
    parser = argparse.ArgumentParser(description="Build a release twice and say what is in it.")
    parser.add_argument("--out", type=Path, default=ROOT / "build/release")
    parser.add_argument("--no-audit", action="store_true", help="do not ask for known weaknesses")
    given = parser.parse_args(arguments)
    try:
        release(given.out, audit=not given.no_audit)
    except Unwell as why:
        print(f"not released: {why}", file=sys.stderr)
        return 1
    except (CannotSay, subprocess.CalledProcessError) as failure:
        told = getattr(failure, "stderr", "") or ""
        print(f"not released: {failure}\n{told}".rstrip(), file=sys.stderr)
        return 2
    return 0


def release(out: Path, *, audit: bool) -> None:
    """Put a whole release into `out`, which must be empty or absent.

    Raises Unwell, CannotSay, and CalledProcessError where a tool ends badly.
    """
    if out.exists() and any(out.iterdir()):
        raise CannotSay(f"{out} is not empty; remove it, or name another with --out")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="forewarn-release-") as given:
        box = Path(given)
        tools = Tools(box / "tools")
        with step("sources of the last commit"):
            source, at = committed(box / "source")
        with step("wheel and sdist, twice"):
            for one in twice(box, lambda to: tools.build(source, to, at)):
                (out / one.name).write_bytes(one.read_bytes())
        with step("lists of parts, twice"):
            for one in twice(box, lambda to: tools.parts(source, to, at)):
                (out / one.name).write_bytes(one.read_bytes())
        for part in PARTS:
            with step(f"wheelhouse of the {part}"):
                tools.wheelhouse(source / f"lock/{part}.txt", out, part, at, box)
        with step("licences"):
            tools.licences(source, box, out)
        with step("bandit"):
            tools.look_through(source, out)
        if audit:
            with step("known weaknesses"):
                tools.ask_for_weaknesses(source, out)
    sums = "".join(f"{digest(one)}  {one.name}\n" for one in sorted(out.iterdir()))
    (out / "SHA256SUMS").write_text(sums, "ascii")
    print(f"{out}:\n{sums}", end="")


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done while it is done."""
    print(f"{what} … ", end="", flush=True)
    yield
    print("done")


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def committed(to: Path) -> tuple[Path, int]:
    """Unpack the last commit into `to`; return it and the commit's time in unix seconds."""
    git = ["git", "-C", str(ROOT)]
    at = int(subprocess.check_output([*git, "log", "-1", "--format=%ct"], text=True))
    packed = subprocess.check_output([*git, "archive", "--format=tar", "HEAD"])
    with tarfile.open(fileobj=io.BytesIO(packed)) as held:
        held.extractall(to, filter="data")
    return to, at


def twice(box: Path, make: Callable[[Path], None]) -> list[Path]:
    """Return the files that `make` makes in a folder, twice.  Raises Unwell where they differ."""
    first, second = (Path(tempfile.mkdtemp(dir=box)) for _ in range(2))
    make(first)
    make(second)
    for one in sorted(first.iterdir()):
        if digest(one) != digest(second / one.name):
            raise Unwell(f"{one.name} comes out otherwise the second time")
    return sorted(first.iterdir())


class Tools:
    """What builds and looks: an environment of its own, held to lock/release.txt."""

    def __init__(self, folder: Path) -> None:
        """Make the environment at `folder`."""
        with step("tools"):
            venv.create(folder, with_pip=True)
            self._bin = folder / "bin"
            self._pip("--require-hashes", "-r", str(LOCK / "release.txt"))

    def build(self, source: Path, to: Path, at: int) -> None:
        """Build wheel and sdist into `to`."""
        self._run("python", "-m", "build", "--no-isolation", "-o", str(to), str(source), at=at)

    def parts(self, source: Path, to: Path, at: int) -> None:
        """Write what agent and collector consist of, as CycloneDX."""
        for part in PARTS:
            self._run(
                "cyclonedx-py", "requirements", str(source / f"lock/{part}.txt"),
                "--pyproject", str(source / "pyproject.toml"), "--output-reproducible",
                "-o", str(to / f"sbom-{part}.cdx.json"), at=at,
            )  # fmt: skip

    def wheelhouse(self, lock: Path, out: Path, part: str, at: int, box: Path) -> None:
        """Fetch and pack every wheel of a lock file for this platform: the same bytes each time."""
        folder = box / f"wheels-{part}"
        self._run(
            "python", "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
            "--only-binary=:all:", "-d", str(folder), "-r", str(lock),
        )  # fmt: skip
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as held:
            for wheel in sorted(folder.iterdir()):
                entry = tarfile.TarInfo(wheel.name)
                entry.size, entry.mtime, entry.mode = wheel.stat().st_size, at, 0o644
                held.addfile(entry, io.BytesIO(wheel.read_bytes()))
        name = f"wheelhouse-{part}-{sys.implementation.cache_tag}-{os.uname().machine}.tar.gz"
        (out / name).write_bytes(gzip.compress(packed.getvalue(), 6, mtime=at))

    def licences(self, source: Path, box: Path, out: Path) -> None:
        """Write the licence of every part of the collector, which has all of the agent's."""
        whole = box / "whole"
        venv.create(whole, with_pip=True)
        lock = str(source / "lock/collector.txt")
        subprocess.run(
            [whole / "bin/pip", "install", "--quiet", "--require-hashes", "-r", lock],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        told = self._run(
            "pip-licenses", f"--python={whole / 'bin/python'}", "--format=json", "--with-urls",
            "--order=name",
        )  # fmt: skip
        (out / "licences.json").write_text(told, "utf-8")

    def look_through(self, source: Path, out: Path) -> None:
        """Have bandit read the sources.  Raises Unwell for a finding of high severity."""
        found = out / "bandit.json"
        self._run(
            "bandit", "--quiet", "--exit-zero", "-ll", "-f", "json", "-o", str(found),
            "-r", *SOURCES, cwd=source,
        )  # fmt: skip
        told = json.loads(found.read_text("utf-8"))
        told.pop("generated_at", None)
        found.write_text(json.dumps(told, indent=1), "utf-8")
        high = [one for one in told["results"] if one["issue_severity"] == "HIGH"]
        if high:
            where = ", ".join(f"{one['filename']}:{one['line_number']}" for one in high)
            raise Unwell(f"bandit finds it dangerous: {where}")

    def ask_for_weaknesses(self, source: Path, out: Path) -> None:
        """Ask the advisories for every part.  Raises Unwell for a known one, CannotSay for none."""
        for part in PARTS:
            done = subprocess.run(
                [
                    self._bin / "pip-audit", "--disable-pip", "--require-hashes", "-f", "json",
                    "--progress-spinner", "off", "-r", str(source / f"lock/{part}.txt"),
                ],
                check=False, capture_output=True, text=True,
            )  # fmt: skip
            told = json.loads(done.stdout)["dependencies"] if done.stdout.strip() else []
            asked = [one for one in told if "vulns" in one]
            if not asked:
                raise CannotSay(
                    f"pip-audit could ask about none of the {part}'s parts: the advisories cannot"
                    " be reached from here; release from where they can, or say --no-audit"
                )
            (out / f"audit-{part}.json").write_text(json.dumps(told, indent=1), "utf-8")
            weak = [one["name"] for one in asked if one["vulns"]]
            if weak:
                raise Unwell(f"known weaknesses in {', '.join(weak)}; see {out}")

    def _pip(self, *words: str) -> None:
        self._run("python", "-m", "pip", "install", "--quiet", *words)

    def _run(self, tool: str, *words: str, at: int = 0, cwd: Path | None = None) -> str:
        around = os.environ | {"SOURCE_DATE_EPOCH": str(at), "PYTHONHASHSEED": "0"}
        around["PATH"] = f"{self._bin}:{around['PATH']}"
        return subprocess.run(
            [self._bin / tool, *words],
            check=True, capture_output=True, text=True, env=around, cwd=cwd,
        ).stdout  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
