"""Hosts are let in from a page: by whom, for whom, and shown once."""

import html
import re
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from tests.collector.pages.conftest import House

from forewarn_collector import packages
from forewarn_collector.api.principal import Role
from forewarn_collector.certificates import Files, leaf_pin, make_authority, make_leaf
from forewarn_collector.state.tables import audit, clients, enrolment_tokens
from forewarn_collector.tokens import token_hash, use_token

PEPPER = b"p" * 32
WISH = {"client": "acme", "site": "hq", "tags": "db, backup", "max_uses": "3", "ttl": "8h"}


def ready(house: House) -> House:
    """Give the fleet what `init` leaves in a collector's folder."""
    home = house.fleet.directory
    make_authority(Files(home), "monitor.example.com", house.fleet.at)
    make_leaf(Files(home), ["monitor.example.com"], house.fleet.at)
    (home / "secrets").mkdir()
    (home / "secrets" / "pepper").write_bytes(PEPPER)
    house.fleet.person("olga", Role.OPERATOR)
    house.fleet.person("otto", Role.OPERATOR, "acme")
    return house


@pytest.fixture
def open_house(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A collector that offers packages for hosts."""
    offered = tmp_path / "packages"
    offered.mkdir()
    (offered / "linux-x86_64-cp311.txt").write_text("", "ascii")
    monkeypatch.setattr(packages, "default_folder", lambda: offered)
    return ready(house)


def tokens(house: House) -> list[str]:
    with house.fleet.database.read() as connection:
        return [row.hash for row in connection.execute(select(enrolment_tokens))]


def string_in(answer: httpx.Response) -> str:
    found = re.search(r"fw1\.\S+?(?=</code>|\s|')", html.unescape(answer.text))
    assert found is not None
    return found[0]


def test_the_line_pins_the_collector_and_its_token_lets_hosts_in(open_house: House) -> None:
    answer = open_house.as_("olga").post("/hosts", **WISH)
    assert answer.status_code == 200
    text = html.unescape(answer.text)
    string = string_in(answer)
    pin = leaf_pin(Files(open_house.fleet.directory))
    assert (
        f"curl -fsSk --pinnedpubkey 'sha256//{pin}' https://monitor.example.com:8440/install.sh"
        f" | sudo sh -s -- {string}" in text
    )
    token = string.split(".")[-2]
    with open_house.fleet.database.write() as connection:
        grant = use_token(connection, token_hash(PEPPER, token), open_house.fleet.at)
    assert grant is not None
    assert (grant.place.client, grant.place.site) == ("acme", "hq")
    assert grant.tags == ("db", "backup")


def test_it_is_shown_once_and_kept_nowhere(open_house: House) -> None:
    olga = open_house.as_("olga")
    answer = olga.post("/hosts", **WISH)
    token = string_in(answer).split(".")[-2]
    assert answer.headers["cache-control"] == "no-store"
    assert token not in olga.get("/hosts/new").text
    state = open_house.fleet.directory.glob("*.sqlite*")
    assert all(token.encode() not in file.read_bytes() for file in state)


def test_who_let_hosts_in_is_written_down(open_house: House) -> None:
    open_house.as_("olga").post("/hosts", **WISH)
    with open_house.fleet.database.read() as connection:
        row = connection.execute(select(audit).where(audit.c.action == "token.create")).one()
    assert row.actor == "olga"
    assert row.data == {"client": "acme", "site": "hq", "max_uses": 3}


def test_who_may_not_bring_in_hosts_is_not_offered_it(open_house: House) -> None:
    ann = open_house.as_("ann")
    assert ann.get("/hosts/new").status_code == 403
    assert ann.post("/hosts", **WISH).status_code == 403
    assert "/hosts/new" not in ann.get("/").text
    assert "/hosts/new" in open_house.as_("olga").get("/").text
    assert tokens(open_house) == []


def test_who_sees_some_clients_adds_hosts_to_those_only(open_house: House) -> None:
    """Whether another client exists is not told: the answer is the same."""
    open_house.fleet.person("gina", Role.VIEWER, "globex")  # makes the client
    otto = open_house.as_("otto")
    assert otto.post("/hosts", **WISH).status_code == 200
    known = otto.post("/hosts", **{**WISH, "client": "globex"})
    unknown = otto.post("/hosts", **{**WISH, "client": "initech"})
    assert known.status_code == unknown.status_code == 422
    assert known.text.replace("globex", "initech") == unknown.text
    assert len(tokens(open_house)) == 1
    with open_house.fleet.database.read() as connection:
        names = [row.name for row in connection.execute(select(clients))]
    assert "initech" not in names


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"client": ""}, "Client: takes 1 to 100 characters"),
        ({"client": "a\x00b"}, "Client: takes 1 to 100 characters"),
        ({"site": " "}, "Site: takes 1 to 100 characters"),
        ({"host_class": "toaster"}, "Kind of host: is one of"),
        ({"tags": "a/b"}, "Tags: 'a/b'"),
        ({"tags": " ".join(f"t{n}" for n in range(21))}, "Tags: may be given 20 times"),
        ({"max_uses": "many"}, "How many hosts: is a number"),
        ({"max_uses": "0"}, "How many hosts: is 1 to 100000"),
        ({"ttl": "soon"}, "Good for: "),
        ({"ttl": "31d"}, "Good for: is more than nothing, at most 30d"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_written_is_kept(
    open_house: House, said: dict[str, str], told: str
) -> None:
    answer = open_house.as_("olga").post("/hosts", **{**WISH, **said})
    assert answer.status_code == 422
    assert told in html.unescape(answer.text)
    assert tokens(open_house) == []


def test_a_collector_without_packages_says_so_and_still_gives_the_string(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "default_folder", lambda: tmp_path / "none")
    answer = ready(house).as_("olga").post("/hosts", **WISH)
    assert "offers no packages yet" in answer.text
    assert string_in(answer).startswith("fw1.https://monitor.example.com:8440.fwe_")


def test_a_collector_without_an_address_says_what_to_write(open_house: House) -> None:
    open_house.fleet.agents_url = ""
    answer = open_house.as_("olga").post("/hosts", **WISH)
    assert answer.status_code == 422
    assert "no url in collector.toml" in answer.text


def test_a_lost_pepper_is_told_and_is_no_error_of_ours(open_house: House) -> None:
    (open_house.fleet.directory / "secrets" / "pepper").unlink()
    answer = open_house.as_("olga").post("/hosts", **WISH)
    assert answer.status_code == 409
    assert "restore it from a backup" in answer.text
