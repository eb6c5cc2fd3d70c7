"""A PostgreSQL of one's own: made in a temporary folder, on a socket there, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, None where there are none."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return newest[-1].parent if newest else None


@contextmanager
def postgresql() -> Iterator[str]:
    """Give the address of a new server, ``{}`` for the database; skips where none can be run."""
    pytest.importorskip("psycopg")
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL here: apt install postgresql")
    home = Path(tempfile.mkdtemp(prefix="fw-pg-"))
    runs: dict[str, Any] = {"cwd": home, "check": True, "stdout": subprocess.DEVNULL}
    if os.getuid() == 0:
        # It refuses to run as root.
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        runs |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
    data = home / "data"
    make = [str(folder / "initdb"), "-D", str(data), "-U", "forewarn", "-A", "trust", "-E", "UTF8"]
    subprocess.run([*make, "--locale=C.UTF-8", "--no-sync"], **runs)
    settings = f"-k {home} -c listen_addresses='' -c fsync=off -c max_connections=100"
    control = [str(folder / "pg_ctl"), "-D", str(data), "-w"]
    try:
        subprocess.run([*control, "-l", str(home / "log"), "-o", settings, "start"], **runs)
        try:
            yield f"postgresql+psycopg://forewarn@/{{}}?host={home}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **runs)
    finally:
        shutil.rmtree(home)
