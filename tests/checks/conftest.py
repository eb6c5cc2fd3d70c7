"""Lay out what a case says lies on a host, and compare what a check reads there."""

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from forewarn_checks.base import CannotRead, NothingToRead, Reading, Sample

Read = Callable[[Path], Iterable[Reading]]


@dataclass(frozen=True)
class Case:
    """A ``case.toml``: the fact it states, the files of the host, and what must be read there.

    Samples are named ``metric label=value label=value``; `says` is part of the outcome's text.
    """

    fact: str
    root: Path
    samples: dict[str, float]
    says: str

    def check(self, read: Read) -> None:
        """Assert that `read` finds these samples, to six places, and ends as it should."""
        found: dict[str, float] = {}
        said = ""
        try:
            for reading in read(self.root):
                if isinstance(reading, Sample):
                    assert name_of(reading) not in found, "one series twice"
                    found[name_of(reading)] = reading.value
        except (CannotRead, NothingToRead) as outcome:
            said = str(outcome)
        assert found == pytest.approx(self.samples, abs=1e-6), self.fact
        assert self.says in said
        assert bool(self.says) == bool(said)


def name_of(sample: Sample) -> str:
    """Return a sample's name as cases write it."""
    return " ".join([sample.metric, *(f"{name}={value}" for name, value in sample.labels.items())])


@pytest.fixture
def check_case(tmp_path: Path) -> Callable[[Path, Read], None]:
    """Return what checks the case of a folder: its files are laid below a root of their own."""

    def check(folder: Path, read: Read) -> None:
        said = tomllib.loads((folder / "case.toml").read_text("utf-8"))
        for name, text in said.get("files", {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        for name, target in said.get("links", {}).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / target).mkdir(parents=True, exist_ok=True)
            (tmp_path / name).symlink_to(tmp_path / target)
        case = Case(said["fact"], tmp_path, said.get("samples", {}), said.get("says", ""))
        case.check(read)

    return check
