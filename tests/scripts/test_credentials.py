"""The key of an operator lies where only they can read it, and shows nowhere."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forewarn_scripts.credentials import Credentials, NotLoggedIn, load, save

KEPT = Credentials(
    "https://c.test", "ann", "fwk_secret", datetime(2026, 1, 1, tzinfo=UTC), ca="PEM"
)


def test_what_is_saved_is_loaded_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "credentials.json"
    save(path, KEPT)
    save(path, KEPT)
    assert load(path) == KEPT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["credentials.json"]


def test_the_key_does_not_show() -> None:
    assert "fwk_secret" not in repr(KEPT)


@pytest.mark.parametrize("text", [None, "", "{", '{"url": "x"}', "[]"])
def test_without_a_usable_file_one_is_told_to_log_in(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "credentials.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NotLoggedIn, match="log in with: forewarn login https://HOST:PORT"):
        load(path)
