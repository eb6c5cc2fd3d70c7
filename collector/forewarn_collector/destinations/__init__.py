"""Where tickets go: one public module, one DESTINATION.  Nothing in here knows rules or hosts."""

import importlib
import pkgutil
from functools import cache
from typing import Any

from forewarn_collector.tickets import Destination


@cache
def all_destinations() -> dict[str, Destination[Any]]:
    """Return every kind of destination by name: each public module holds one DESTINATION."""
    found: dict[str, Destination[Any]] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        if module.ispkg or module.name.startswith("_"):
            continue
        destination: Destination[Any] = importlib.import_module(
            f"{__name__}.{module.name}"
        ).DESTINATION
        found[destination.kind] = destination
    return found
