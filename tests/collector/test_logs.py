"""One event is one line, whatever hosts put into it."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from forewarn_collector import logs


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    logs.configure()
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_what_a_host_sends_cannot_forge_a_line(stderr: io.StringIO) -> None:
    """Line breaks, escapes for terminals and reversed text arrive as harmless signs."""
    nasty = 'x"\n{"event": "host enrolled"}\r\x1b[2J\u202e'
    structlog.get_logger("test").warning("batch refused", reason=nasty)
    logging.getLogger("library").error("also %s", nasty)
    lines = stderr.getvalue().splitlines()
    assert len(lines) == 2
    for line in lines:
        assert json.loads(line)["level"] in ("warning", "error")
        assert line.isprintable()


def test_a_traceback_stays_on_the_line_of_its_event(stderr: io.StringIO) -> None:
    """So that a log can be searched by event."""
    try:
        raise ValueError("inner")
    except ValueError:
        structlog.get_logger("test").exception("turn failed")
    (line,) = stderr.getvalue().splitlines()
    assert "ValueError: inner" in json.loads(line)["exception"]
