"""Tell systemd that the collector is ready and alive; does nothing where nobody asked."""

import asyncio
import os
import socket
from collections.abc import Callable

_PING_EVERY_SECONDS = 20.0


def notify(state: str) -> None:
    """Tell the service manager ``READY=1``, ``STOPPING=1`` or ``WATCHDOG=1``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
        try:
            messenger.connect("\0" + address[1:] if address.startswith("@") else address)
            messenger.send(state.encode())
        except OSError:
            return  # the manager is away; it will restart us if that matters to it


async def ping_while(well: Callable[[], bool]) -> None:
    """Ping the watchdog for as long as the event loop turns and `well` says yes."""
    while well():
        notify("WATCHDOG=1")
        await asyncio.sleep(_PING_EVERY_SECONDS)
