"""Build the agent with its own Python, for the system this runs on, and pack it.

    python lock/standalone.py [--out build/standalone]

Needs PyInstaller and forewarn itself in the Python that runs it; for Windows that is a Python of
Windows.  Out comes ``forewarn-agent-VERSION-SYSTEM-MACHINE.zip`` for `packages add`, the same
bytes each time for the same parts.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
# Without these two builds differ: the time of each file, and of the program, and the order of sets.
_ALWAYS = (2020, 1, 1, 0, 0, 0)
_STEADY = {"SOURCE_DATE_EPOCH": "1577836800", "PYTHONHASHSEED": "0"}


def main(arguments: Sequence[str]) -> int:
    """Build; return the exit code."""
    parser = argparse.ArgumentParser(description="Build the agent with its own Python.")
    parser.add_argument("--out", type=Path, default=ROOT / "build/standalone")
    out = parser.parse_args(arguments).out
    if os.environ.get("PYTHONHASHSEED") != _STEADY["PYTHONHASHSEED"]:
        again = [sys.executable, __file__, *arguments]
        return subprocess.run(again, env=os.environ | _STEADY, check=False).returncode
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="forewarn-standalone-") as box:
        made = pack(freeze(Path(box)), out / f"{name()}.zip")
    print(f"{made}: {made.stat().st_size / 1e6:.1f} MB")
    return 0


def name() -> str:
    """Return what the build is called, without its ending."""
    system = "windows" if sys.platform == "win32" else "linux"  # noqa: TID251 - no agent here
    return f"forewarn-agent-{version('forewarn')}-{system}-{_MACHINES[platform.machine().lower()]}"


def freeze(box: Path) -> Path:
    """Have PyInstaller make the folder of the program below `box`."""
    from PyInstaller.__main__ import run

    given = ["--noconfirm", "--log-level", "ERROR"]
    given += ["--distpath", str(box / "made"), "--workpath", str(box / "work")]
    # Beside the sources nothing is written: PyInstaller keeps notes where its instructions lie.
    (box / "lock").mkdir()
    spec = shutil.copy2(ROOT / "lock/standalone.spec", box / "lock")
    entry = ROOT / "agent/forewarn_agent/frozen.py"
    (box / "agent/forewarn_agent").mkdir(parents=True)
    shutil.copy2(entry, box / "agent/forewarn_agent")
    run([*given, str(spec)])
    return box / "made/forewarn-agent"


def pack(folder: Path, archive: Path) -> Path:
    """Put all of `folder` into `archive`, in order and without what differs from day to day."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _ALWAYS)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if path.suffix in ("", ".exe") else 0o644) << 16
            packed.writestr(entry, path.read_bytes())
    return archive


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
