"""Read which drives this host has, by the same requests that Windows' own tools make.

They need neither rights nor WMI, which would cost a resident agent several megabytes.
"""

import struct
import sys

from forewarn_checks.base import WrongSystem
from forewarn_checks.linux.drives import Drive

_MOST = 64  # numbers tried; they have gaps where a drive was taken out
_QUERY_PROPERTY = 0x2D1400
_GEOMETRY = 0x700A0
_DEVICE_PROPERTY, _SEEK_PENALTY_PROPERTY = 0, 7
_HEADER = struct.Struct("<II4B5I")  # STORAGE_DEVICE_DESCRIPTOR up to BusType
_LONGEST = 200  # characters of a model or serial; sane ones have 40


def read_drives() -> list[Drive]:
    """Return the fixed drives by number; without those that come and go with their user."""
    if sys.platform != "win32":
        raise WrongSystem
    return [drive for number in range(_MOST) if (drive := _read_drive(number)) is not None]


def _read_drive(number: int) -> Drive | None:
    if sys.platform != "win32":
        raise WrongSystem
    import ctypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateFileW.restype = ctypes.c_void_p
    name = f"PhysicalDrive{number}"
    # access 0: to ask, not to read; shared for reading and writing; must exist
    handle = kernel.CreateFileW(f"\\\\.\\{name}", 0, 3, None, 3, 0, None)
    if handle is None or handle == ctypes.c_void_p(-1).value:
        return None

    def ask(code: int, question: bytes) -> bytes:
        answer = ctypes.create_string_buffer(1024)
        length = ctypes.c_uint32()
        done = kernel.DeviceIoControl(
            ctypes.c_void_p(handle),
            code,
            question,
            len(question),
            answer,
            len(answer),
            ctypes.byref(length),
            None,
        )
        return answer.raw[: length.value] if done else b""

    try:
        return parse_drive(
            name,
            device=ask(_QUERY_PROPERTY, _property(_DEVICE_PROPERTY)),
            seek_penalty=ask(_QUERY_PROPERTY, _property(_SEEK_PENALTY_PROPERTY)),
            geometry=ask(_GEOMETRY, b""),
        )
    finally:
        kernel.CloseHandle(ctypes.c_void_p(handle))


def _property(number: int) -> bytes:
    return struct.pack("<III", number, 0, 0)


def parse_drive(name: str, *, device: bytes, seek_penalty: bytes, geometry: bytes) -> Drive | None:
    """Return the drive that Windows describes in these answers; b"" is one it did not give.

    `device` is a STORAGE_DEVICE_DESCRIPTOR, `seek_penalty` a DEVICE_SEEK_PENALTY_DESCRIPTOR,
    `geometry` a DISK_GEOMETRY_EX.  None for a removable medium.
    """
    vendor = product = serial = ""
    if len(device) >= _HEADER.size:
        _, _, _, _, removable, _, *offsets, _ = _HEADER.unpack_from(device)
        if removable:
            return None
        vendor, product, _, serial = (_text(device, offset) for offset in offsets)
    (size,) = struct.unpack_from("<q", geometry, 24) if len(geometry) >= 32 else (0,)
    return Drive(
        name=name,
        model=f"{vendor} {product}".strip()[:_LONGEST],
        serial=serial[:_LONGEST],
        size_bytes=max(0, size),
        rotational=len(seek_penalty) > 8 and seek_penalty[8] != 0,
    )


def _text(descriptor: bytes, offset: int) -> str:
    """Return the text at `offset`, "" where there is none: 0, or 2^32-1 of older drivers."""
    if not _HEADER.size <= offset < len(descriptor):
        return ""
    text = descriptor[offset:].partition(b"\0")[0].decode("ascii", "ignore")
    return "".join(character for character in text if character.isprintable()).strip()
