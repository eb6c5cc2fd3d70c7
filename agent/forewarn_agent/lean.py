"""Import a library without the parts of it that the resident process never uses.

Measured on CPython 3.11, PSS: asyncio 2.6 MB, for one function that APScheduler takes from it.
"""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without_asyncio() -> Iterator[None]:
    """Let imports inside have ``asyncio.iscoroutinefunction``, and the rest of asyncio not loaded.

    Whoever imports asyncio afterwards gets the real one.
    """
    if "asyncio" in sys.modules:
        yield
        return
    stand_in = ModuleType("asyncio")
    stand_in.__dict__["iscoroutinefunction"] = inspect.iscoroutinefunction
    sys.modules["asyncio"] = stand_in
    try:
        yield
    finally:
        if sys.modules.get("asyncio") is stand_in:
            del sys.modules["asyncio"]
