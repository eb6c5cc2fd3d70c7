"""Read the error counts of memory with ECC, which drivers keep in ``/sys/devices/system/edac``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forewarn_checks.linux.sysfs import folder, number, word


@dataclass(frozen=True, slots=True)
class Module:
    """Errors since boot of one memory module, or of what its controller could not place."""

    controller: str
    name: str
    corrected: int
    uncorrected: int


def read_modules(root: Path) -> Iterator[Module]:
    """Yield every module of every controller below `root`; nothing without a driver for one."""
    for controller in folder(root / "sys/devices/system/edac/mc"):
        if controller.name.startswith("mc") and number(controller / "ce_count") is not None:
            yield from _modules_of(controller)


def _modules_of(controller: Path) -> Iterator[Module]:
    taken: set[str] = set()
    for place in folder(controller):
        if not place.name.startswith(("dimm", "rank")):
            continue
        # the label on the board, where the driver or edac-utils knows it
        label = word(place / "dimm_label")
        name = label if label and label not in taken else place.name
        taken.add(name)
        yield Module(
            controller.name,
            name,
            number(place / "dimm_ce_count") or 0,
            number(place / "dimm_ue_count") or 0,
        )
    yield Module(
        controller.name,
        "unplaced" if taken else "all",
        number(controller / ("ce_noinfo_count" if taken else "ce_count")) or 0,
        number(controller / ("ue_noinfo_count" if taken else "ue_count")) or 0,
    )
