"""Getting in: passwords, throttling, sessions, keys, and requests from other sites."""

from dataclasses import replace
from typing import Any

import pytest
from fastapi import Request, Response
from sqlalchemy import select, update

from forewarn_collector.api.login import end_session, start_session
from forewarn_collector.api.people import find_person, password_fits
from forewarn_collector.api.principal import Role
from forewarn_collector.state import audit
from forewarn_collector.state.tables import api_keys, sessions, users
from forewarn_collector.state.tables import audit as audit_table

PASSWORD = "correct horse battery staple"


@pytest.fixture
def ann(world: Any) -> Any:
    world.person("ann", Role.TECHNICIAN, "acorp")
    return world


def login(world: Any, name: str, password: str, address: str = "192.0.2.7") -> Any:
    client = replace(world.browser(), address=address)
    return client.post("/api/v1/login", {"name": name, "password": password})


def test_a_login_gives_a_key_that_works_for_ninety_days(ann: Any) -> None:
    answer = login(ann, "ann", PASSWORD)
    assert answer.status_code == 200
    assert answer.json()["expires_at"] == "2027-02-19T08:00:00Z"
    client = ann.program(answer.json()["key"])
    assert client.get("/api/v1/me").json() == {
        "name": "ann",
        "role": "technician",
        "clients": ["acorp"],
    }
    ann.wait(days=90)
    assert client.get("/api/v1/me").status_code == 401


def test_every_refusal_reads_the_same(ann: Any) -> None:
    wrong = login(ann, "ann", "guess")
    unknown = login(ann, "nobody", "guess")
    for _ in range(5):
        throttled = login(ann, "ann", PASSWORD if _ == 4 else "guess")
    assert wrong.status_code == unknown.status_code == throttled.status_code == 401
    assert wrong.content == unknown.content == throttled.content


def test_five_tries_a_minute_then_even_the_right_password_waits(ann: Any) -> None:
    for _ in range(5):
        login(ann, "ann", "guess")
    assert login(ann, "ann", PASSWORD).status_code == 401
    assert login(ann, "ann", PASSWORD, address="198.51.100.9").status_code == 200
    ann.wait(seconds=61)
    assert login(ann, "ann", PASSWORD).status_code == 200


def test_a_right_password_forgets_the_slips_before_it(ann: Any) -> None:
    for _ in range(3):
        for _ in range(4):
            login(ann, "ann", "guess")
        assert login(ann, "ann", PASSWORD).status_code == 200
        ann.wait(seconds=61)


def test_one_address_cannot_try_one_password_on_many_names(ann: Any) -> None:
    network = "2001:db8:0:1::"
    throttle = ann.app.state.surroundings.throttle
    looked_at = [throttle.take(f"name{n}", f"{network}{n:x}", ann.at) for n in range(40)]
    assert looked_at == [True] * 30 + [False] * 10


def test_the_disabled_cannot_log_in_and_their_keys_and_sessions_end(ann: Any) -> None:
    key, session = ann.key("ann"), ann.session("ann")
    with ann.database.write() as connection:
        connection.execute(update(users).values(disabled_at=ann.at))
    assert login(ann, "ann", PASSWORD).status_code == 401
    assert ann.program(key).get("/api/v1/me").status_code == 401
    assert ann.browser(session).get("/api/v1/me").status_code == 401


def test_a_password_never_fits_nobody() -> None:
    assert not password_fits("guess", None)
    assert not password_fits("x" * 2000, None)
    assert not password_fits("guess", "not a hash")


def test_a_lowered_role_lowers_keys_and_sessions_at_once(world: Any) -> None:
    world.person("ann", Role.OPERATOR, "acorp")
    clients = [world.program(world.key("ann")), world.browser(world.session("ann"))]
    with world.database.write() as connection:
        connection.execute(update(users).values(role="viewer"))
    for client in clients:
        assert client.get("/api/v1/me").json()["role"] == "viewer"


def test_a_role_we_do_not_know_has_no_rights(ann: Any) -> None:
    key = ann.key("ann")
    with ann.database.write() as connection:
        connection.execute(update(users).values(role="emperor"))
    assert ann.program(key).get("/api/v1/me").status_code == 401


# -- sessions ------------------------------------------------------------------------------------


def test_the_cookie_is_for_this_host_and_no_script_and_ends_at_the_logout(ann: Any) -> None:
    around = ann.app.state.surroundings
    with ann.database.read() as connection:
        person = find_person(connection, "ann")
    assert person is not None
    begun = Response()
    start_session(around, person, begun)
    cookie, _, attributes = begun.headers["set-cookie"].partition("; ")
    assert cookie.startswith("__Host-forewarn=")
    assert set(attributes.split("; ")) == {
        "HttpOnly",
        "Max-Age=43200",
        "Path=/",
        "SameSite=strict",
        "Secure",
    }
    browser = ann.browser(cookie.partition("=")[2])
    assert browser.get("/api/v1/me").status_code == 200
    request = Request({"type": "http", "headers": [(b"cookie", cookie.encode())]})
    end_session(around, request, Response())
    assert browser.get("/api/v1/me").status_code == 401


def test_a_session_ends_after_half_an_hour_unused(ann: Any) -> None:
    browser = ann.browser(ann.session("ann"))
    for _ in range(3):
        ann.wait(minutes=29)
        assert browser.get("/api/v1/me").status_code == 200
    ann.wait(minutes=30)
    assert browser.get("/api/v1/me").status_code == 401


