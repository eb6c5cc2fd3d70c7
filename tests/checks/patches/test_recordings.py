"""Recorded answers of apt, replayed.  They are no part of this repository.

Put them into ``../shared/data`` beside it, or name the folder in FOREWARN_DATA.
"""

import os
from pathlib import Path

import pytest

from forewarn_checks._patches_apt import parse_simulation

REPOSITORY = Path(__file__).parents[3]
DATA = Path(os.environ.get("FOREWARN_DATA", REPOSITORY.parent / "shared" / "data"))
SIMULATIONS = sorted((DATA / "patches").glob("apt-sim-*.out"))

pytestmark = pytest.mark.skipif(
    not SIMULATIONS, reason=f"no recordings of apt in {DATA / 'patches'}; set FOREWARN_DATA"
)


@pytest.mark.parametrize("path", SIMULATIONS, ids=lambda path: path.stem)
def test_updates_equal_those_of_a_second_parser(path: Path) -> None:
    output = path.read_text("utf-8", "replace")
    lines = [line.split() for line in output.splitlines() if line.startswith("Inst ")]
    upgrades = [words for words in lines if words[2].startswith("[")]
    simulation = parse_simulation(output)
    assert [(one.name, one.installed, one.offered) for one in simulation.updates] == [
        (words[1], words[2].strip("[]"), words[3].lstrip("(")) for words in upgrades
    ]
    assert sum(one.security for one in simulation.updates) == sum(
        any("Debian-Security:" in word for word in words) for words in upgrades
    )


def test_an_ordinary_user_and_root_read_the_same() -> None:
    """Both captured on one host within a minute."""
    found = {path.stem: parse_simulation(path.read_text("utf-8")) for path in SIMULATIONS}
    assert (
        found["apt-sim-upgrade-nobody"].updates
        == found["apt-sim-upgrade-nobody-locking"].updates
        == found["apt-sim-distupgrade-nobody"].updates
    )
