"""Log one line an event, whatever is in the event."""

import logging
import time


class OneLine(logging.Formatter):
    """Keeps line breaks and control characters of hosts and libraries out of the log's shape."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """Return the event as one printable line."""
        text = super().format(record).rstrip("\n").replace("\n", " | ")
        return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def set_up(level: str, handler: logging.Handler | None = None) -> None:
    """Write events of `level` and above to `handler` alone; without one to stderr."""
    handler = handler or logging.StreamHandler()
    handler.setFormatter(OneLine("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "apscheduler"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
