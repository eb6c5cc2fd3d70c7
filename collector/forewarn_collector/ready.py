"""Ask whether the collector on a folder is up and can do its work: what an installer wants to know.

    python -m forewarn_collector.ready DIRECTORY

Exit code 0: it answers, its database takes writes, its disk has room.
"""

import shutil
import sys
from pathlib import Path

from forewarn_collector import control
from forewarn_collector.api.probes import DISK_FREE_LEAST
from forewarn_collector.control import ControlError


def trouble(directory: Path) -> str:
    """Return "" or what keeps the collector on `directory` from its work."""
    try:
        control.ask(directory, "status")
    except ControlError as silent:
        return str(silent)
    if shutil.disk_usage(directory).free < DISK_FREE_LEAST:
        return f"the disk of {directory} is almost full"
    return ""


if __name__ == "__main__":
    told = trouble(Path(sys.argv[1]))
    sys.exit(told or None)
