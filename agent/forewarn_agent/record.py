"""A run as bytes: the JSON that travels, and the frame that guards it on disk.

A frame is ``crc32, payload bytes, samples, sequence, number`` and then the payload.  `number`
counts the records of the stream a run was taken into, so that a gap says how many are gone.
"""

import json
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from forewarn_checks.base.wire import Outcome, Run, Sample, to_json

LARGEST_PAYLOAD: Final = 4 * 1024 * 1024
_FRAME: Final = struct.Struct("<IIIQQ")
_CRC_BYTES: Final = 4
FRAME_BYTES: Final = _FRAME.size


@dataclass(frozen=True, slots=True)
class Record:
    """One run as it lies in the spool: its place, how many samples it has, and its JSON."""

    sequence: int
    number: int
    samples: int
    payload: bytes

    def __len__(self) -> int:
        """Return its bytes on disk."""
        return FRAME_BYTES + len(self.payload)


class Damaged(Exception):
    """The bytes at `offset` are no whole record."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"no whole record at byte {offset}")
        self.offset = offset


def record_of(run: Run, *, sequence: int, number: int) -> Record:
    """Return `run` as a record under `sequence`.  Never raises.

    A run that JSON or the wire cannot carry becomes a failed one that says so, so that the
    collector hears of it instead of refusing it.
    """
    numbered = replace(run, sequence=sequence)
    try:
        payload = run_to_json(numbered)
        if len(payload) > LARGEST_PAYLOAD:
            raise ValueError(f"it has {len(payload)} bytes, more than {LARGEST_PAYLOAD}")
    except (TypeError, ValueError, RecursionError) as failure:
        numbered = replace(
            numbered,
            outcome=Outcome.FAILED,
            error=f"the check read what cannot be sent: {failure}"[:1000],
            samples=(),
            facts={},
        )
        payload = run_to_json(numbered)
    return Record(sequence, number, len(numbered.samples), payload)


def run_to_json(run: Run) -> bytes:
    """Return the JSON of `run`.  Raises ValueError or TypeError for what JSON cannot carry.

    Samples that are no finite number are left out; a lone surrogate, as in the name of a badly
    encoded mountpoint, becomes ``?``.
    """
    finite = tuple(sample for sample in run.samples if math.isfinite(sample.value))
    text = json.dumps(
        to_json(replace(run, samples=finite)),
        allow_nan=False,
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return text.encode("utf-8", "replace")


def run_from_json(payload: bytes) -> Run:
    """Return the run that `run_to_json` wrote.  Raises ValueError when it is none.

    Keys a newer agent wrote pass, as on the wire.
    """
    try:
        read: dict[str, Any] = json.loads(payload)
        fields = {name: read[name] for name in Run.__dataclass_fields__ if name in read}
        return Run(
            **fields
            | {
                "outcome": Outcome(fields["outcome"]),
                "samples": tuple(Sample(**sample) for sample in fields["samples"]),
            }
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as failure:
        raise ValueError(f"no run: {failure}") from failure


def frame(record: Record) -> bytes:
    """Return the bytes that hold `record` on disk."""
    unguarded = _FRAME.pack(0, len(record.payload), record.samples, record.sequence, record.number)[
        _CRC_BYTES:
    ]
    crc = zlib.crc32(record.payload, zlib.crc32(unguarded))
    return crc.to_bytes(_CRC_BYTES, "little") + unguarded + record.payload


def unframe(data: bytes | memoryview, offset: int = 0) -> Record:
    """Return the record at `offset`.  Raises Damaged when there is no whole one."""
    start = offset + FRAME_BYTES
    if start > len(data):
        raise Damaged(offset)
    crc, length, samples, sequence, number = _FRAME.unpack_from(data, offset)
    if length > LARGEST_PAYLOAD or start + length > len(data):
        raise Damaged(offset)
    payload = bytes(data[start : start + length])
    if zlib.crc32(payload, zlib.crc32(data[offset + _CRC_BYTES : start])) != crc:
        raise Damaged(offset)
    return Record(sequence, number, samples, payload)


def payload_bytes(head: bytes) -> int:
    """Return the payload's length as the head of a frame claims it."""
    return int(_FRAME.unpack(head)[1])


def find_records(data: bytes, offset: int) -> Iterator[tuple[int, Record]]:
    """Yield every whole record from `offset` on, and where it starts; the rest is stepped over."""
    while offset + FRAME_BYTES <= len(data):
        try:
            record = unframe(data, offset)
        except Damaged:
            offset += 1
            continue
        yield offset, record
        offset += len(record)
