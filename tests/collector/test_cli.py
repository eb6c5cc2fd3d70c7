"""The command `forewarn-collector`: what it makes, prints and refuses."""

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from forewarn_collector import clock
from forewarn_collector.api.people import find_person, password_fits
from forewarn_collector.certificates import Files, fingerprint
from forewarn_collector.cli import app
from forewarn_collector.instance import opened_state
from forewarn_collector.state import audit
from forewarn_collector.state.by_hand import Call, report
from forewarn_collector.state.hosts import KnownHost, Place, insert_host, place, record_facts
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import audit as audit_rows
from forewarn_collector.state.tables import clients, enrolment_tokens, service_reports, sites
from forewarn_collector.state.work import resolve
from forewarn_collector.witnessing import signing_key


def run(directory: Path, *words: str, given: str = "") -> Result:
    """Run a subcommand on the instance in `directory`."""
    return CliRunner().invoke(app, [*words, "--dir", str(directory)], input=given)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    directory = tmp_path / "collector"
    result = run(directory, "init", "--url", "https://c.example:8440")
    assert result.exit_code == 0, result.output
    return directory


def test_init_makes_everything_for_its_owner_only(made: Path) -> None:
    """No file of an instance can be read by others."""
    for path in (made, *made.rglob("*")):
        if path.name not in ("ca.pem", "leaf.pem"):
            assert path.stat().st_mode & 0o077 == 0, path


def test_init_never_replaces_an_instance(made: Path) -> None:
    """All agents would lose it."""
    before = (made / "ca.pem").read_bytes()
    again = run(made, "init")
    assert again.exit_code == 3
    assert "holds a collector already" in again.stderr
    assert (made / "ca.pem").read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ("--agents", "nowhere"),
        ("--agents", "0.0.0.0:99999"),
        ("--operators", "127.0.0.1"),
        ("--url", "c.example:8440"),
        ("--url", "ftp://c.example"),
    ],
)
def test_init_refuses_addresses_that_are_none(tmp_path: Path, words: tuple[str, str]) -> None:
    """Before anything is made."""
    result = run(tmp_path / "collector", "init", *words)
    assert result.exit_code == 2
    assert not (tmp_path / "collector").exists()


def test_the_url_is_made_of_the_machines_name(tmp_path: Path) -> None:
    """With the port that agents are listened for on."""
    result = run(tmp_path / "c", "init", "--agents", "127.0.0.1:9440", "--json")
    assert re.fullmatch(r"https://[^/]+:9440", json.loads(result.stdout)["url"])


def test_token_create_prints_the_string_last(made: Path) -> None:
    """Parsed from the right: fingerprint, token, address."""
    result = run(made, "token", "create", "--client", "Smith & Co", "--site", "hq")
    assert result.exit_code == 0, result.output
    start, _, rest = result.stdout.splitlines()[-1].partition(".")
    url, token, pinned = rest.rsplit(".", 2)
    assert (start, url) == ("fw1", "https://c.example:8440")
    assert re.fullmatch(r"fwe_[\w-]{27}", token)
    assert pinned == fingerprint(Files(made))


def test_token_create_makes_client_and_site_once(made: Path) -> None:
    """The second time they are found."""
    for _ in range(2):
        words = ("--client", "acme", "--site", "hq", "--tag", "db", "--max-uses", "3")
        result = run(made, "token", "create", *words, "--class", "roaming", "--json")
        told = json.loads(result.stdout)
        assert (told["class"], told["tags"], told["max_uses"]) == ("roaming", ["db"], 3)
    with opened_state(made) as database, database.read() as connection:
        assert len(connection.execute(select(clients)).all()) == 1
        assert len(connection.execute(select(sites)).all()) == 1
        tokens = connection.execute(select(enrolment_tokens)).all()
        assert len(tokens) == 2
        assert all((t.expires_at - t.created_at).total_seconds() == 3600 for t in tokens)


