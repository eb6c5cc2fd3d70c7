"""What checks and metrics are called before people: short, and told apart within their check."""

from collections import Counter
from functools import cache

from forewarn_checks.base import Check, Metric, Unit
from forewarn_checks.base.catalog import all_checks

_CAPITALS = frozenset({"cpu", "crc", "smart", "os", "id", "io", "tcp", "dns", "http"})


def check_title(name: str) -> str:
    """Return ``Disk``, ``CPU``, ``SMART``."""
    return _headed(name.split("_"))


def metric_title(metric: Metric, check: Check) -> str:
    """Return ``Free`` for ``disk_free_bytes``, ``Used %`` where ``Used`` would name two."""
    return _titles(check.name).get(metric.name) or _plain(metric, check.name)


def spoken(metric: Metric) -> str:
    """Return the metric in a sentence: ``disk free``."""
    return " ".join(metric.name.removesuffix(f"_{metric.unit}").split("_"))


@cache
def _titles(check: str) -> dict[str, str]:
    declared = all_checks().get(check)
    if declared is None:
        return {}
    plain = {metric: _plain(metric, check) for metric in declared.metrics}
    uses = Counter(plain.values())
    return {
        metric.name: title if uses[title] == 1 else f"{title} {_unit(metric)}"
        for metric, title in plain.items()
    }


def _plain(metric: Metric, check: str) -> str:
    words = metric.name.removesuffix(f"_{metric.unit}").split("_")
    return _headed(words[1:] if words[0] == check and len(words) > 1 else words)


def _unit(metric: Metric) -> str:
    return "%" if metric.unit is Unit.RATIO else str(metric.unit)


def _headed(words: list[str]) -> str:
    text = " ".join(word.upper() if word in _CAPITALS else word for word in words)
    return text[:1].upper() + text[1:]
