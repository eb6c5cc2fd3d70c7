"""Be whatever part of the agent is asked for, in a build that brings its own Python.

Such a build has one program and no ``python`` beside it.  Whoever starts a part as
``PYTHON -I -X … -m forewarn_agent.main DIRECTORY`` says just the same to this program; all else is
for the command line.
"""

import runpy
import sys
from collections.abc import Sequence
from multiprocessing import freeze_support

PARTS = frozenset(
    f"forewarn_agent.{name}"
    for name in ("main", "child", "helper", "service_host", "service_helper")
)
"""What may be asked for.  A program that runs any module for anybody would be a Python, too."""

_ALONE = frozenset({"-I", "-P"})
_WITH_VALUE = frozenset({"-X"})


def part_asked_for(arguments: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return the part and what it is given, None when the arguments are for the command line."""
    rest = list(arguments)
    while rest and rest[0] in _ALONE | _WITH_VALUE:
        del rest[: 2 if rest[0] in _WITH_VALUE else 1]
    if len(rest) > 1 and rest[0] == "-m" and rest[1] in PARTS:
        return rest[1], rest[2:]
    return None


def main() -> None:
    """Be that part."""
    freeze_support()
    asked = part_asked_for(sys.argv[1:])
    if asked is None:
        from forewarn_agent.cli import app

        app(prog_name="forewarn-agent")
        return
    part, sys.argv[1:] = asked
    runpy.run_module(part, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