@pytest.mark.parametrize(
    "words",
    [
        ("--client", "", "--site", "hq"),
        ("--client", "a\nb", "--site", "hq"),
        ("--client", "acme", "--site", " hq"),
        ("--client", "acme", "--site", "x" * 101),
        ("--client", "acme", "--site", "hq", "--class", "toaster"),
        ("--client", "acme", "--site", "hq", "--tag", "a b"),
        ("--client", "acme", "--site", "hq", "--ttl", "soon"),
        ("--client", "acme", "--site", "hq", "--ttl", "31d"),
        ("--client", "acme", "--site", "hq", "--max-uses", "0"),
    ],
)
def test_token_create_refuses_what_makes_no_sense(made: Path, words: tuple[str, ...]) -> None:
    """Exit code 2, and no client is made."""
    assert run(made, "token", "create", *words).exit_code == 2
    with opened_state(made) as database, database.read() as connection:
        assert connection.execute(select(clients)).all() == []


def test_user_create_prints_a_password_that_fits(made: Path) -> None:
    """Once; only its Argon2 hash is kept."""
    result = run(made, "user", "create", "ann", "--role", "operator", "--json")
    password = json.loads(result.stdout)["password"]
    with opened_state(made) as database, database.read() as connection:
        person = find_person(connection, "ann")
    assert person is not None
    assert person.password_hash.startswith("$argon2id$")
    assert password_fits(password, person.password_hash)
    assert (person.principal.role, person.principal.clients) == ("operator", None)


def test_user_create_takes_a_password_from_standard_input(made: Path) -> None:
    """And then prints none."""
    words = ("user", "create", "ann", "--role", "viewer", "--password-stdin")
    assert run(made, *words, given="short\n").exit_code == 2
    result = run(made, *words, given="a long enough password\n")
    assert result.exit_code == 0
    assert "a long enough password" not in result.output
    assert run(made, *words, given="a long enough password\n").exit_code == 1


def test_a_user_may_be_bound_to_clients(made: Path) -> None:
    """To ones that exist."""
    run(made, "token", "create", "--client", "acme", "--site", "hq")
    words = ("user", "create", "bob", "--role", "viewer")
    assert run(made, *words, "--client", "nobody").exit_code == 2
    assert run(made, *words, "--client", "acme").exit_code == 0
    with opened_state(made) as database, database.read() as connection:
        person = find_person(connection, "bob")
        acme = connection.execute(select(clients.c.id)).scalar_one()
    assert person is not None
    assert person.principal.clients == frozenset({acme})


def test_what_was_done_is_in_the_audit_log_and_altering_it_is_found(made: Path) -> None:
    """Without any secret."""
    token = run(made, "token", "create", "--client", "acme", "--site", "hq").stdout
    run(made, "user", "create", "ann", "--role", "admin")
    assert run(made, "audit", "verify").exit_code == 0
    with opened_state(made) as database:
        with database.read() as connection:
            rows = connection.execute(select(audit_rows)).all()
        assert [row.action for row in rows] == ["token.create", "user.create"]
        assert token.rsplit(".", 2)[1] not in str(rows)
        with database.write() as connection:
            connection.execute(audit_rows.update().values(actor="somebody else"))
            audit.record(connection, clock.now(), "a", "b")
    assert run(made, "audit", "verify").exit_code == 1


WITNESS = "0193aaaa-0000-7000-8000-000000000001"


def witness(where: Place) -> KnownHost:
    return KnownHost(
        number=1,
        id=WITNESS,
        client_id=where.client_id,
        site_id=where.site_id,
        name="web1",
        public_key=b"k" * 32,
        client="acme",
        site="hq",
        system="linux",
    )


