"""Write small private files so that a crash leaves the old or the new, never half of one."""

import os
import tempfile
import time
from pathlib import Path

_PAUSES = (0.01, 0.05, 0.1, 0.2, 0.4)  # seconds


def make_private(directory: Path) -> None:
    """Make `directory` for its owner alone.  One that exists keeps its rights."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Put `content` at `path`, readable by its owner alone, all of it or nothing.

    `durable` waits until it would survive a power cut.  Raises OSError; `path` is then as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        _put_in_place(Path(name), path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        _sync_directory(path.parent)


def _put_in_place(made: Path, path: Path) -> None:
    """Rename over `path`.  Windows refuses while somebody, a virus scanner say, has it open."""
    for pause in _PAUSES:
        try:
            made.replace(path)
        except PermissionError:
            if not hasattr(os, "O_BINARY"):
                raise  # elsewhere it is the folder's rights, and waiting mends nothing
            time.sleep(pause)
        else:
            return
    made.replace(path)


def _sync_directory(directory: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows: a rename is as durable as it gets
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
