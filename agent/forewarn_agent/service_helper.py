"""Be the helper as a service of Windows: read drives for the agent, which may not itself.

    python -I -m forewarn_agent.service_helper DIRECTORY

Runs as SYSTEM, without a network of its own to listen on; the agent has it started, and it ends
when nobody asks.  It runs no scripts: Windows is `monitor-only` for now, whoever signed an order.
"""

# ruff: noqa: E402 - nothing below exists on other systems
import sys

assert sys.platform == "win32"

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path

import servicemanager
import win32service
import win32serviceutil

from forewarn_agent import logs, paths
from forewarn_agent.helper import framing
from forewarn_agent.helper.drives import read_drives
from forewarn_agent.helper.framing import BadFrame, Json
from forewarn_agent.service_access import HELPER, NAME, service_sid
from forewarn_agent.service_log import handler_in, speak_into
from forewarn_agent.service_pipe import Listener, Pipe

log = logging.getLogger(__name__)

_IDLE_SECONDS = 30.0
_REQUEST_BYTES = 4 * 2**20  # an order with its script, which is heard out and refused
_SYSTEM = "S-1-5-18"


def answer(request: Json) -> Json:
    """Return what is said to one request: three words are known, as on Linux."""
    word = request.get("do")
    if word == "smart":
        return read_drives()
    if word == "policy-status":
        return {"mode": "monitor-only", "trouble": "", "locked": "", "keyring_version": 0}
    if word == "run":
        return {"error": "monitor-only: no scripts are run on Windows yet"}
    return {"error": "ask for smart, run or policy-status"}


def serve(listener: Listener, over: threading.Event, idle_seconds: float) -> None:
    """Answer one caller after the other until none comes, or `over` is set."""
    while (line := listener.accept(idle_seconds, over)) is not None:
        with suppress(OSError):
            _answer(listener, line)
            line.recv(1)  # it hangs up first, or what it has not read yet would be lost
        listener.hang_up()


def _answer(listener: Listener, line: Pipe) -> None:
    try:
        asked = framing.receive(line, _REQUEST_BYTES)
    except BadFrame as bad:
        framing.send(line, {"error": str(bad)})
        return
    if not listener.may_ask():
        log.warning("somebody else asked; hung up")
        raise PermissionError("not one of ours")
    framing.send(line, answer(asked))


class Helper(win32serviceutil.ServiceFramework):
    """What the service manager talks to."""

    _svc_name_ = HELPER
    directory = Path()

    def __init__(self, arguments: list[str]) -> None:
        """Be made by the service manager."""
        super().__init__(arguments)
        self._over = threading.Event()

    def SvcStop(self) -> None:  # noqa: N802 - its name is given
        """Be told to stop."""
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING)
        self._over.set()

    SvcShutdown = SvcStop

    def SvcRun(self) -> None:  # noqa: N802 - its name is given
        """Serve until nobody asks."""
        logs.set_up("info", handler_in(self.directory / "log", "helper.log"))
        try:
            listener = Listener(paths.helper_socket(), frozenset({_SYSTEM, service_sid(NAME)}))
        except OSError as failure:
            log.error("%s", failure)
            return
        self.ReportServiceStatus(win32service.SERVICE_RUNNING)
        serve(listener, self._over, _IDLE_SECONDS)
        listener.close()


def main() -> None:
    """Hand this process to the service manager until the helper has ended."""
    Helper.directory = Path(sys.argv[1])
    speak_into(Helper.directory / "log")
    servicemanager.Initialize()
    servicemanager.PrepareToHostSingle(Helper)
    servicemanager.StartServiceCtrlDispatcher()  # type: ignore[no-untyped-call]
    os._exit(0)


if __name__ == "__main__":
    main()