def test_a_report_that_was_altered_is_found_beside_the_audit_log(made: Path) -> None:
    """As text and for programs."""
    now = clock.now()
    with opened_state(made) as database, database.write() as connection:
        where = place(connection, "acme", "hq", now)
        call = Call(title="It beeps", text="", place=where)
        common = {"actor": "ann", "now": now, "telling": Telling()}
        number = report(connection, call, **common)  # type: ignore[arg-type]
        resolve(connection, number, text="oiled", clients=None, **common)  # type: ignore[arg-type]
    well = run(made, "audit", "verify", "--json")
    told = json.loads(well.stdout)
    assert told.pop("audit_rows") >= 0
    assert told == {
        "audit_broken_at": None,
        "witnesses_agree": 0,
        "witnesses_contradict": [],
        "reports": 1,
        "report_faults": [],
    }
    with opened_state(made) as database, database.write() as connection:
        connection.execute(service_reports.update().values(document="[]"))
    found = run(made, "audit", "verify", "--json")
    assert found.exit_code == 1
    assert len(json.loads(found.stdout)["report_faults"]) == 2
    assert "not the one that was hashed" in run(made, "audit", "verify").stdout


def test_a_log_that_was_set_back_is_found_by_what_hosts_were_shown(made: Path) -> None:
    """Cut at its end the chain still holds; a host remembers better, until somebody says why."""
    now, key = clock.now(), signing_key(made)
    with opened_state(made) as database, database.write() as connection:
        audit.record(connection, now, "ann", "one")
        where = place(connection, "acme", "hq", now)
        insert_host(connection, witness(where), now)
        audit.record(connection, now, "ann", "two")
        point = audit.checkpoint(connection)
        assert point is not None
        shown = audit.signed(point, key).text()
        record_facts(connection, WITNESS, {audit.WITNESS_FACT: shown}, now)
    assert json.loads(run(made, "audit", "verify", "--json").stdout)["witnesses_agree"] == 1
    with opened_state(made) as database, database.write() as connection:
        connection.execute(audit_rows.delete().where(audit_rows.c.action == "two"))
    found = run(made, "audit", "verify")
    assert found.exit_code == 1
    assert "which is not here as it was" in found.stdout.replace("\n", " ")
    assert run(made, "audit", "accept-rewind", "--reason", "backup of monday").exit_code == 0
    assert run(made, "audit", "verify").exit_code == 0


def test_a_folder_open_to_others_is_refused(made: Path) -> None:
    """It holds the keys."""
    made.chmod(0o750)
    result = run(made, "token", "create", "--client", "acme", "--site", "hq")
    assert result.exit_code == 3
    assert f"chmod 700 {made}" in result.stderr.replace("\n", "")


def test_no_instance_is_said_in_one_sentence(tmp_path: Path) -> None:
    """With the command that makes one."""
    result = run(tmp_path, "rules", "check")
    assert result.exit_code == 3
    assert "forewarn-collector init" in result.stderr.replace("\n", " ")


def test_doctor_finds_what_others_may_read(made: Path) -> None:
    """And ends with 1."""
    assert run(made, "doctor").exit_code == 0
    (made / "ca.key").chmod(0o644)
    result = run(made, "doctor", "--json")
    assert result.exit_code == 1
    troubles = [f for f in json.loads(result.stdout)["findings"] if f["mark"] == "trouble"]
    assert [trouble["subject"] for trouble in troubles] == ["rights"]


def test_every_rule_that_is_on_is_listed(made: Path) -> None:
    """With what it says in words."""
    rules = json.loads(run(made, "rules", "list", "--json").stdout)["rules"]
    almost_full = next(rule for rule in rules if rule["name"] == "DiskAlmostFull")
    assert almost_full["check"] == "disk"
    assert "from 90 % up" in almost_full["when"]


def test_a_destination_that_is_unknown_is_named(made: Path) -> None:
    """With those there are."""
    result = run(made, "destination", "test", "desk")
    assert result.exit_code == 2
    assert "there are: none" in result.stderr.replace("\n", " ")


def test_an_empty_outbox_is_empty(made: Path) -> None:
    """And replaying what is not there says so."""
    assert json.loads(run(made, "outbox", "list", "--json").stdout) == {"rows": []}
    assert run(made, "outbox", "replay", "nothing").exit_code == 1
