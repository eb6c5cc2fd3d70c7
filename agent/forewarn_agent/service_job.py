"""Start a child so that Windows ends all it started with it: a job object of its own.

The job ends its processes when its last handle goes, so an agent that is killed leaves nothing.
"""

import subprocess
import sys
from collections.abc import Sequence

import pywintypes
import win32api
import win32con
import win32job

assert sys.platform == "win32"

_MAY = win32con.PROCESS_SET_QUOTA | win32con.PROCESS_TERMINATE


class InJob(subprocess.Popen[bytes]):
    """A child with pipes for stdin and stdout, in a job of its own."""

    def __init__(self, argv: Sequence[str]) -> None:
        """Start it, without a window.  Raises OSError."""
        super().__init__(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            creationflags=subprocess.CREATE_NO_WINDOW,
        )
        self._job: int = win32job.CreateJobObject(None, "")  # type: ignore[func-returns-value, assignment]
        try:
            limits = win32job.QueryInformationJobObject(
                self._job, win32job.JobObjectExtendedLimitInformation
            )
            flags = win32job.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
            limits["BasicLimitInformation"]["LimitFlags"] = flags
            win32job.SetInformationJobObject(
                self._job, win32job.JobObjectExtendedLimitInformation, limits
            )
            # It has yet to start its interpreter: nothing it does comes before this.
            held = win32api.OpenProcess(_MAY, False, self.pid)
            win32job.AssignProcessToJobObject(self._job, int(held))
        except pywintypes.error:
            self.kill()  # it may be gone already; what could not be held must not run
            self.wait()

    def end(self) -> None:
        """Kill it and all it started.  Harmless when they are gone."""
        try:
            win32job.TerminateJobObject(self._job, 1)
        except pywintypes.error:
            self.kill()
