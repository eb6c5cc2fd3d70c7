"""Read drives through the helper, where the agent itself may not.

The helper takes no options: what it reads is settled on its side of the socket.
"""

import json
from collections.abc import Callable, Iterable, Iterator

from forewarn_agent import child, paths
from forewarn_agent.orders import AskHelper, NoHelper
from forewarn_checks import smart
from forewarn_checks.base import CannotRead, NothingToRead, Options, Reader, Reading

_SECONDS = 110.0


def through_helper(
    ask: AskHelper, unread: Callable[[str], Iterable[Reading]] = smart.unread
) -> Reader:
    """Return a reader of drives that has the helper do it.

    `unread` gives what is told of the drives when it does not.
    """

    def read(_options: Options) -> Iterator[Reading]:
        try:
            told = ask({"do": "smart"}, _SECONDS)
        except NoHelper as failure:
            yield from unread("no helper")
            raise CannotRead(f"the helper does not answer: {failure}") from None
        lines = told.get("lines")
        if not isinstance(lines, list):
            yield from unread("no helper")
            raise CannotRead(f"the helper refused: {told.get('error', 'no reason given')}")
        for line in lines:
            yield child.reading_of(json.loads(str(line)))
        if told.get("end") == "nothing":
            raise NothingToRead(str(told.get("error")))
        if told.get("end") != "ok":
            raise CannotRead(str(told.get("error")))

    return read


def smart_reader(own: Reader | None, ask: AskHelper) -> Reader | None:
    """Return how this agent reads drives: itself as root, else through the helper if it is there.

    Without a helper its own attempt says best what it lacks.
    """
    if own is None or paths.is_root():
        return own
    helped = through_helper(ask)

    def read(options: Options) -> Iterator[Reading]:
        reader = helped if paths.has_helper() else own
        yield from reader(options)

    return read
