"""Where a service of Windows, which has no stderr, leaves what it says."""

import logging
import logging.handlers
import os
import sys
from pathlib import Path

_LOG_BYTES = 2**20
_LOGS_KEPT = 3


def handler_in(folder: Path, name: str) -> logging.Handler:
    """Return what writes events to ``folder/name``, and keeps a few older files beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    return logging.handlers.RotatingFileHandler(
        folder / name, maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT, encoding="utf-8", delay=True
    )


def speak_into(folder: Path) -> None:
    """Let stderr, ours and that of our children, be ``folder/stderr.log``, begun anew."""
    if sys.platform != "win32":
        return
    import msvcrt

    import win32api

    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / "stderr.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    os.dup2(file, 2, inheritable=True)
    win32api.SetStdHandle(win32api.STD_ERROR_HANDLE, msvcrt.get_osfhandle(2))
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
