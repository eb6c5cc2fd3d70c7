"""One line an event on stderr: JSON for machines, plain text on a terminal."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


def configure(level: int = logging.INFO) -> None:
    """Send our own events and those of libraries through one form."""
    terminal = sys.stderr.isatty()
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        _one_line,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Processor = structlog.processors.JSONRenderer()
    if terminal:
        renderer = structlog.dev.ConsoleRenderer(timestamp_key="at", colors=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Strangers make it warn of every request that is no HTTP; that is their news, not ours.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    for chatty in ("alembic", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep what hosts sent from forging lines or steering a terminal."""
    values: MutableMapping[str, Any] = event
    for name, value in values.items():
        if isinstance(value, str) and not value.isprintable() and name != "exception":
            values[name] = value.encode("unicode_escape").decode("ascii")
    return event
