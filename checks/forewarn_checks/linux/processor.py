"""Parse what /proc says of the processors: ``stat``, ``loadavg`` and ``cpuinfo``."""

from dataclasses import dataclass

# Columns of a cpu line in /proc/stat, proc(5).  The two that follow, guest and guest_nice, are
# already counted in user and nice.
_COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


@dataclass(frozen=True, slots=True)
class Times:
    """Processor time since boot in clock ticks, of all processors together."""

    idle: int
    iowait: int
    steal: int
    total: int


@dataclass(frozen=True, slots=True)
class Shares:
    """How processors spent an interval, each 0 to 1.  `used` is all but idle and iowait."""

    used: float
    iowait: float
    steal: float


def parse_stat(text: str) -> Times:
    """Return the times of the line ``cpu``.  Raises ValueError without a usable one."""
    for line in text.splitlines():
        name, *columns = line.split() or [""]
        if name == "cpu":
            # Linux before 2.6.11 had no steal; short lines are padded, not refused
            ticks = [int(column) for column in columns[: len(_COLUMNS)]]
            ticks += [0] * (len(_COLUMNS) - len(ticks))
            by_name = dict(zip(_COLUMNS, ticks, strict=True))
            return Times(by_name["idle"], by_name["iowait"], by_name["steal"], sum(ticks))
    raise ValueError("no line 'cpu' in /proc/stat")


def shares_between(before: Times, after: Times) -> Shares | None:
    """Return how the time between two readings was spent; None when no tick has passed."""
    # iowait may go back a little (proc(5)), and all of them do when a guest was restored
    idle = max(0, after.idle - before.idle)
    iowait = max(0, after.iowait - before.iowait)
    steal = max(0, after.steal - before.steal)
    total = after.total - before.total
    if total <= 0:
        return None
    return Shares(
        used=max(0.0, 1 - (idle + iowait) / total),
        iowait=min(iowait / total, 1.0),
        steal=min(steal / total, 1.0),
    )


def parse_loadavg(text: str) -> float | None:
    """Return the load of the last minute; None when the text does not say."""
    fields = text.split()
    try:
        return float(fields[0])
    except (IndexError, ValueError):
        return None


def parse_model(text: str) -> str:
    """Return the processor's name in ``/proc/cpuinfo``, "" where it has none, as often on ARM."""
    named: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.partition(":")
        if separator and value.strip():
            named.setdefault(name.strip(), value.strip())
    # x86 and LoongArch, MIPS, POWER, ARM boards, RISC-V
    for key in ("model name", "cpu model", "cpu", "Model", "Hardware", "uarch"):
        if key in named:
            return " ".join(named[key].split())
    return ""
