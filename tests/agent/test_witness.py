"""A host remembers what it was shown of the audit log, and tells when that goes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from forewarn_agent.witness import NAME, Witness
from forewarn_checks.base.checkpoint import Checkpoint, read_checkpoint

SIGNATURE = "A" * 86


def point(row: int, head: str = "a", era: int = 1) -> str:
    return Checkpoint(era, row, head * 64, SIGNATURE).text()


@pytest.mark.parametrize(
    ("why", "shown", "told"),
    [
        ("it grows", [point(1), point(5), point(9)], ""),
        ("nothing happened", [point(5), point(5)], ""),
        ("it was cut", [point(5), point(4)], "ends at row 4"),
        ("it was written anew", [point(5), point(5, "b")], "row 5 is bbbb"),
        ("an earlier row changed", [point(5), point(9), point(9, "c")], "row 9 is cccc"),
        ("the rewind was accepted", [point(5), point(3), point(4, era=2)], ""),
        ("an era went back", [point(5, era=2), point(9)], "era 1"),
        ("it goes on as if nothing had been", [point(5), point(4), point(9)], "ends at row 4"),
        ("rubbish is passed over", [point(5), "1.2.x", "", "\x1b[2J", point(6)], ""),
    ],
)
def test_a_log_only_grows(why: str, shown: list[str], told: str, tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    for one in shown:
        witness.shown(one)
    assert told in witness.rewound, why
    assert bool(witness.rewound) is bool(told), why


def test_it_is_remembered_over_a_restart(tmp_path: Path) -> None:
    Witness(tmp_path).shown(point(5))
    again = Witness(tmp_path)
    again.shown(point(4))
    assert again.rewound
    assert Witness(tmp_path).rewound == again.rewound


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{rubbish")
    witness = Witness(tmp_path)
    witness.shown(point(5))
    assert (witness.rewound, witness.tell(0.0)) == ("", point(5))


def test_one_fact_a_day_is_told(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    assert witness.tell(1e9) == ""
    witness.shown(point(5))
    assert witness.tell(1e9) == point(5)
    witness.shown(point(6))
    assert witness.tell(1e9 + 3600) == point(5)
    assert witness.tell(1e9 + 86_401) == point(6)


def test_a_checkpoint_has_one_spelling() -> None:
    assert read_checkpoint(point(5)) == Checkpoint(1, 5, "a" * 64, SIGNATURE)
    for wrong in ("", "1.5", point(5) + "x", point(5).replace("1.5", "01.5"), point(5) + "\n"):
        assert read_checkpoint(wrong) is None
