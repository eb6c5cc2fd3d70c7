"""The local line between agent and helper on Windows: a named pipe, as a socket is on Linux.

Only SYSTEM and the agent's account may open it, none from another machine, and the helper looks at
who they are once more before it does anything.
"""

# ruff: noqa: E402 - nothing below exists on other systems
import sys

assert sys.platform == "win32"

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pywintypes
import win32api
import win32con
import win32event
import win32file
import win32pipe
import win32security
import winerror

from forewarn_agent.service_access import own_sid

if TYPE_CHECKING:
    from _win32typing import PyOVERLAPPED

# Of winbase.h; pywin32 does not name them.
_REJECT_REMOTE_CLIENTS = 0x8
_FIRST_PIPE_INSTANCE = 0x80000
_SECURITY_IDENTIFICATION = 0x10000
_BUFFER_BYTES = 65536
_AGAIN_SECONDS = 0.1
_ENDS = (winerror.ERROR_BROKEN_PIPE, winerror.ERROR_PIPE_NOT_CONNECTED, winerror.ERROR_NO_DATA)


class Pipe:
    """One end of the line; reads and writes as a socket does."""

    def __init__(self, handle: int, timeout_seconds: float) -> None:
        """Take over `handle`, which was opened for overlapped use."""
        self.handle = handle
        self._milliseconds = int(timeout_seconds * 1000)

    def __enter__(self) -> "Pipe":
        return self

    def __exit__(self, *_: object) -> None:
        win32api.CloseHandle(self.handle)

    def sendall(self, data: bytes) -> None:
        """Write all of `data`.  Raises OSError."""
        left = memoryview(data)
        while left:
            piece = bytes(left[:_BUFFER_BYTES])
            done = _overlapped()
            try:
                win32file.WriteFile(self.handle, piece, done)
                left = left[self._finished(done) :]
            except pywintypes.error as failure:
                raise _os_error(failure) from None

    def recv(self, most: int) -> bytes:
        """Return what came, at most `most` bytes; empty when the other side is gone."""
        done = _overlapped()
        buffer = win32file.AllocateReadBuffer(most)
        try:
            win32file.ReadFile(self.handle, buffer, done)
            return bytes(buffer[: self._finished(done)])
        except pywintypes.error as failure:
            if failure.winerror in _ENDS:
                return b""
            raise _os_error(failure) from None

    def _finished(self, done: "PyOVERLAPPED") -> int:
        waited = win32event.WaitForSingleObject(done.hEvent, self._milliseconds)
        if waited != win32event.WAIT_OBJECT_0:
            win32file.CancelIo(self.handle)
            raise TimeoutError("the other side of the pipe is silent")
        return int(win32file.GetOverlappedResult(self.handle, done, True))


def connect(path: Path, timeout_seconds: float) -> Pipe:
    """Return a line to the helper, waiting a little while it starts.  Raises OSError."""
    until = time.monotonic() + min(timeout_seconds, 20.0)
    # It may learn who we are, and may not act as us.
    flags = win32file.FILE_FLAG_OVERLAPPED | win32con.SECURITY_SQOS_PRESENT
    flags |= _SECURITY_IDENTIFICATION
    both = win32con.GENERIC_READ | win32con.GENERIC_WRITE
    while True:
        try:
            handle = win32file.CreateFile(
                str(path), both, 0, None, win32con.OPEN_EXISTING, flags, None
            )
            return Pipe(int(handle.Detach()), timeout_seconds)
        except pywintypes.error as failure:
            passing = failure.winerror in (
                winerror.ERROR_FILE_NOT_FOUND, winerror.ERROR_PIPE_BUSY
            )  # fmt: skip
            if not passing or time.monotonic() > until:
                raise _os_error(failure) from None
        time.sleep(_AGAIN_SECONDS)


class Listener:
    """The helper's end: one caller after the other.  The name is held all the while."""

    def __init__(self, path: Path, callers: frozenset[str]) -> None:
        """Open `path` for the accounts `callers`, by SID.  Raises OSError, if it is taken too."""
        self._callers = callers | {own_sid()}
        allowed = "".join(f"(A;;GRGW;;;{sid})" for sid in sorted(self._callers))
        rights = win32security.SECURITY_ATTRIBUTES()
        rights.SECURITY_DESCRIPTOR = (
            win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(
                f"D:P{allowed}", win32security.SDDL_REVISION_1
            )
        )
        mode = win32con.PIPE_ACCESS_DUPLEX | win32file.FILE_FLAG_OVERLAPPED
        mode |= _FIRST_PIPE_INSTANCE  # nobody else is the helper
        try:
            self._pipe = win32pipe.CreateNamedPipe(
                str(path), mode, win32pipe.PIPE_TYPE_BYTE | _REJECT_REMOTE_CLIENTS,
                1, _BUFFER_BYTES, _BUFFER_BYTES, 0, rights,
            )  # fmt: skip
        except pywintypes.error as failure:
            raise _os_error(failure) from None
        self._handle = int(self._pipe)  # which closes it when it goes

    def accept(self, within_seconds: float, over: threading.Event) -> Pipe | None:
        """Return the line to the next caller; None when none came, or `over` was set."""
        done = _overlapped()
        try:
            came = win32pipe.ConnectNamedPipe(self._handle, done)
        except pywintypes.error as failure:
            raise _os_error(failure) from None
        if came == winerror.ERROR_PIPE_CONNECTED:
            return Pipe(self._handle, 15.0)
        until = time.monotonic() + within_seconds
        while time.monotonic() < until and not over.is_set():
            if win32event.WaitForSingleObject(done.hEvent, 200) == win32event.WAIT_OBJECT_0:
                return Pipe(self._handle, 15.0)
        win32file.CancelIo(self._handle)
        return None

    def may_ask(self) -> bool:
        """Say whether the caller is one of ours.  To be asked once something was read."""
        try:
            win32security.ImpersonateNamedPipeClient(self._handle)
        except pywintypes.error:
            return False
        try:
            token = win32security.OpenThreadToken(
                win32api.GetCurrentThread(), win32security.TOKEN_QUERY, True
            )
            user, _ = win32security.GetTokenInformation(token, win32security.TokenUser)
        except pywintypes.error:
            return False
        finally:
            win32security.RevertToSelf()
        return str(win32security.ConvertSidToStringSid(user)) in self._callers

    def hang_up(self) -> None:
        """Let go of the caller, and of what it has not read."""
        try:
            win32pipe.DisconnectNamedPipe(self._handle)
        except pywintypes.error:
            return  # the caller was faster

    def close(self) -> None:
        """Give the name up."""
        win32api.CloseHandle(self._pipe)


def _overlapped() -> "PyOVERLAPPED":
    made = pywintypes.OVERLAPPED()
    made.hEvent = win32event.CreateEvent(None, True, False, None)
    return made


def _os_error(failure: pywintypes.error) -> OSError:
    return OSError(failure.winerror, f"the pipe of the helper: {failure.strerror}")
