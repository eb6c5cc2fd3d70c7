"""What the helper answers to `smart`: the drives, as a child of the agent would read them."""

import importlib

from forewarn_agent import child
from forewarn_agent.helper.framing import Json
from forewarn_checks.base import CannotRead, NothingToRead


def read_drives() -> Json:
    """Return what the drives say, one line a reading."""
    check = importlib.import_module("forewarn_checks.smart").CHECK
    lines: list[str] = []
    how, error = "ok", ""
    try:
        options = {option.name: option.default for option in check.options}
        lines += [child.line_of(reading) for reading in child.InChild(check)(options)]
    except NothingToRead as nothing:
        how, error = "nothing", str(nothing)
    except CannotRead as failure:
        how, error = "failed", str(failure)
    return {"lines": lines, "end": how, "error": error}
