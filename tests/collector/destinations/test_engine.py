"""How profiles are read, and how templates are filled."""

import pytest
from pydantic import JsonValue, ValidationError

from forewarn_collector.destinations import all_destinations, all_profiles, asked_for, secrets_of
from forewarn_collector.destinations._profile import read_profile
from forewarn_collector.destinations._template import Word, fill, fill_path, read, read_all
from forewarn_collector.destinations._words import cut, tag_of

PUTS = """
kind = "k"
name = "K"
help = "h"
puts = true
create = { method = "POST", path = "/x", body = { a = "%s" } }
close = [{ method = "POST", path = "/x", body = { a = "{key}" } }]
"""


def test_a_profile_is_a_destination_by_its_file_alone() -> None:
    assert set(all_profiles()) < set(all_destinations())
    assert "webhook" not in all_profiles()


def test_an_unknown_word_is_found_when_the_profile_is_read() -> None:
    assert read_profile(PUTS % "{title}").kind == "k"
    with pytest.raises(ValidationError, match=r"create may not use \{titel\}"):
        read_profile(PUTS % "{titel}")


@pytest.mark.parametrize("word", ["title", "component", "host", "text"])
def test_nothing_that_others_write_may_reach_a_query(word: str) -> None:
    find = f'find = {{ method = "GET", path = "/x", query = {{ q = "{{{word}}}" }} }}\n'
    with pytest.raises(ValidationError, match="find may not use"):
        read_profile(find + PUTS % "{title}")


def test_a_profile_that_creates_must_be_able_to_find() -> None:
    with pytest.raises(ValidationError, match="needs find, fetch, record and reopen"):
        read_profile((PUTS % "x").replace("puts = true", ""))


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{n}", 5),
        ("no {n}", "no 5"),
        ("{quote}", '"}, "admin": true'),
        ({"a": "{none}", "b": {"c": "{empty}"}}, {"b": {}}),
        (["{none}", "{n}"], [5]),
        ({"a": True, "b": 1.5}, {"a": True, "b": 1.5}),
        ("{none}{empty}", ""),
    ],
)
def test_a_value_keeps_its_type_and_its_place(template: JsonValue, filled: JsonValue) -> None:
    words: dict[str, Word] = {"n": 5, "quote": '"}, "admin": true', "none": None, "empty": ""}
    assert fill(template, words) == filled


def test_a_word_cannot_leave_its_place_in_a_path() -> None:
    assert fill_path("/t/{r}/x", {"r": "../a?b#c%"}) == "/t/..%2Fa%3Fb%23c%25/x"


def test_paths_descend_iterate_and_choose() -> None:
    value: JsonValue = {"a": [{"k": {"t": "x"}, "v": 1}, {"k": {"t": "y"}, "v": 2}], "b": True}
    assert read(value, "a[k.t=y].v") == 2
    assert read_all(value, "a[].v") == [1, 2]
    assert read_all([1, 2], "[]") == [1, 2]
    assert read_all(value, "b.c[].d") == []
    assert read(value, "") == value


def test_the_mark_is_of_one_length_so_that_none_is_the_beginning_of_another() -> None:
    assert len(tag_of("k#1")) == len(tag_of("k#10")) == 19
    assert tag_of("k#1") != tag_of("k#10")


def test_what_is_cut_shows_that_it_was() -> None:
    assert cut("abc def", 5) == "abc…"
    assert cut("abc", 3) == "abc"


def test_what_a_kind_asks_for_names_files_for_its_secrets() -> None:
    config = all_destinations()["glpi"].config
    assert secrets_of(config) == ("secret", "app_token")
    asked = {key: default for key, default, _ in asked_for(config)}
    assert asked["secret_file"] == "(required)"
    assert asked["app_token_file"] == ""
    assert asked["entity"] == "0"
