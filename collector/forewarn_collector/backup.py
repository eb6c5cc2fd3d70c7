"""Copy a collector's folder so that the copy is a whole collector, and put such a copy back.

    python -m forewarn_collector.backup DIRECTORY TARGET     of a collector that is stopped

A copy is an instance like any other: the same files under the same names, with ``backup.json``
beside them.  It holds every secret of the collector: keep it as safe as the collector itself.

CannotCopy      nothing was left behind; the text says why
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from forewarn_collector import clock, config, control
from forewarn_collector.control import ControlError, NotRunning
from forewarn_collector.instance import InstanceError, find, only_one, state_path
from forewarn_collector.samples.duck import DuckSampleStore
from forewarn_collector.samples.opening import HOT
from forewarn_collector.state.migrations import copy_database

MANIFEST = "backup.json"
STAGING = ".backup"  # in the instance: sealed files are linked there, which takes no time or room
_SAMPLES = "samples"
_LEFT_OUT = ("serve.lock", control.SOCKET, MANIFEST, STAGING, ".before", _SAMPLES)


class CannotCopy(Exception):
    """A backup could not be made or put back."""


def back_up(directory: Path, target: Path, now: datetime) -> int:
    """Copy the instance, running or not, to the new folder `target`; return the bytes copied.

    Raises CannotCopy, ControlError, OSError.
    """
    if target.exists():
        raise CannotCopy(f"{target} exists; name a folder that does not")
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = directory / STAGING
    try:
        try:
            control.ask(directory, "snapshot")
        except NotRunning:
            snapshot_stopped(directory, staging)
        unfinished = target.with_name(f"{target.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(staging, unfinished)
        unfinished.chmod(0o700)
        copied = _describe(unfinished, now)
        unfinished.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return copied


def restore(source: Path, directory: Path) -> int:
    """Put a backup back as the instance in `directory`, once every file proved whole.

    Returns how many files there were.  Raises CannotCopy when it is no backup, when a file was
    changed or is missing, and when `directory` holds a collector.
    """
    try:
        told = json.loads((source / MANIFEST).read_bytes())
        files: Mapping[str, str] = {str(n): str(h) for n, h in told["files"].items()}
    except (OSError, ValueError, KeyError, AttributeError) as failure:
        raise CannotCopy(f"{source} is no backup: {MANIFEST} is missing or damaged") from failure
    if (directory / config.FILE).exists():
        raise CannotCopy(f"{directory} holds a collector; move it away first")
    for name, digest in files.items():
        path = source / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise CannotCopy(f"{MANIFEST} names {name}, which lies outside of the backup")
        if not path.is_file() or _sha256(path) != digest:
            raise CannotCopy(
                f"{path} is missing or is not what was backed up; nothing was restored"
            )
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    # collector.toml last: it is what says that the instance is whole.
    for name in sorted(files, key=lambda name: name == config.FILE):
        (directory / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy2(source / name, directory / name)
    for name in ("secrets", _SAMPLES, "rules.d"):
        (directory / name).mkdir(mode=0o700, exist_ok=True)
    return len(files)


def snapshot_stopped(directory: Path, target: Path) -> None:
    """Put the instance of a stopped collector into `target`.  Raises InstanceError if it runs."""
    with only_one(directory):
        _settings_and_state(directory, target)
        samples = directory / _SAMPLES
        (target / _SAMPLES).mkdir(mode=0o700)
        for path in _files_below(samples):
            copy = target / _SAMPLES / path.relative_to(samples)
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Sealed files are never written again; the hot file is.
            (shutil.copy2 if path.name.startswith(HOT) else os.link)(path, copy)


def snapshot_running(directory: Path, store: DuckSampleStore) -> None:
    """Put the instance of this very process into its staging folder.

    State first: a cursor older than the samples judges some again, one newer would skip some.
    """
    target = directory / STAGING
    shutil.rmtree(target, ignore_errors=True)
    _settings_and_state(directory, target)
    store.copy_to(target / _SAMPLES)


def _settings_and_state(directory: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    copy_database(state_path(directory), target / state_path(directory).name)
    for path in directory.iterdir():
        if path.name in _LEFT_OUT or path.name.startswith(state_path(directory).name):
            continue
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        else:
            shutil.copy2(path, target / path.name)


def _describe(folder: Path, now: datetime) -> int:
    """Write what the backup holds and return its size."""
    files = {str(path.relative_to(folder)): _sha256(path) for path in _files_below(folder)}
    size = sum((folder / name).stat().st_size for name in files)
    told = {"made_at": clock.rfc3339(now), "version": version("forewarn"), "files": files}
    path = folder / MANIFEST
    path.touch(mode=0o600)
    path.write_text(json.dumps(told, indent=1), "utf-8")
    return size


def _files_below(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _main(directory: Path, target: Path) -> None:
    """Be what the installer runs before an upgrade."""
    try:
        snapshot_stopped(find(directory), target)
    except (InstanceError, ControlError, OSError) as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
