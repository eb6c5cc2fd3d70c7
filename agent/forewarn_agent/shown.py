"""Write a value as people read it."""

from forewarn_checks.base import Unit

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def amount(value: float, unit: Unit | None) -> str:
    """Return ``41.2 GiB``, ``93.1 %``, ``3.2 d``, ``38 °C`` or a bare number."""
    match unit:
        case Unit.BYTES:
            return _bytes(value)
        case Unit.RATIO:
            return f"{value * 100:.1f} %"
        case Unit.SECONDS:
            return _seconds(value)
        case Unit.CELSIUS:
            return f"{value:g} °C"
        case _:
            return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"


def _bytes(value: float) -> str:
    for name in _BINARY[:-1]:
        if abs(value) < 1024:
            return f"{value:.0f} B" if name == "B" else f"{value:.1f} {name}"
        value /= 1024
    return f"{value:.1f} {_BINARY[-1]}"


def _seconds(value: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(value) >= size:
            return f"{value / size:.1f} {name}"
    return f"{value:.3g} s"
