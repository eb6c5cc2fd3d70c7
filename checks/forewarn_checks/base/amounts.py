"""Write measured values for people: base units in, readable text out, the same everywhere."""

from forewarn_checks.base.model import Unit

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def write_value(value: float, unit: Unit) -> str:
    """Return ``93.4 %``, ``5.1 GiB``, ``3.2 d``, ``41 °C`` or ``17``."""
    return _WRITERS[unit](value)


def _bytes(value: float) -> str:
    scale = 0
    while abs(value) >= 1024 and scale < len(_BINARY) - 1:
        value /= 1024
        scale += 1
    return f"{value:.0f} {_BINARY[scale]}" if scale == 0 else f"{value:.1f} {_BINARY[scale]}"


def _ratio(value: float) -> str:
    return f"{round(value * 100, 1):g} %"


def _seconds(value: float) -> str:
    for seconds, name in _SPANS:
        if abs(value) >= seconds:
            return f"{round(value / seconds, 1):g} {name}"
    return f"{round(value, 3):g} s"


def _celsius(value: float) -> str:
    return f"{round(value, 1):g} °C"


def _count(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.4g}"


_WRITERS = {
    Unit.BYTES: _bytes,
    Unit.RATIO: _ratio,
    Unit.SECONDS: _seconds,
    Unit.CELSIUS: _celsius,
    Unit.COUNT: _count,
}
