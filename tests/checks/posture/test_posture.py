"""How hosts are guarded, from files and answers as Linux and Windows document them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from forewarn_checks._posture_seen import Known, Posture, recall, remember
from forewarn_checks._process import Done
from forewarn_checks.base import Fact, Sample
from forewarn_checks.linux.guards import (
    administrators_among,
    firewall_of,
    read_posture,
    root_is_encrypted,
    unit_states,
)
from forewarn_checks.posture import readings
from forewarn_checks.windows import guards as windows


def systemd(**states: str) -> Done:
    """Return what ``systemctl show`` prints: units that are not there have a block, too."""
    units = {name.replace("_", "-"): state for name, state in states.items()}
    blocks = [
        f"Id={name}.service\nLoadState=loaded\nActiveState={state}" for name, state in units.items()
    ]
    blocks.append("Id=csf.service\nLoadState=not-found\nActiveState=inactive")
    return Done("\n\n".join(blocks) + "\n", 0)


def read(done: Done, root: Path) -> Posture:
    def run(argv: Sequence[str], timeout_seconds: float) -> Done:
        return done

    return read_posture(run, root)


def put(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("fact", "done", "ufw", "on", "by"),
    [
        ("firewalld", systemd(firewalld="active"), "", True, "firewalld"),
        ("none installed", systemd(), "", False, ""),
        ("installed, not on", systemd(nftables="inactive"), "", False, ""),
        ("ufw's unit runs, ufw is off", systemd(ufw="active"), "ENABLED=no\n", False, ""),
        ("ufw on", systemd(ufw="active"), "# x\nENABLED=yes\nLOGLEVEL=low\n", True, "ufw"),
        ("two", systemd(ufw="active", nftables="active"), "ENABLED=yes", True, "nftables, ufw"),
        ("no systemd", Done("", 1, "Host is down"), "ENABLED=yes", None, ""),
    ],
)
def test_a_firewall_is_on_off_or_unknown(
    fact: str, done: Done, ufw: str, on: bool | None, by: str
) -> None:
    """Without an answer of systemd nobody is accused."""
    assert firewall_of(unit_states(lambda argv, seconds: done), ufw) == (on, by), fact


def test_an_antivirus_is_told_only_where_there_is_one(tmp_path: Path) -> None:
    """Most servers have none, and that is for no check to decide."""
    assert read(systemd(), tmp_path).antivirus is None
    put(tmp_path, var__lib__clamav__daily_cld="")
    (tmp_path / "var/lib/clamav/daily_cld").rename(tmp_path / "var/lib/clamav/daily.cld")
    found = read(systemd(clamav_daemon="failed"), tmp_path)
    assert (found.antivirus, found.antivirus_by) == (False, "ClamAV")
    assert found.signatures_age_seconds is not None
    assert found.signatures_age_seconds < 60
    assert read(systemd(mdatp="active"), tmp_path).antivirus is True


MOUNT = "29 1 {number} / / rw,relatime shared:1 - {fstype} {source} rw\n"


def dm(root: Path, name: str, uuid: str, *slaves: str, number: str = "") -> None:
    """Lay out a mapped device as sysfs does."""
    put(root, **{f"sys/class/block/{name}/dm/uuid": uuid + "\n"})
    put(root, **{f"sys/class/block/{name}/dm/name": f"name-of-{name}\n"})
    folder = root / "sys/class/block" / name / "slaves"
    folder.mkdir()
    for slave in slaves:
        (root / "sys/class/block" / slave).mkdir(parents=True, exist_ok=True)
        (folder / slave).symlink_to(root / "sys/class/block" / slave)
    if number:
        (root / "sys/dev/block").mkdir(parents=True, exist_ok=True)
        (root / "sys/dev/block" / number).symlink_to(root / "sys/class/block" / name)


def test_a_root_on_luks_is_encrypted_also_below_lvm(tmp_path: Path) -> None:
    """As installers lay it out: LVM in LUKS in a partition."""
    put(tmp_path, proc__1__mountinfo=MOUNT.format(number="254:1", fstype="ext4", source="x"))
    dm(tmp_path, "dm-0", "CRYPT-LUKS2-1234", "sda3")
    dm(tmp_path, "dm-1", "LVM-abcd", "dm-0", number="254:1")
    assert root_is_encrypted(tmp_path) is True


def test_a_root_with_one_plain_part_is_not_encrypted(tmp_path: Path) -> None:
    """A volume over an encrypted disk and a plain one."""
    put(tmp_path, proc__1__mountinfo=MOUNT.format(number="254:1", fstype="ext4", source="x"))
    dm(tmp_path, "dm-0", "CRYPT-LUKS2-1234", "sda3")
    dm(tmp_path, "dm-1", "LVM-abcd", "dm-0", "sdb1", number="254:1")
    assert root_is_encrypted(tmp_path) is False


@pytest.mark.parametrize(
    ("fact", "source", "encrypted"),
    [
        ("on LUKS", "/dev/mapper/name-of-dm-0", True),
        ("on a partition", "/dev/sda3", False),
        ("an overlay of a container", "overlay", None),
        ("a pool of ZFS", "rpool/ROOT", None),
        ("a device that sysfs does not have", "/dev/sdz", None),
    ],
)
def test_a_root_without_a_number_is_found_by_its_source(
    fact: str, source: str, encrypted: bool | None, tmp_path: Path
) -> None:
    """As btrfs has none."""
    put(tmp_path, proc__1__mountinfo=MOUNT.format(number="0:25", fstype="btrfs", source=source))
    dm(tmp_path, "dm-0", "CRYPT-LUKS2-1234", "sda3")
    assert root_is_encrypted(tmp_path) is encrypted, fact


def test_what_may_not_be_seen_is_unknown(tmp_path: Path) -> None:
    """As where PID 1 hides its mounts."""
    assert root_is_encrypted(tmp_path) is None


def test_administrators_are_root_and_the_members_of_groups() -> None:
    """By any of: uid 0, member, primary group."""
    users = [("root", 0, 0), ("toor", 0, 0), ("ann", 1000, 1000), ("bob", 1001, 27), ("eve", 9, 9)]
    assert administrators_among(users, [(27, ["ann", "ad\\carl"]), (10, [])]) == (
        "ad\\carl",
        "ann",
        "bob",
        "root",
        "toor",
    )


def test_a_change_of_administrators_is_counted_once(tmp_path: Path) -> None:
    """The first look is no change, their order is none; it is kept over restarts."""
    memory = tmp_path / "seen.json"
    counts = []
    for names in (("a", "root"), ("root", "a"), ("a", "b", "root"), ("a", "b", "root"), ("root",)):
        posture = Posture(administrators=names)
        found = {
            each.metric: each.value
            for each in readings(posture, "linux", memory)
            if isinstance(each, Sample)
        }
        counts.append(found["posture_administrator_changes"])
    assert counts == [0, 0, 1, 1, 2]
    memory.write_text("{")
    assert recall(memory) == Known()
    remember(None, Known("x", 1))


def test_what_is_not_known_is_not_told() -> None:
    """No guess becomes a sample."""
    assert list(readings(Posture(), "linux", None)) == []


def test_a_machine_that_can_be_carried_away_is_told_apart(tmp_path: Path) -> None:
    """By what its board says it is built into."""
    put(tmp_path, sys__class__dmi__id__chassis_type="10\n")
    assert read(systemd(), tmp_path).portable
    found = {
        each.metric: each.value
        for each in readings(Posture(encrypted=False, portable=True), "linux", None)
        if isinstance(each, Sample)
    }
    assert found == {"posture_disk_encrypted": 0, "posture_portable_unencrypted": 1}


def test_facts_name_products_and_people() -> None:
    """As many names as a fact should carry."""
    posture = Posture(
        firewall=True,
        firewall_by="ufw",
        antivirus=True,
        antivirus_by="ESET",
        administrators=tuple(f"u{n:03}" for n in range(300)),
    )
    facts = {
        each.name: each.value for each in readings(posture, "linux", None) if isinstance(each, Fact)
    }
    assert facts["firewall"] == "ufw"
    assert facts["antivirus"] == "ESET"
    administrators = facts["administrators"]
    assert isinstance(administrators, list)
    assert len(administrators) == 200


# Windows


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        ({"domain": True, "public": True}, (True, "Windows")),
        ({"domain": True, "public": False}, (False, "Windows; off for public")),
        ({"domain": True, "public": None}, (None, "")),
    ],
)
def test_the_firewall_of_windows_is_on_only_for_every_network(
    profiles: dict[str, bool | None], expected: tuple[bool | None, str]
) -> None:
    """A registry that may not be read is unknown."""
    assert windows.firewall_of(profiles) == expected


@pytest.mark.parametrize(
    ("fact", "products", "expected"),
    [
        ("Defender on and current", [("Defender", 0x61100)], (True, "Defender", True)),
        ("its signatures are old", [("Defender", 0x61110)], (True, "Defender", False)),
        ("off", [("Defender", 0x60100)], (False, "Defender", None)),
        (
            "another one took over",
            [("Defender", 0x60100), ("ESET", 0x41000)],
            (True, "Defender, ESET", True),
        ),
        ("a server has no Security Center", [], (None, "", None)),
    ],
)
def test_security_center_is_understood(
    fact: str, products: list[tuple[str, int]], expected: tuple[bool | None, str, bool | None]
) -> None:
    """By the nibbles of productState."""
    assert windows.antivirus_of(products) == expected, fact


@pytest.mark.parametrize(
    ("said", "expected"), [(1, True), (6, True), (2, False), (5, False), (7, None), (None, None)]
)
def test_bitlocker_is_on_off_or_unknown(said: object, expected: bool | None) -> None:
    """Suspended is off: the key lies open on the disk."""
    assert windows.bitlocker_of(said) is expected
