"""The packages that hosts are installed from, so that no host needs a package index.

A folder holds wheels and, for each kind of host, one list:

    linux-x86_64-cp311.txt     a line for each wheel: SHA-256, size in bytes, name
    linux-aarch64-cp313.txt
    pydantic_core-…-cp311-cp311-manylinux_2_17_x86_64….whl
    windows-x86_64.txt
    forewarn-agent-0.1.0-windows-x86_64.zip      a build that brings its own Python

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
_LIST = re.compile(r"(linux-[a-z0-9_]+-cp\d+|(linux|windows)-(x86_64|aarch64))\.txt")
_LINE = re.compile(r"([0-9a-f]{64}) (\d{1,12}) ([A-Za-z0-9][A-Za-z0-9._+-]*\.(?:whl|zip|tar\.gz))")
_STANDALONE = re.compile(
    r"forewarn-agent-[0-9][0-9A-Za-z.+]*-(?P<kind>(linux|windows)-(x86_64|aarch64))\.(zip|tar\.gz)"
)
_WINDOWS = "windows-x86_64.txt"

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

    @property
    def windows_installer(self) -> bytes:
        """The script for ``GET /install.ps1``, with what it installs; empty when there is none."""
        listed = self.files.get(_WINDOWS)
        if listed is None:
            return b""
        builds = read_list(listed)
        if len(builds) != 1:
            return b""  # written by no `add`
        script = (resources.files(__package__) / "installer" / "agent.ps1").read_bytes()
        return script.replace(b"$Offer = ''", f"$Offer = '{builds[0]}'".encode("ascii"), 1)

    def __bool__(self) -> bool:
        return bool(self.files)


def default_folder() -> Path:
    """Return where the packages of this very installation lie."""
    return Path(sys.prefix) / "share" / "forewarn" / "packages"


def read_offer(folder: Path, lists: str = "*.txt") -> Offer:
    """Return what `folder` offers in lists that are named so.

    A list with a wheel that is not what it says is left out and logged.  Nothing is served
    but what is found here, now.  A folder that does not exist offers nothing.
    """
    files: dict[str, Path] = {}
    for listed in sorted(folder.glob(lists)):
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


def windows_line(offer: Offer, url: str, string: str) -> str:
    """Return what an administrator pastes into PowerShell to install and enrol a host.

    The script is named by its hash and run out of memory, just as it was hashed; it names the
    program by its hash in turn.  So the connection, which Windows PowerShell cannot be told to
    trust for one key, need not be trusted at all.  "" where nothing is offered.
    """
    script = offer.windows_installer
    if not script:
        return ""
    digest = hashlib.sha256(script).hexdigest().upper()
    return (
        "$f=[IO.Path]::GetTempFileName(); "
        f"curl.exe -fsSko $f {_quoted(url + '/install.ps1')}; "
        "$b=[IO.File]::ReadAllBytes($f); Remove-Item $f; "
        "$h=[BitConverter]::ToString([Security.Cryptography.SHA256]::Create().ComputeHash($b)); "
        f"if(($h -replace '-') -ne '{digest}')"
        "{throw 'this is not the script that the collector printed; nothing was run'}; "
        f"& ([ScriptBlock]::Create([Text.Encoding]::UTF8.GetString($b))) {_quoted(string)}"
    )


def add(folder: Path, made: Path) -> str:
    """Offer a build that brings its own Python, in place of an older one; return for which hosts.

    The name says that: ``forewarn-agent-VERSION-windows-x86_64.zip``.  Raises CannotBuild.
    """
    form = _STANDALONE.fullmatch(made.name)
    if form is None:
        raise CannotBuild(
            f"{made.name} is not named like forewarn-agent-0.1.0-windows-x86_64.zip; "
            "do not rename what a release brings"
        )
    kind = form["kind"]
    folder.mkdir(parents=True, exist_ok=True)
    for older in folder.glob(f"forewarn-agent-*-{kind}.*"):
        older.unlink()
    kept = Path(shutil.copy2(made, folder / made.name))
    listed = folder / f"{kind}.txt"
    listed.write_text(f"{_described(kept)}\n", "ascii")
    for path in (kept, listed):
        path.chmod(0o644)
    return kind


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
        for build in _standalone(folder):
            add(made, build)
        shutil.rmtree(folder, ignore_errors=True)
        made.replace(folder)
    for path in folder.iterdir():
        path.chmod(0o644)
    return lists


def _standalone(folder: Path) -> Iterator[Path]:
    """Yield the builds that `folder` offers as they were listed."""
    offer = read_offer(folder)
    yield from (path for name, path in offer.files.items() if _STANDALONE.fullmatch(name))


def _quoted(text: str) -> str:
    """Return `text` as PowerShell reads it to the letter."""
    return "'" + text.replace("'", "''") + "'"


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
