"""Answers of real package managers, in every state that is known to mislead, replayed.

`tests/lab/record_patches.py` made them from the scenes of `tests/lab/test_patches.py`.
"""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead
from forewarn_checks.package_managers.shape import Host, all_managers

HERE = Path(__file__).parent
MANAGERS = {manager.name: manager for manager in all_managers()}
CASES = sorted(HERE.glob("*/*/answers.json"))


def replay(folder: Path, root: Path) -> Host:
    """Return a host that answers as recorded; what was not asked then may not be asked now."""
    answers = {
        tuple(one["argv"]): Done(one["output"], one["status"], one["errors"])
        for one in json.loads((folder / "answers.json").read_text())
    }

    def run(argv: Sequence[str], seconds: float) -> Done:
        return answers[tuple(argv)]

    return Host(run=run, now=datetime(2026, 11, 22, 12, tzinfo=UTC), root=root)


@pytest.mark.parametrize("path", CASES, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_a_recorded_scene_gives_what_it_gave(path: Path, tmp_path: Path) -> None:
    folder = path.parent
    name = folder.parent.name
    expected = json.loads((folder / "expected.json").read_text())
    if name == "pacman":
        shutil.copytree(folder / "root", tmp_path, dirs_exist_ok=True)
        if folder.name != "lost":
            # The database itself is not kept; that there is a package in it is.
            package = tmp_path / "var/lib/pacman/local/lab-same-1-1/desc"
            package.parent.mkdir(parents=True)
            package.write_text("%NAME%\nlab-same\n")
    manager = MANAGERS[name]
    host = replay(folder, tmp_path)
    if "fails" in expected:
        with pytest.raises(CannotRead) as raised:
            manager.survey(f"/usr/bin/{name}", host)
        assert str(raised.value).replace(str(tmp_path), "") == expected["fails"]
        return
    survey = manager.survey(f"/usr/bin/{name}", host)
    assert [
        [one.name, one.installed, one.offered, one.security, one.severity, one.held]
        for one in survey.updates
    ] == expected["updates"]
    assert list(survey.trouble) == expected["trouble"]


def test_every_manager_of_the_lab_has_its_cases() -> None:
    assert {path.parts[-3] for path in CASES} == {"dnf", "dnf5", "pacman", "zypper"}
