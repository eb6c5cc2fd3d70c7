"""Load a benchmark by its file: it is a script beside the packages, not one of them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "smart"
"""Public drive data, where it was put beside the project."""


def load(name: str) -> ModuleType:
    """Return the module of ``benchmarks/NAME.py``."""
    full = f"forewarn_benchmark_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, ROOT / "benchmarks" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[full] = module  # dataclasses look themselves up
        spec.loader.exec_module(module)
    return sys.modules[full]
