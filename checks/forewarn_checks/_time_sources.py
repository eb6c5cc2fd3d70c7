"""Read what the programs that keep a clock right say of it."""

import re
from dataclasses import dataclass

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)\b")
_SPANS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What one program says.  None is what it does not tell.

    `offset_seconds` is how far the clock is ahead of its source; `bound_seconds` how much more
    it may be off; `age_seconds` since when the source has not been heard.
    """

    keeper: str
    synchronised: bool
    source: str = ""
    offset_seconds: float | None = None
    bound_seconds: float | None = None
    age_seconds: float | None = None


def parse_chronyc(text: str, now: float) -> Clock | None:
    """Return what ``chronyc -n -c tracking`` prints at `now`; None when it is something else."""
    cells = text.strip().split(",")
    if len(cells) < 14:
        return None
    try:
        heard, behind = float(cells[3]), float(cells[4])
        delay, dispersion = float(cells[10]), float(cells[11])
    except ValueError:
        return None
    if cells[13] == "Not synchronised" or cells[0] == "00000000":
        return Clock(keeper="chronyd", synchronised=False)
    return Clock(
        keeper="chronyd",
        synchronised=True,
        source=cells[1][:_LONGEST_NAME],
        offset_seconds=0.0 - behind,
        bound_seconds=delay / 2 + dispersion,
        age_seconds=max(0.0, now - heard),
    )


def parse_ntpq(text: str) -> Clock | None:
    """Return what ``ntpq -n -c rv`` prints; None when it is something else."""
    pairs = dict(re.findall(r"(\w+)=(\"[^\"]*\"|[^,\s]+)", text))
    if "leap" not in pairs or "stratum" not in pairs:
        return None
    if pairs["leap"] in {"3", "11"} or pairs["stratum"] == "16":
        return Clock(keeper="ntpd", synchronised=False)
    try:
        return Clock(
            keeper="ntpd",
            synchronised=True,
            source=pairs.get("refid", "")[:_LONGEST_NAME],
            # how far the source is ahead, in milliseconds
            offset_seconds=0.0 - float(pairs["offset"]) / 1000,
            bound_seconds=(float(pairs["rootdelay"]) / 2 + float(pairs["rootdisp"])) / 1000,
        )
    except (KeyError, ValueError):
        return Clock(keeper="ntpd", synchronised=True)


def parse_timedatectl(shown: str, status: str) -> Clock | None:
    """Return what ``timedatectl show`` and ``timedatectl timesync-status`` print together.

    `status` is "" where timesyncd does not run.  None when `shown` is something else.
    """
    pairs = dict(line.partition("=")[::2] for line in shown.splitlines())
    if "NTPSynchronized" not in pairs:
        return None
    told = {
        name.strip(): value.strip()
        for name, _, value in (line.partition(":") for line in status.splitlines())
    }
    return Clock(
        keeper="timesyncd" if told else "the kernel",
        synchronised=pairs["NTPSynchronized"] == "yes",
        source=told.get("Server", "")[:_LONGEST_NAME],
        offset_seconds=parse_span(told.get("Offset", "")),
        bound_seconds=parse_span(told.get("Root distance", "").partition("(")[0]),
    )


def parse_span(text: str) -> float | None:
    """Return the seconds of ``+1min 2.5s`` or ``-45us``; None when there are none."""
    found = _SPAN.findall(text)
    if not found:
        return None
    seconds = sum(float(number) * _SPANS[unit] for number, unit in found)
    return -seconds if text.strip().startswith("-") else seconds


def parse_w32tm(text: str) -> Clock | None:
    """Return what ``w32tm /query /status /verbose`` prints, in whatever language.

    The names are translated, their order is not: leap, stratum, precision, root delay, root
    dispersion, reference, last sync, source, poll interval; then, after an empty line, phase
    offset first and the time since the last sync last.
    """
    first, _, second = text.replace("\r", "").strip().partition("\n\n")
    head = [line.partition(":")[2].strip() for line in first.splitlines()]
    tail = [line.partition(":")[2].strip() for line in second.splitlines() if ":" in line]
    if len(head) < 8 or not head[0][:1].isdecimal() or not head[1][:1].isdecimal():
        return None
    if head[0].startswith("3") or re.match(r"0\b", head[1]):
        return Clock(keeper="w32time", synchronised=False)
    delay, dispersion = _seconds(head[3]), _seconds(head[4])
    return Clock(
        keeper="w32time",
        synchronised=True,
        source=head[7][:_LONGEST_NAME],
        offset_seconds=_seconds(tail[0]) if tail else None,
        bound_seconds=None if delay is None or dispersion is None else delay / 2 + dispersion,
        age_seconds=_seconds(tail[-1]) if len(tail) > 1 else None,
    )


def _seconds(text: str) -> float | None:
    match = re.match(r"([+-]?\d{1,12}[.,]\d{1,12})s\b", text)
    return float(match[1].replace(",", ".")) if match else None
