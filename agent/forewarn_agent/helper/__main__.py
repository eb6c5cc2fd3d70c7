"""Be the helper: answer what the agent asks through a local socket, and end when nobody asks.

    python -m forewarn_agent.helper [--listen PATH] [--dir DIR] [--agent-dir DIR] [--policy FILE]
                                    [--allow-user NAME] [--idle SECONDS]

systemd starts it when the socket is first used (`LISTEN_FDS`).  Only root, its own account and the
agent's may talk to it; the kernel says who they are.
"""

# ruff: noqa: E402 - nothing below exists on other systems
import sys

assert sys.platform == "linux"  # noqa: TID251 - Windows has a helper of its own kind

import argparse
import logging
import os
import pwd
import resource
import signal
import socket
import struct
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from forewarn_agent import identity, logs, paths
from forewarn_agent.durable import InUse
from forewarn_agent.exits import NOT_ENROLLED, NOT_WELL, WRONG_USE
from forewarn_agent.helper import execution, frames, framing
from forewarn_agent.helper.desk import Desk, Surroundings
from forewarn_agent.helper.drives import read_drives
from forewarn_agent.helper.frames import RunRequest, SmartRequest
from forewarn_agent.helper.framing import BadFrame, Json
from forewarn_agent.identity import BrokenIdentity, NotEnrolled
from forewarn_scripts.decide import Endpoint
from forewarn_scripts.envelope import MOST_BYTES
from forewarn_scripts.keys import key_id
from forewarn_scripts.policy import DEFAULT_PATH

log = logging.getLogger("forewarn_agent.helper")

_SPEAK_SECONDS = 15.0
_FIRST_DESCRIPTOR = 3
_CREDENTIALS = struct.Struct("3i")


def main(arguments: list[str]) -> int:
    """Serve until nobody has asked for a while, or SIGTERM; return the exit code."""
    wanted = _parser().parse_args(arguments)
    logs.set_up("info")
    listener: socket.socket | None = None
    try:
        listener = _listener(wanted.listen)
        allowed = _allowed(wanted.allow_user)
        who = identity.load(wanted.agent_dir)
    except NotEnrolled as failure:
        log.error("%s", failure)
        _turn_away(listener)
        return NOT_ENROLLED
    except (BrokenIdentity, OSError) as failure:
        log.error("%s", failure)
        _turn_away(listener)
        return NOT_WELL
    except ValueError as failure:
        log.error("%s", failure)
        _turn_away(listener)
        return WRONG_USE
    around = Surroundings(
        directory=wanted.dir,
        policy=wanted.policy,
        host=Endpoint(key_id(who.public), who.client, who.collector_id),
        public=who.public,
        sign=who.sign,
        owner=os.geteuid(),
        in_unit=execution.has_systemd(),
    )
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    execution.adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        desk = Desk(around, lambda: datetime.now().astimezone())
    except (InUse, OSError) as failure:
        log.error("%s", failure)
        _turn_away(listener)
        return NOT_WELL
    with listener:
        _serve(listener, desk, allowed, wanted.idle)
    desk.close()
    return 0


def _turn_away(listener: socket.socket | None) -> None:
    """Hang up on who waits: left waiting, they would have systemd start us again at once."""
    if listener is None:
        return
    listener.setblocking(False)
    with suppress(OSError):
        while True:
            listener.accept()[0].close()


def _serve(listener: socket.socket, desk: Desk, allowed: frozenset[int], idle: float) -> None:
    """Answer one after the other: a script that runs has the helper for itself."""
    listener.settimeout(idle)
    while True:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            return
        with connection, suppress(OSError):
            connection.settimeout(_SPEAK_SECONDS)
            peer = _peer(connection)
            if peer not in allowed:
                log.warning("account %d may not ask; hung up", peer)
                continue
            framing.send(connection, _answered(connection, desk))


def _answered(connection: socket.socket, desk: Desk) -> Json:
    try:
        request = frames.request_of(framing.receive(connection, frames.REQUEST_BYTES))
    except BadFrame as bad:
        return {"error": str(bad)}
    if isinstance(request, RunRequest):
        if len(request.asked.envelope) > MOST_BYTES:
            return {"error": "the order is too long"}
        return {"result": desk.run(request).decode()}
    if isinstance(request, SmartRequest):
        return read_drives()
    return asdict(desk.status())


def _peer(connection: socket.socket) -> int:
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(told)
    return int(user)


def _allowed(name: str) -> frozenset[int]:
    """Return the accounts that may ask.  Raises ValueError when there is no such account."""
    allowed = {0, os.geteuid()}
    if name:
        try:
            allowed.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            raise ValueError(f"--allow-user {name}: there is no such account") from None
    return frozenset(allowed)


def _listener(path: Path | None) -> socket.socket:
    """Return the socket systemd handed over, else one made at `path`.  Raises ValueError."""
    handed = os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS")
    if handed == "1":
        return socket.socket(fileno=_FIRST_DESCRIPTOR)
    if path is None:
        raise ValueError("systemd handed no socket over; give --listen PATH to try it by hand")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    old = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(old)
    listener.listen(4)
    return listener


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m forewarn_agent.helper")
    parser.add_argument("--listen", type=Path, help="a socket to make; else systemd's is taken")
    parser.add_argument("--dir", type=Path, default=paths.helper_directory())
    parser.add_argument("--agent-dir", type=Path, default=paths.default_directory())
    parser.add_argument("--policy", type=Path, default=DEFAULT_PATH)
    parser.add_argument("--allow-user", default="", help="the agent's account")
    parser.add_argument("--idle", type=float, default=30.0, help="seconds without work")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
