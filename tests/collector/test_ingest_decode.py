"""What a request body may be, and which 4xx answers everything else."""

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks.base import Batch, Lane
from forewarn_collector.ingest import BadBatch, decode

SAMPLE = {"metric": "disk_free_bytes", "value": 1.5, "labels": {"mountpoint": "/"}}
RUN = {
    "sequence": 3,
    "check": "disk",
    "started_at": "2026-11-21T08:00:00Z",
    "boot": "b",
    "boottime_seconds": 10,
    "duration_seconds": 0.1,
    "outcome": "ok",
    "samples": [SAMPLE],
}
BATCH = {
    "schema": 1,
    "host": "h",
    "spool": "s",
    "lane": "live",
    "runs": [RUN],
    "sent_at": "2026-11-21T08:00:00Z",
    "sent_boot": "b",
    "sent_boottime_seconds": 20.0,
}


def with_run(**changes: object) -> dict[str, object]:
    return BATCH | {"runs": [RUN | changes]}


def with_sample(**changes: object) -> dict[str, object]:
    return with_run(samples=[SAMPLE | changes])


def body(batch: object) -> bytes:
    return json.dumps(batch).encode()


def status_of(data: bytes, encoding: str = "identity") -> int:
    with pytest.raises(BadBatch) as caught:
        decode(data, encoding)
    assert len(str(caught.value)) <= 300
    return caught.value.status


def test_a_batch_is_read_plain_and_packed() -> None:
    plain = decode(body(BATCH), "identity")
    assert isinstance(plain, Batch)
    assert plain.lane is Lane.LIVE
    assert plain.runs[0].samples[0].value == 1.5
    assert decode(gzip.compress(body(BATCH)), "gzip") == plain


def test_keys_of_a_newer_agent_are_let_pass() -> None:
    assert decode(body(BATCH | {"novelty": [1, {"a": None}]}), "identity").spool == "s"


@pytest.mark.parametrize(
    ("fact", "batch"),
    [
        ("infinity as a huge number", with_sample(value="X")),
        ("no runs", BATCH | {"runs": []}),
        ("2^63", with_run(sequence=2**63)),
        ("a negative sequence", with_run(sequence=-1)),
        ("a number as text", with_sample(value="1")),
        ("true for a number", with_sample(value=True)),
        ("a long name", with_sample(metric="m" * 257)),
        ("a long label name", with_sample(labels={"l" * 257: ""})),
        ("a long label value", with_sample(labels={"l": "v" * 257})),
        ("17 labels", with_sample(labels={str(n): "" for n in range(17)})),
        ("NUL in a label", with_sample(labels={"l": "a\0b"})),
        ("NUL in a name of a key", with_sample(labels={"a\0": ""})),
        ("an unknown outcome", with_run(outcome="fine")),
        ("an unknown lane", BATCH | {"lane": "express"}),
        ("a later schema than the next", BATCH | {"schema": 3}),
        ("a deep fact", with_run(facts={"f": {"a": 1}})),
        ("no object", [BATCH]),
    ],
)
def test_what_is_json_but_no_batch_is_422(fact: str, batch: object) -> None:
    data = body(batch).replace(b'"X"', b"1e999")
    assert status_of(data) == 422, fact


@pytest.mark.parametrize(
    ("fact", "data"),
    [
        ("nothing", b""),
        ("random bytes", bytes(range(256))),
        ("NaN", body(with_sample(value=float("nan")))),
        ("Infinity", body(with_sample(value=float("inf")))),
        ("half a surrogate pair", body(BATCH).replace(b'"disk"', b'"\\ud800"')),
        ("no UTF-8", body(BATCH).replace(b'"disk"', b'"\xff"')),
        ("endless nesting", body(BATCH)[:-1] + b', "x": ' + b"[" * 100_000),
        ("a raw control character", body(BATCH).replace(b'"disk"', b'"\x00"')),
        ("half a batch", body(BATCH)[:-20]),
    ],
)
def test_what_is_no_json_is_400(fact: str, data: bytes) -> None:
    assert status_of(data) in (400, 422), fact


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    batch = decode(body(with_sample(labels={"path": "C:\\u0000"})), "identity")
    assert batch.runs[0].samples[0].labels["path"] == "C:\\u0000"


def test_a_gzip_bomb_is_cut_off_at_eight_mebibytes() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(512)) + packer.flush()
    assert len(bomb) < 1 << 20
    assert status_of(bomb, "gzip") == 413


@pytest.mark.parametrize(
    ("fact", "data", "encoding", "status"),
    [
        ("more than one MiB sent", bytes((1 << 20) + 1), "identity", 413),
        ("an encoding we do not know", body(BATCH), "zstd", 415),
        ("two encodings", gzip.compress(body(BATCH)), "gzip, gzip", 415),
        ("no encoding", body(BATCH), "", 415),
        ("no gzip", body(BATCH), "gzip", 400),
        ("gzip cut short", gzip.compress(body(BATCH))[:-1], "gzip", 400),
        ("two gzip members", gzip.compress(body(BATCH)) * 2, "gzip", 400),
        ("gzip with a wrong checksum", gzip.compress(body(BATCH))[:-8] + bytes(8), "gzip", 400),
    ],
)
def test_encodings_and_sizes(fact: str, data: bytes, encoding: str, status: int) -> None:
    assert status_of(data, encoding) == status, fact


@given(st.binary(max_size=2000), st.sampled_from(["gzip", "identity"]))
def test_any_bytes_are_a_batch_or_refused(data: bytes, encoding: str) -> None:
    try:
        decode(data, encoding)
    except BadBatch as bad:
        assert bad.status in (400, 413, 415, 422)


@given(st.data())
def test_any_damage_to_a_batch_is_still_a_batch_or_refused(data: st.DataObject) -> None:
    whole = bytearray(body(BATCH))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(whole), "identity")
    except BadBatch as bad:
        assert bad.status in (400, 422)
