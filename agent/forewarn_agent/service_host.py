"""Be the agent as a service of Windows.

    python -I -m forewarn_agent.service_host DIRECTORY

Started by the service manager alone.  Logs to DIRECTORY\\log\\agent.log; what libraries and the
children of checks say on stderr goes to stderr.log beside it.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import servicemanager
import win32service
import win32serviceutil

from forewarn_agent import main as agent
from forewarn_agent import paths
from forewarn_agent.exits import NOT_ENROLLED
from forewarn_agent.service_access import NAME
from forewarn_agent.service_log import handler_in, speak_into

assert sys.platform == "win32"

log = logging.getLogger(__name__)

_STOP_MILLISECONDS = 10_000
_START_MILLISECONDS = 60_000
_SILENT_MOST_SECONDS = 120.0
_LOOK_EVERY_SECONDS = 5.0


class Watchdog:
    """Ends a process that no longer says that it is at work.  Time asleep does not count."""

    def __init__(self, bark: Callable[[], None]) -> None:
        """`bark` is called once when nothing was heard for two minutes."""
        self._bark = bark
        self._heard = paths.awake_seconds()

    def hear(self, _state: str) -> None:
        """Take note of a sign of life."""
        self._heard = paths.awake_seconds()

    def watch(self, over: threading.Event) -> None:
        """Look until `over` is set."""
        while not over.wait(_LOOK_EVERY_SECONDS):
            if paths.awake_seconds() - self._heard > _SILENT_MOST_SECONDS:
                self._bark()
                return


class Service(win32serviceutil.ServiceFramework):
    """What the service manager talks to."""

    _svc_name_ = NAME
    directory = Path()

    def __init__(self, arguments: list[str]) -> None:
        """Be made by the service manager."""
        super().__init__(arguments)
        self._over = threading.Event()

    def SvcStop(self) -> None:  # noqa: N802 - its name is given
        """Be told to stop."""
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING, _STOP_MILLISECONDS)
        self._over.set()

    SvcShutdown = SvcStop

    def SvcRun(self) -> None:  # noqa: N802 - its name is given
        """Run the agent until told to stop."""
        self.ReportServiceStatus(win32service.SERVICE_START_PENDING, _START_MILLISECONDS)
        handler = handler_in(self.directory / "log", "agent.log")
        watchdog = Watchdog(_give_up)
        paths.service_listeners[:] = [self._hear, watchdog.hear]
        threading.Thread(target=watchdog.watch, args=(self._over,), daemon=True).start()
        try:
            code = agent.serve(self.directory, self._over, threading.Event(), handler)
        except Exception:
            log.exception("the agent broke")
            os._exit(1)
        if code not in (0, NOT_ENROLLED):
            # Without a word to the service manager, which then starts us again after a while.
            os._exit(code)

    def _hear(self, state: str) -> None:
        if state == "READY=1":
            self.ReportServiceStatus(win32service.SERVICE_RUNNING)


def _give_up() -> None:
    log.critical("nothing was sampled for too long; ending, to be started again")
    logging.shutdown()
    os._exit(1)


def main() -> None:
    """Hand this process to the service manager until the service has stopped."""
    Service.directory = Path(sys.argv[1])
    os.chdir(Service.directory)
    speak_into(Service.directory / "log")
    servicemanager.Initialize()
    servicemanager.PrepareToHostSingle(Service)
    servicemanager.StartServiceCtrlDispatcher()  # type: ignore[no-untyped-call]
    os._exit(0)  # a reader stuck in a dead network drive must not keep the process


if __name__ == "__main__":
    main()
