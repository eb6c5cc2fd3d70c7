"""Talk to the running collector of an instance: one JSON line each way over ``DIR/control.sock``.

Only the owner of the folder reaches the socket.  Commands that would need the sample store ask
here, because only `serve` opens it.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

SOCKET = "control.sock"
_LINE_BYTES = 64 * 1024
_SECONDS = 30.0

Answer = Mapping[str, JsonValue]
Handler = Callable[[Mapping[str, str]], Answer]


class ControlError(Exception):
    """The running collector could not be asked, or refused; the text says why."""


class NotRunning(ControlError):
    """No collector runs on this instance."""


class _Question(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    do: str
    arguments: dict[str, str] = {}


def ask(directory: Path, do: str, **arguments: str) -> Answer:
    """Ask the running collector to do something and return its answer.

    Raises NotRunning when there is none, and ControlError with its text when it refuses.
    """
    question = json.dumps({"do": do, "arguments": arguments}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as connection, _short(directory) as path:
        connection.settimeout(_SECONDS)
        try:
            connection.connect(path)
            connection.sendall(question)
            line = connection.makefile("rb").readline()
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunning(f"no collector runs on {directory}; start it: serve") from None
        except OSError as error:
            raise ControlError(f"{directory / SOCKET}: {error}") from error
    if not line:
        raise ControlError("the collector closed the connection; its log says why")
    answer = json.loads(line)
    if "error" in answer:
        raise ControlError(answer["error"])
    return dict(answer)


@asynccontextmanager
async def listening(directory: Path, handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    """Answer on the socket for as long as the block runs.  Handlers run in threads.

    A handler that raises ControlError has its text told.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(_SECONDS):
                line = await reader.readline()
                told = await asyncio.to_thread(_answer, line, handlers)
                writer.write(json.dumps(told).encode() + b"\n")
                await writer.drain()
        writer.close()

    path = directory / SOCKET
    path.unlink(missing_ok=True)
    with _short(directory) as short:
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(answer, short, limit=_LINE_BYTES)
        finally:
            os.umask(before)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


def _answer(line: bytes, handlers: Mapping[str, Handler]) -> Answer:
    try:
        question = _Question.model_validate_json(line)
    except ValidationError:
        return {"error": 'ask in one line of JSON: {"do": NAME, "arguments": {}}'}
    handler = handlers.get(question.do)
    if handler is None:
        return {"error": f"no {question.do!r} here; there are {', '.join(sorted(handlers))}"}
    try:
        return handler(question.arguments)
    except ControlError as refused:
        return {"error": str(refused)}


@contextmanager
def _short(directory: Path) -> Iterator[str]:
    """Give a path of the socket of less than the 108 bytes that the kernel allows."""
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET}"
    finally:
        os.close(handle)
