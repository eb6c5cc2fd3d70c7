"""Drives as Windows describes them, from answers written by hand after its documentation."""

import struct

from forewarn_checks.windows.drives import parse_drive


def descriptor(product: str, serial: str, *, vendor: str = "", removable: bool = False) -> bytes:
    """Return a STORAGE_DEVICE_DESCRIPTOR: a header of 36 bytes and the texts it points at."""
    texts, offsets = b"", list[int]()
    for text in (vendor, product, "1.0", serial):
        offsets.append(36 + len(texts) if text else 0)
        texts += text.encode() + b"\0" if text else b""
    header = struct.pack("<II4B6I", 36, 0, 0, 0, removable, 1, *offsets, 17, 0)
    return header + texts


def geometry(size: int) -> bytes:
    return struct.pack("<qIIIIq", 0, 12, 255, 63, 512, size)


def test_model_serial_size_and_kind_are_read() -> None:
    drive = parse_drive(
        "PhysicalDrive0",
        device=descriptor("ST4000DM000-1F2168 ", "        Z300ABCD", vendor="ATA"),
        seek_penalty=struct.pack("<IIB", 9, 9, 1),
        geometry=geometry(4 * 10**12),
    )
    assert drive is not None
    assert (drive.model, drive.serial) == ("ATA ST4000DM000-1F2168", "Z300ABCD")
    assert (drive.size_bytes, drive.rotational) == (4 * 10**12, True)


def test_a_removable_medium_is_no_drive_of_the_host() -> None:
    device = descriptor("Flash Disk", "123", removable=True)
    assert parse_drive("PhysicalDrive3", device=device, seek_penalty=b"", geometry=b"") is None


def test_what_a_driver_does_not_answer_is_empty() -> None:
    """Some controllers refuse every question, some give offsets of -1 or past the end."""
    drive = parse_drive("PhysicalDrive1", device=b"", seek_penalty=b"", geometry=b"")
    assert drive is not None
    assert (drive.model, drive.serial, drive.size_bytes, drive.rotational) == ("", "", 0, False)
    wild = struct.pack("<II4B5I", 40, 0, 0, 0, 0, 0, 2**32 - 1, 5000, 0, 1, 0)
    drive = parse_drive("PhysicalDrive1", device=wild, seek_penalty=b"", geometry=b"")
    assert drive is not None
    assert (drive.model, drive.serial) == ("", "")
