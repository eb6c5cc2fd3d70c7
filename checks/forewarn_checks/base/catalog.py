"""Find every check."""

import importlib
import pkgutil
from functools import cache

import forewarn_checks
from forewarn_checks.base.model import Check, Metric


@cache
def all_checks() -> dict[str, Check]:
    """Return every check by name: each public module of the package holds one CHECK."""
    checks: dict[str, Check] = {}
    for module in sorted(pkgutil.iter_modules(forewarn_checks.__path__), key=lambda m: m.name):
        if module.ispkg or module.name.startswith("_"):
            continue
        check: Check = importlib.import_module(f"forewarn_checks.{module.name}").CHECK
        checks[check.name] = check
    return checks


@cache
def all_metrics() -> dict[str, Metric]:
    """Return every metric of every check by name."""
    return {metric.name: metric for check in all_checks().values() for metric in check.metrics}
