"""Make what was read fit the wire, so that nothing is sent that a collector must refuse."""

import math

from forewarn_checks.base import FactValue, Sample
from forewarn_checks.base.wire import FactScalar

TEXT = 256  # bytes of a name or label value
LONG_TEXT = 4096  # bytes of an error or a fact
MOST_SAMPLES = 2000  # of one run
MOST_LABELS = 16
MOST_ROWS = 5000  # of one fact

_LARGEST = 2**63 - 1


def fit_text(text: str, most: int = TEXT) -> str:
    """Return `text` within `most` bytes of UTF-8, without NUL and lone surrogates."""
    clean = text.replace("\0", "\ufffd").encode("utf-8", "replace")
    if len(clean) <= most:
        return clean.decode()
    return clean[: most - 3].decode("utf-8", "ignore") + "…"


def fit_sample(sample: Sample) -> Sample | None:
    """Return `sample` with its texts cut to size; None when its value is no finite number."""
    if not math.isfinite(sample.value):
        return None
    labels = {fit_text(k): fit_text(v) for k, v in list(sample.labels.items())[:MOST_LABELS]}
    return Sample(fit_text(sample.metric), float(sample.value), labels)


def fit_fact(value: FactValue) -> FactValue:
    """Return a fact the wire can carry: texts and tables cut to size, numbers within 64 bits."""
    if not isinstance(value, list):
        return _fit_scalar(value)
    rows: list[dict[str, FactScalar]] = []
    words: list[str] = []
    for row in value[:MOST_ROWS]:
        if isinstance(row, dict):
            rows.append({fit_text(str(name)): _fit_scalar(cell) for name, cell in row.items()})
        else:
            words.append(fit_text(str(row), LONG_TEXT))
    return rows or words


def _fit_scalar(value: FactScalar) -> FactScalar:
    if isinstance(value, str):
        return fit_text(value, LONG_TEXT)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if abs(value) <= _LARGEST else str(value)
