"""Thin pools, from what the kernel shows everybody and what dmsetup tells root."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from forewarn_checks import thin
from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead, NothingToRead, Sample
from forewarn_checks.linux.thin import readable_name

USAGE = "0 204800 thin-pool 1 15/1024 {}/1600 - {} discard_passdown queue_if_no_space {} 1024"
WELL = f"vg0-pool-tpool: {USAGE.format(400, 'rw', '-')}\n"
DENIED = Done("", 1, "/dev/mapper/control: open failed: Permission denied\nCommand failed.\n")


def host(root: Path, **uuids: str) -> Path:
    """Lay out mapped devices by name and uuid."""
    (root / "sys/block").mkdir(parents=True)
    for number, (name, uuid) in enumerate(uuids.items()):
        folder = root / f"sys/block/dm-{number}/dm"
        folder.mkdir(parents=True)
        (folder / "name").write_text(name.replace("_", "-") + "\n")
        (folder / "uuid").write_text(uuid + "\n")
    return root


def read(root: Path, done: Done | None) -> dict[str, float]:
    def run(argv: Sequence[str], seconds: float) -> Done:
        assert done is not None, "no process where there is nothing to ask"
        assert list(argv) == ["dmsetup", "status", "--target", "thin-pool"]
        return done

    found: dict[str, float] = {}
    for one in thin.readings(root, "dmsetup", run):
        assert isinstance(one, Sample)
        found[f"{one.metric.removeprefix('thin_')} {one.labels['pool']}"] = one.value
    return found


POOL = {"vg0_pool_tpool": "LVM-abc-tpool", "vg0_root": "LVM-def"}


def test_a_pool_tells_how_full_it_is(tmp_path: Path) -> None:
    assert read(host(tmp_path, **POOL), Done(WELL, 0)) == {
        "data_used_ratio vg0/pool": 0.25,
        "metadata_used_ratio vg0/pool": 15 / 1024,
        "stopped vg0/pool": 0,
    }


@pytest.mark.parametrize(
    "line",
    [
        USAGE.format(1600, "out_of_data_space", "-"),
        USAGE.format(400, "ro", "needs_check"),
        USAGE.format(400, "rw", "needs_check"),
        "0 204800 thin-pool Fail",
        "0 204800 thin-pool Error",
    ],
)
def test_a_pool_that_takes_no_writes_has_stopped(tmp_path: Path, line: str) -> None:
    found = read(host(tmp_path, **POOL), Done(f"vg0-pool-tpool: {line}\n", 0))
    assert found["stopped vg0/pool"] == 1


def test_without_rights_it_says_which_pool_and_what_to_grant(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match=r"thin pool vg0/pool: .* tells root alone"):
        read(host(tmp_path, **POOL), DENIED)


def test_without_rights_and_without_a_pool_there_is_nothing(tmp_path: Path) -> None:
    """Every laptop with an encrypted disk has mapped devices."""
    with pytest.raises(NothingToRead):
        read(host(tmp_path, luks="CRYPT-LUKS2-x"), DENIED)


def test_where_nothing_is_mapped_no_process_is_started(tmp_path: Path) -> None:
    with pytest.raises(NothingToRead):
        read(host(tmp_path), None)


def test_a_hung_device_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match="did not end within 10 s"):
        read(host(tmp_path, **POOL), Done("", None))


@pytest.mark.parametrize(
    ("mapped", "name"),
    [
        ("vg-pool-tpool", "vg/pool"),
        ("my--vg-my--pool-tpool", "my-vg/my-pool"),
        ("docker-253:0-pool", "docker-253:0-pool"),
    ],
)
def test_names_are_those_people_use(mapped: str, name: str) -> None:
    assert readable_name(mapped) == name
