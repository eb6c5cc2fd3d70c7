"""Read LVM's thin pools: which there are anybody may see, how full they are root alone."""

from dataclasses import dataclass
from pathlib import Path

from forewarn_checks.linux.sysfs import folder, parse_number, word

_SUFFIX = "-tpool"  # LVM's own name for the part of a pool that the kernel knows as one


@dataclass(frozen=True, slots=True)
class Pool:
    """A thin pool; the ratios are None once it has failed."""

    name: str
    data_used_ratio: float | None
    metadata_used_ratio: float | None
    stopped: bool  # takes no writes any more, or asks for thin_check


def pools_seen(root: Path) -> list[str] | None:
    """Return the pools of LVM below `root`; None where nothing at all is mapped."""
    mapped = [path / "dm" for path in folder(root / "sys/block") if path.name.startswith("dm-")]
    if not mapped:
        return None
    names = [word(one / "name") for one in mapped if word(one / "uuid").endswith(_SUFFIX)]
    return [readable_name(name) for name in names]


def readable_name(mapped: str) -> str:
    """Return ``vg/pool`` for ``vg-pool-tpool``; LVM doubles a dash inside a name."""
    if not mapped.endswith(_SUFFIX):
        return mapped  # of another program
    name = mapped.removesuffix(_SUFFIX).replace("--", "\0").replace("-", "/", 1)
    return name.replace("\0", "-")


def parse_status(output: str) -> list[Pool]:
    """Return the pools that ``dmsetup status --target thin-pool`` printed.

    The fields are those of admin-guide/device-mapper/thin-provisioning.
    """
    found = (_parse_line(line) for line in output.splitlines())
    return [pool for pool in found if pool is not None]


def _parse_line(line: str) -> Pool | None:
    name, colon, rest = line.partition(": ")
    fields = rest.split()
    if not colon or len(fields) < 4 or fields[2] != "thin-pool":
        return None
    if fields[3] in {"Fail", "Error"} or len(fields) < 8:
        return Pool(readable_name(name), None, None, stopped=True)
    return Pool(
        readable_name(name),
        data_used_ratio=_share(fields[5]),
        metadata_used_ratio=_share(fields[4]),
        stopped=not {"ro", "out_of_data_space", "needs_check"}.isdisjoint(fields[7:]),
    )


def _share(text: str) -> float | None:
    part, _, whole = text.partition("/")
    used, total = parse_number(part), parse_number(whole)
    return min(used / total, 1.0) if used is not None and total else None
