"""The packages that hosts are installed from, so that no host needs a package index.

A folder holds wheels and, for each kind of host, one list:

    linux-x86_64-cp311.txt     a line for each wheel: SHA-256, size in bytes, name
    linux-aarch64-cp313.txt
    pydantic_core-…-cp311-cp311-manylinux_2_17_x86_64….whl

`build` makes it on the collector, which can reach an index; `read_offer` says what is served.
"""

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import structlog

from forewarn_collector.certificates import Files, leaf_pin

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
# What wheels for glibc are called.  2.34 is that of the oldest systems that bring Python 3.11.
_PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28", "manylinux_2_34")
_LIST = re.compile(r"linux-[a-z0-9_]+-cp\d+\.txt")
_LINE = re.compile(r"([0-9a-f]{64}) (\d{1,12}) ([A-Za-z0-9][A-Za-z0-9._+-]*\.whl)")

log = structlog.get_logger("forewarn.packages")


class CannotBuild(Exception):
    """The packages could not be put together; the text says why."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One line of a list."""

    sha256: str
    size: int
    name: str

    def __str__(self) -> str:
        return f"{self.sha256} {self.size} {self.name}"


@dataclass(frozen=True, slots=True)
class Offer:
    """What is served to hosts: files by their exact name, and the script that installs them."""

    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def installer(self) -> bytes:
        """The script for ``GET /install.sh``."""
        return (resources.files(__package__) / "installer" / "agent.sh").read_bytes()

    def __bool__(self) -> bool:
        return bool(self.files)


def default_folder() -> Path:
    """Return where the packages of this very installation lie."""
    return Path(sys.prefix) / "share" / "forewarn" / "packages"


def read_offer(folder: Path) -> Offer:
    """Return what `folder` offers; a wheel that is not what its list says is left out and logged.

    Nothing is served but what is found here, now.  A folder that does not exist offers nothing.
    """
    files: dict[str, Path] = {}
    for listed in sorted(folder.glob("*.txt")):
        if not _LIST.fullmatch(listed.name):
            continue
        try:
            wheels = read_list(listed)
        except (ValueError, OSError) as trouble:
            log.error("list of packages cannot be read", list=listed.name, trouble=str(trouble))
            continue
        good = [wheel for wheel in wheels if _is_good(folder, wheel, files)]
        if len(good) < len(wheels):
            missing = sorted({w.name for w in wheels} - {w.name for w in good})
            log.error("packages damaged; build them again", list=listed.name, missing=missing)
            continue
        files[listed.name] = listed
        files.update({wheel.name: folder / wheel.name for wheel in good})
    return Offer(files)


def read_list(path: Path) -> tuple[Wheel, ...]:
    """Return the lines of a list.  Raises ValueError for a line that is none."""
    return tuple(_parse(line) for line in path.read_text("ascii").splitlines())


def install_line(directory: Path, url: str, string: str) -> str:
    """Return the command that installs and enrols a host of the instance in `directory`.

    The authority is not known to the host yet, so curl is told the one public key it may meet.
    """
    ask = "curl -fsS"
    if url.startswith("https:"):
        ask += f"k --pinnedpubkey 'sha256//{leaf_pin(Files(directory))}'"
    script = shlex.quote(f"{url}/install.sh")
    return f"{ask} {script} | sudo sh -s -- {shlex.quote(string)}"


def build(folder: Path, wheel: Path, locks: Sequence[Path], say: Callable[[str], None]) -> int:
    """Put wheels and lists into `folder`, in place of what was there; return how many lists.

    `wheel` is forewarn's own, `locks` name the rest by version and hash.  A kind of host for
    which the index has no wheels is left out and told.  Raises CannotBuild when none is left.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".packages-") as name:
        made = Path(name) / "made"
        made.mkdir(mode=0o755)
        lists = 0
        for python, machine in ((p, m) for m in MACHINES for p in PYTHONS):
            kind = f"linux-{machine}-cp{python.replace('.', '')}"
            say(f"packages for {kind}")
            fetched = Path(name) / kind
            if problem := _fetch(fetched, locks, python, machine):
                say(f"  none: {problem}")
                continue
            shutil.copy2(wheel, fetched / wheel.name)
            lines = [str(_described(path)) for path in sorted(fetched.glob("*.whl"))]
            (made / f"{kind}.txt").write_text("\n".join(lines) + "\n", "ascii")
            for path in fetched.glob("*.whl"):
                path.replace(made / path.name)
            lists += 1
        if not lists:
            raise CannotBuild("no kind of host could be served; can a package index be reached?")
        shutil.rmtree(folder, ignore_errors=True)
        made.replace(folder)
    for path in folder.iterdir():
        path.chmod(0o644)
    return lists


def _fetch(target: Path, locks: Sequence[Path], python: str, machine: str) -> str:
    """Fetch every wheel of `locks` for one kind of host; return "" or what was wrong."""
    tag = f"cp{python.replace('.', '')}"
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    argv += ["--no-input", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    argv += ["--dest", str(target), "--implementation", "cp", "--python-version", python]
    argv += [word for abi in (tag, "abi3", "none") for word in ("--abi", abi)]
    argv += [word for p in _PLATFORMS for word in ("--platform", f"{p}_{machine}")]
    argv += [word for lock in locks for word in ("--requirement", str(lock))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    return next(reversed(list(_told(done.stderr))), f"pip ended with {done.returncode}")


def _told(stderr: str) -> Iterator[str]:
    yield from (line.strip() for line in stderr.splitlines() if line.strip())


def _described(path: Path) -> Wheel:
    return Wheel(_sha256(path), path.stat().st_size, path.name)


def _is_good(folder: Path, wheel: Wheel, known: Mapping[str, Path]) -> bool:
    if wheel.name in known:
        return True
    try:
        return _described(folder / wheel.name) == wheel
    except OSError:
        return False


def _parse(line: str) -> Wheel:
    form = _LINE.fullmatch(line)
    if form is None:
        raise ValueError(f"{line[:80]!r} is no line of a list of packages")
    return Wheel(form[1], int(form[2]), form[3])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
