"""How many new tickets an hour a client may have, as collector.toml says."""

from pathlib import Path

import pytest

from forewarn_collector.config import ConfigError, load


def config(folder: Path, text: str) -> Path:
    (folder / "collector.toml").write_text(text, "utf-8")
    return folder


def test_twenty_unless_it_is_said(tmp_path: Path) -> None:
    assert load(config(tmp_path, "")).tickets.new_per_hour == 20
    assert load(config(tmp_path, "[tickets]\nnew_per_hour = 7\n")).tickets.new_per_hour == 7


@pytest.mark.parametrize("value", ["0", "-1", "1.5", '"many"'])
def test_what_is_no_number_of_tickets_is_named_with_its_line(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"line 2: tickets\.new_per_hour"):
        load(config(tmp_path, f"[tickets]\nnew_per_hour = {value}\n"))


def test_a_misspelt_key_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="new_per_hour"):
        load(config(tmp_path, "[tickets]\nnew_per_hours = 7\n"))
