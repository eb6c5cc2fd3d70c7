"""The few calls that make bytes outlive a crash, and the lock that keeps a folder to one owner."""

import errno
import os
import sys
from io import FileIO
from pathlib import Path
from typing import Final

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a disk or a quota says when it takes nothing more; anything else means it is ill."""


class InUse(Exception):
    """Another living process owns the folder; the text names the lock file."""


class Disk:
    """Writes and makes durable.  A parameter, so that a test can hand in a disk that fails."""

    def write(self, file: FileIO, data: bytes) -> None:
        """Write all of `data`.  Raises OSError when only a part went in; the part stays."""
        view = memoryview(data)
        while view:
            view = view[file.write(view) or 0 :]

    def fsync(self, file: FileIO) -> None:
        """Return once the file's bytes survive a power cut.

        After an OSError the same file must not be asked again: Linux forgets the failed pages
        and the second call lies (fsyncgate, 2018).
        """
        os.fsync(file.fileno())

    def sync_directory(self, directory: Path) -> None:
        """Return once made, renamed and removed names survive a power cut."""
        if sys.platform == "win32":  # noqa: TID251 - NTFS journals names; a folder has no fsync
            return
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def take_lock(path: Path) -> FileIO:
    """Return the open lock file; the kernel lets go of it when the process ends, however it ends.

    Raises InUse when another process holds it, OSError when it cannot be made.
    """
    file = FileIO(path, "a+")
    try:
        _lock(file)
    except OSError as failure:
        file.close()
        if failure.errno not in {errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}:
            raise
        raise InUse(
            f"{path} is held by another process; is an agent already running here? "
            "Stop it, or give this one a directory of its own"
        ) from failure
    return file


if sys.platform == "win32":  # noqa: TID251 - each system has its own call and mypy must see which
    import msvcrt

    def _lock(file: FileIO) -> None:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as failure:
            # It says "denied"; Wine's C library sets no error at all.
            raise OSError(failure.errno or errno.EACCES, "the file is locked") from failure
else:
    import fcntl

    def _lock(file: FileIO) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
