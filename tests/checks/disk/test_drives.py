"""Which drives a host has, from trees as sysfs and udev lay them out."""

from pathlib import Path

from forewarn_checks.linux.drives import Drive, parse_udev, read_drives


def lay(root: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def block(root: Path, name: str, device: str, files: dict[str, str | bytes]) -> None:
    """Lay out one block device where sysfs has it: below its bus, linked from ``block``."""
    defaults: dict[str, str | bytes] = {"size": "1000\n", "removable": "0\n", "dev": "8:0\n"}
    lay(root / "sys/devices" / device / name, defaults | files)
    (root / "sys/block").mkdir(parents=True, exist_ok=True)
    (root / "sys/block" / name).symlink_to(root / "sys/devices" / device / name)


def drives(root: Path) -> list[Drive]:
    return read_drives(root / "sys", root / "udev")


def test_model_and_serial_wherever_the_bus_keeps_them(tmp_path: Path) -> None:
    """NVMe beside the device, virtio with the disk, SATA in udev or in a SCSI page."""
    block(
        tmp_path,
        "nvme0n1",
        "pci0/nvme",
        {"device/model": "Fast 990  \n", "device/serial": "S6Z2 \n", "queue/rotational": "0\n"},
    )
    block(
        tmp_path,
        "vda",
        "pci0/virtio1",
        {"dev": "254:0\n", "serial": "disk-1", "queue/rotational": "1\n"},
    )
    block(tmp_path, "sda", "pci0/ata1", {"device/model": "WD Red\n", "dev": "8:0\n"})
    block(
        tmp_path,
        "sdb",
        "pci0/ata2",
        {"device/vpd_pg80": b"\x00\x80\x00\x08  ZA1X07", "dev": "8:16\n"},
    )
    lay(tmp_path, {"udev/b8:0": "S:disk/by-id/x\nE:ID_SERIAL_SHORT=WD-WCC4\nE:ID_MODEL=WDC_WD40\n"})
    assert drives(tmp_path) == [
        Drive("nvme0n1", "Fast 990", "S6Z2", 512_000, False),
        Drive("sda", "WD Red", "WD-WCC4", 512_000, False),
        Drive("sdb", "", "ZA1X07", 512_000, False),
        Drive("vda", "", "disk-1", 512_000, True),
    ]


def test_made_up_empty_and_removable_devices_are_no_drives(tmp_path: Path) -> None:
    """Loop, RAM and mapped devices, card readers without a card, sticks."""
    block(tmp_path, "loop0", "virtual/block", {})
    block(tmp_path, "dm-0", "virtual/block", {})
    block(tmp_path, "sdc", "pci0/usb1", {"size": "0\n"})
    block(tmp_path, "sdd", "pci0/usb2", {"removable": "1\n"})
    assert drives(tmp_path) == []


def test_no_sysfs_is_no_drives(tmp_path: Path) -> None:
    """As in a container that hides it."""
    assert drives(tmp_path) == []


def test_udev_properties_keep_what_follows_the_first_equals_sign() -> None:
    """Only lines of kind E are properties."""
    assert parse_udev("N:sda\nE:A=1=2\nE:B\nI:5\n") == {"A": "1=2", "B": ""}
