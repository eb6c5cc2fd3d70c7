"""The key file: opened by its passphrase alone, and by nothing altered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from forewarn_scripts.keys import (
    BadKey,
    Cost,
    WrongPassphrase,
    open_key,
    public_text,
    read_public,
    read_public_of,
    write_key,
)

QUICK = Cost(1, 8192)
KEY = SigningKey(bytes([7]) * 32)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    write_key(tmp_path / "keys" / "ann.json", "ann", KEY, "open sesame", QUICK)
    return tmp_path / "keys" / "ann.json"


def test_the_passphrase_opens_it(kept: Path) -> None:
    assert open_key(kept, "open sesame") == KEY
    assert read_public_of(kept) == ("ann", bytes(KEY.verify_key))


def test_another_passphrase_does_not(kept: Path) -> None:
    with pytest.raises(WrongPassphrase):
        open_key(kept, "open barley")


def test_nobody_else_may_read_it_and_it_holds_no_seed(kept: Path) -> None:
    assert kept.stat().st_mode & 0o077 == 0
    assert bytes(KEY).hex() not in kept.read_text()


def test_another_key_is_never_written_over(kept: Path) -> None:
    with pytest.raises(FileExistsError):
        write_key(kept, "ann", KEY, "x", QUICK)


@pytest.mark.parametrize(
    "change",
    [
        {"public": public_text(bytes(SigningKey(bytes([8]) * 32).verify_key))},
        {"memory_bytes": 2**40},
        {"passes": 0},
        {"locked": "AAAA"},
        {"form": "other"},
        {"salt": 5},
    ],
)
def test_an_altered_file_opens_nothing(kept: Path, change: dict[str, object]) -> None:
    kept.write_text(json.dumps(json.loads(kept.read_text()) | change))
    with pytest.raises(BadKey):
        open_key(kept, "open sesame")


@pytest.mark.parametrize("text", ["", "fwp_", "fwp_AAAA", "fwp_" + "A" * 43 + "=", "x", "fwp_é"])
def test_what_is_no_sound_key_is_refused(text: str) -> None:
    with pytest.raises(BadKey):
        read_public(text)