def test_a_session_ends_after_twelve_hours_however_busy(ann: Any) -> None:
    browser = ann.browser(ann.session("ann"))
    for _ in range(12 * 3 - 1):
        ann.wait(minutes=20)
        assert browser.get("/api/v1/me").status_code == 200
    ann.wait(minutes=20)
    assert browser.get("/api/v1/me").status_code == 401


def test_reading_writes_the_last_use_once_a_minute(ann: Any) -> None:
    browser = ann.browser(ann.session("ann"))
    ann.wait(seconds=59)
    browser.get("/api/v1/me")
    assert _used_at(ann) == ann.at.replace(minute=0, second=0)
    ann.wait(seconds=1)
    browser.get("/api/v1/me")
    assert _used_at(ann) == ann.at


def _used_at(world: Any) -> Any:
    with world.database.read() as connection:
        return connection.execute(select(sessions.c.used_at)).scalar()


def test_no_secret_is_kept(ann: Any) -> None:
    secrets = [ann.key("ann"), ann.session("ann")]
    with ann.database.read() as connection:
        kept = [
            *connection.execute(select(api_keys.c.hash)).scalars(),
            *connection.execute(select(sessions.c.hash)).scalars(),
            *connection.execute(select(users.c.password_hash)).scalars(),
        ]
    assert not [s for s in (*secrets, PASSWORD) if any(s in one for one in kept)]


# -- other sites ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "headers", "status"),
    [
        ("our own page", {"origin": "https://forewarn.test"}, 200),
        ("another site", {"origin": "https://evil.test"}, 403),
        ("the same name without TLS", {"origin": "http://forewarn.test"}, 403),
        ("a name that begins alike", {"origin": "https://forewarn.test.evil.test"}, 403),
        ("an opaque origin", {"origin": "null"}, 403),
        ("no origin at all", {}, 403),
    ],
)
def test_a_cookie_changes_things_only_from_our_own_pages(
    ann: Any, why: str, headers: dict[str, str], status: int
) -> None:
    browser = ann.browser(ann.session("ann"))
    answer = browser.post("/api/v1/tickets/1/note", {"text": "hi"}, **headers)
    assert answer.status_code == status, why


def test_a_form_cannot_be_posted_to_the_api(ann: Any) -> None:
    browser = ann.browser(ann.session("ann"), origin="https://forewarn.test")
    answer = browser.request("POST", "/api/v1/tickets/1/note", data={"text": "hi"})
    assert answer.status_code == 415


def test_a_wrong_key_is_not_saved_by_a_good_cookie(ann: Any) -> None:
    browser = ann.browser(ann.session("ann"), authorization="Bearer fwk_wrong")
    assert browser.get("/api/v1/me").status_code == 401


# -- keys ----------------------------------------------------------------------------------------


def test_a_key_is_made_used_listed_and_revoked(ann: Any) -> None:
    client = ann.program(ann.key("ann"))
    made = client.post("/api/v1/keys", {"name": "cron", "role": "viewer", "days": 7})
    assert made.status_code == 201
    cron = ann.program(made.json()["key"])
    assert cron.get("/api/v1/me").json()["role"] == "viewer"
    assert "cron" in [key["name"] for key in client.get("/api/v1/keys").json()["keys"]]
    assert client.request("DELETE", f"/api/v1/keys/{made.json()['id']}").status_code == 204
    assert cron.get("/api/v1/me").status_code == 401


def test_nobody_makes_a_key_above_themselves(ann: Any) -> None:
    client = ann.program(ann.key("ann"))
    assert client.post("/api/v1/keys", {"name": "x", "role": "admin"}).status_code == 403


def test_a_key_made_with_a_key_does_not_outlive_it(ann: Any) -> None:
    client = ann.program(ann.key("ann", days=2))
    made = client.post("/api/v1/keys", {"name": "x", "days": 300}).json()
    assert made["expires_at"] == "2026-11-23T08:00:00Z"


def test_nobody_holds_keys_without_end(ann: Any) -> None:
    client = ann.program(ann.key("ann"))
    for _ in range(99):
        ann.key("ann")
    answer = client.post("/api/v1/keys", {"name": "x"})
    assert answer.status_code == 409
    assert "revoke one" in answer.json()["error"]


def test_an_admin_of_all_clients_sees_and_ends_everybodys_keys(ann: Any) -> None:
    ann.person("root", Role.ADMIN)
    ann.key("ann")
    root = ann.program(ann.key("root"))
    keys = {key["owner"]: key["id"] for key in root.get("/api/v1/keys").json()["keys"]}
    assert keys.keys() == {"ann", "root"}
    assert root.request("DELETE", f"/api/v1/keys/{keys['ann']}").status_code == 204


def test_what_people_do_is_in_the_audit_chain_and_a_changed_row_shows(ann: Any) -> None:
    client = ann.program(login(ann, "ann", PASSWORD).json()["key"])
    client.post("/api/v1/keys", {"name": "cron"})
    table = audit_table
    with ann.database.write() as connection:
        rows = connection.execute(select(table.c.actor, table.c.action)).all()
        assert [tuple(row) for row in rows] == [("ann", "key.make"), ("ann", "key.make")]
        assert audit.broken_at(connection) is None
        connection.execute(update(table).where(table.c.id == 1).values(actor="eve"))
        assert audit.broken_at(connection) == 1
