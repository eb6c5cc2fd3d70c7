"""Read what a machine's firmware says it is: maker, model, serial number.

Any user may read the first two; the serial number only root.
"""

from collections.abc import Iterator
from pathlib import Path

_FILES = {
    "machine_vendor": "sys_vendor",
    "machine_model": "product_name",
    "machine_serial": "product_serial",
}
_LONGEST = 200

# What firmware says when nobody filled it in.
_EMPTY = frozenset(
    {
        *("", "0", "none", "n/a", "not specified", "not available", "default string"),
        *("to be filled by o.e.m.", "system manufacturer", "system product name"),
        *("system serial number", "unknown", "invalid", "o.e.m."),
    }
)


def read_machine(folder: Path = Path("/sys/class/dmi/id")) -> Iterator[tuple[str, str]]:
    """Return names of facts with their values; what is not told, or may not be read, is left out.

    Machines without such firmware (most containers, many ARM boards) tell nothing.
    """
    for name, file in _FILES.items():
        try:
            told = (folder / file).read_text("utf-8", "replace").strip()
        except OSError:
            continue
        if told.lower() not in _EMPTY and told.isprintable():
            yield name, told[:_LONGEST]
