"""Every route × every role × own and foreign client × nobody: generated from the application."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.collector.api.conftest import PASSWORD, signed_order

from forewarn_collector.api.guard import OPEN, Desk, GuardedRoute, UndeclaredRoute, check_declared
from forewarn_collector.api.principal import Role
from forewarn_collector.clock import uuid7
from forewarn_collector.state import orders, suppression
from forewarn_collector.state.orders import Pace
from forewarn_collector.state.suppression import NewSilence, NewWindow
from forewarn_scripts import envelope as dsse
from forewarn_scripts.envelope import STANDING_ORDER, Envelope
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import StandingOrder

SPAN = {"metric": "x", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
NOBODYS = "0193ffff-0000-7000-8000-000000000000"

# What each route needs to be asked rightly; a new route fails here until it is thought about.
NEW_ORDER = signed_order(1, "0193eeee-0000-7000-8000-000000000000").decode()
TICKET = "/api/v1/tickets/{number}"
FACTOR = "/api/v1/account/second-factor"
ASKED: dict[str, dict[str, Any]] = {
    "GET /healthz": {},
    "GET /readyz": {},
    "GET /ca.pem": {},
    "GET /metrics": {},
    "POST /api/v1/login": {"json": {"name": "nobody", "password": "wrong"}},
    "GET /api/v1/openapi.json": {},
    "GET /api/v1/me": {},
    "GET /api/v1/keys": {},
    "POST /api/v1/keys": {"json": {"name": "cron"}},
    "DELETE /api/v1/keys/{id}": {},
    "GET /api/v1/clients": {},
    "GET /api/v1/checks": {},
    "GET /api/v1/hosts": {},
    "GET /api/v1/hosts/{id}": {},
    "PATCH /api/v1/hosts/{id}": {"json": {"tags": ["db"]}},
    "POST /api/v1/assets": {"json": {"rows": [{"line": 2, "host": "web1", "fields": {}}]}},
    "GET /api/v1/hosts/{id}/baselines": {},
    "GET /api/v1/hosts/{id}/changes": {},
    "GET /api/v1/hosts/{id}/readings": {},
    "GET /api/v1/hosts/{id}/history": {"params": SPAN},
    "GET /api/v1/alerts": {},
    "GET /api/v1/tickets": {},
    "GET /api/v1/report": {},
    "GET /api/v1/absences": {},
    "POST /api/v1/absences": {"json": {"until": "2199-01-01T00:00:00Z"}},
    "POST /api/v1/tickets": {"json": {"title": "It beeps", "client": "acorp"}},
    "POST /api/v1/inbound/{name}": {"json": {"title": "x"}},
    "GET /api/v1/tickets/{number}": {},
    "GET /api/v1/targets": {},
    "GET /api/v1/scripts": {},
    "POST /api/v1/scripts": {"json": {"client": "acorp", "name": "df", "body": "ZGYK"}},
    "GET /api/v1/orders": {},
    "POST /api/v1/orders": {"json": {"envelope": NEW_ORDER}},
    "GET /api/v1/orders/{id}": {},
    "GET /api/v1/orders/{id}/results": {},
    "POST /api/v1/orders/{id}/approve": {},  # with the order of the path; see `ask`
    "POST /api/v1/orders/{id}/cancel": {},
    "POST /api/v1/tickets/{number}/acknowledge": {},
    "POST /api/v1/tickets/{number}/assign": {"json": {"assignee": "zoe"}},
    "POST /api/v1/tickets/{number}/note": {"json": {"text": "looked at it"}},
    "POST /api/v1/tickets/{number}/start": {},
    "POST /api/v1/tickets/{number}/wait": {"json": {"waiting_for": "parts"}},
    "POST /api/v1/tickets/{number}/priority": {"json": {"priority": "P1"}},
    "POST /api/v1/tickets/{number}/resolve": {"json": {"text": "done"}},
    "POST /api/v1/tickets/{number}/accept": {"json": {"text": "known since the move"}},
    "POST /api/v1/tickets/{number}/cancel": {"json": {"text": "false alarm"}},
    "POST /api/v1/tickets/{number}/labour": {"json": {"minutes": 30}},
    "POST /api/v1/tickets/{number}/parts": {"json": {"name": "fan", "unit_cost": "9.90 EUR"}},
    "POST /api/v1/tickets/{number}/root-cause": {"json": {"text": "dust"}},
    "GET /api/v1/tickets/{number}/report": {},
    "GET /api/v1/maintenance": {},
    "POST /api/v1/maintenance": {"json": {"select": "", "reason": "patches", "lasts": "2h"}},
    "GET /api/v1/maintenance/{id}": {},
    "POST /api/v1/maintenance/{id}/end": {},
    "DELETE /api/v1/maintenance/{id}": {},
    "GET /api/v1/silences": {},
    "POST /api/v1/silences": {"json": {"select": "host:*", "reason": "known", "lasts": "1h"}},
    "DELETE /api/v1/silences/{id}": {},
    "GET /api/v1/held": {},
    "GET /api/v1/standing": {},
    "GET /api/v1/standing/{id}": {},
    "GET /api/v1/keyrings": {},
    "POST /api/v1/keyrings": {"json": {"envelope": "{}"}},
    "GET /api/v1/account/second-factor": {},
    "POST /api/v1/account/second-factor": {"json": {"password": PASSWORD}},
    "POST /api/v1/account/second-factor/confirm": {"json": {"code": "000000"}},
    "DELETE /api/v1/account/second-factor": {},
}


def routes(world: Any) -> list[tuple[str, str, GuardedRoute]]:
    return [
        (method, route.path, route)
        for route in world.app.router.routes
        for method in sorted(route.methods)
        if not route.page
    ]


def _quiet(world: Any, path: str, method: str) -> str:
    """Return a new silence or window of acorp; one that runs is ended, one to come is deleted."""
    acorp = frozenset({world.client_ids["acorp"]})
    scope: dict[str, Any] = {"clients": acorp, "selector": "", "group": ""}
    hour = timedelta(hours=1)
    with world.database.write() as connection:
        if "silences" in path:
            new = NewSilence(
                **scope, rule="", component="", reason="known", expires=world.at + hour
            )
            return suppression.add_silence(connection, new, "ann", world.at)
        starts = world.at if method == "POST" else world.at + hour
        ends = starts + hour
        window = NewWindow(**scope, reason="patches", starts=starts, ends=ends, settle=hour)
        return suppression.add_window(connection, window, "ann", world.at)


def _standing(world: Any) -> str:
    """Return a standing order of acorp."""
    with world.database.write() as connection:
        known = [replace(host, client="acorp") for host in world.hosts.all()]
        told = StandingOrder(
            **json.loads(dsse.parse(signed_order(1, uuid7(world.at))).payload)
            | {"targets": (key_id(bytes([1]) * 32),), "argv": ()},
            max_runs_a_day=1,
            trigger="DiskAlmostFull",
        )
        data = Envelope(STANDING_ORDER, told.to_bytes()).to_bytes()
        return orders.propose(connection, data, Pace(), known, "ann", world.at)


def ask(client: Any, method: str, path: str, host: str, number: int, key: str) -> httpx.Response:
    thing = key if "/keys/" in path else host
    if host != NOBODYS and ("/maintenance/{id}" in path or "/silences/{id}" in path):
        thing = _quiet(client.world, path, "POST" if path.endswith("/end") else method)
    if host != NOBODYS and "/standing/{id}" in path:
        thing = _standing(client.world)
    address = path.replace("{id}", thing).replace("{number}", str(number))
    asked = ASKED[f"{method} {path}"]
    if path.endswith("/orders/{id}/approve"):
        asked = {"json": {"envelope": signed_order(1, host).decode()}}
    answer: httpx.Response = client.request(method, address, **asked)
    return answer


def test_every_route_of_the_api_is_in_the_matrix(world: Any) -> None:
    assert {f"{method} {path}" for method, path, _ in routes(world)} == set(ASKED)


def test_only_probes_and_the_login_are_open(world: Any) -> None:
    is_open = {path for _, path, route in routes(world) if route.needs is OPEN}
    assert is_open == {
        *("/healthz", "/readyz", "/ca.pem", "/api/v1/login"),
        "/api/v1/inbound/{name}",  # a signature lets in
    }


@pytest.mark.parametrize("secret", [None, "", "fwk_wrong", "Basic YTpi"])
def test_nobody_gets_anything_but_401(world: Any, secret: str | None) -> None:
    stranger = world.browser() if secret is None else world.program(secret)
    for method, path, route in routes(world):
        if route.needs is not OPEN or path == "/api/v1/login":
            answer = ask(stranger, method, path, world.host_ids["acorp"], 1, NOBODYS)
            assert answer.status_code == 401, f"{method} {path}"
            assert answer.json().keys() == {"error"}


def test_a_stranger_cannot_tell_which_methods_there_are(world: Any) -> None:
    assert world.browser().request("PUT", "/api/v1/hosts").status_code == 401
    assert world.browser().get("/api/v2/hosts").status_code == 404


@pytest.mark.parametrize("role", list(Role))
def test_a_role_gets_what_its_routes_need_and_no_more(world: Any, role: Role) -> None:
    world.person("ann", role, "acorp")
    client = world.program(world.key("ann"))
    for method, path, route in routes(world):
        own_key = client.post("/api/v1/keys", {"name": "spare"}).json()["id"]
        answer = ask(client, method, path, world.host_ids["acorp"], 1, own_key)
        if route.needs is OPEN or role.reaches(route.needs):
            # Ticket 1 counts nothing that could be accepted.
            refused = ("/api/v1/login", "/ca.pem", "/api/v1/inbound/{name}", f"{TICKET}/accept")
            # A keyring is for all clients; a second factor wants a code.
            more = ("/api/v1/keyrings", FACTOR, f"{FACTOR}/confirm")
            ok = answer.is_success or path in refused or (path in more and method != "GET")
            assert ok, f"{role} {method} {path}: {answer.text}"
        else:
            assert answer.status_code == 403, f"{role} {method} {path}"


@pytest.mark.parametrize("role", list(Role))
def test_what_is_anothers_answers_exactly_as_what_does_not_exist(world: Any, role: Role) -> None:
    world.person("ann", Role.ADMIN, "acorp")
    world.person("eve", role, "globex")
    world.key("ann")
    anns_key = world.program(world.key("ann")).get("/api/v1/keys").json()["keys"][0]["id"]
    eve = world.program(world.key("eve"))
    for method, path, route in routes(world):
        if "{" not in path or route.needs is OPEN:
            continue
        foreign = ask(eve, method, path, world.host_ids["acorp"], 1, anns_key)
        random = ask(eve, method, path, NOBODYS, 999, NOBODYS)
        where = f"{role} {method} {path}"
        assert foreign.status_code == (404 if role.reaches(route.needs) else 403), where
        assert foreign.content == random.content, where
        assert foreign.headers == random.headers, where
    acorp = world.program(world.key("ann")).get("/api/v1/tickets/1").json()
    assert (acorp["state"], len(acorp["events"])) == ("new", 1)


@pytest.mark.parametrize("role", list(Role))
def test_no_list_text_or_count_tells_of_another_client(world: Any, role: Role) -> None:
    world.person("annabel", Role.ADMIN, "acorp")
    world.person("eve", role, "globex")
    ann, eve = world.program(world.key("annabel")), world.program(world.key("eve"))
    secrets = ["acorp", world.client_ids["acorp"], world.host_ids["acorp"], "web1", "annabel"]
    for method, path, _route in routes(world):
        if method == "GET" and "{" not in path and path != "/ca.pem":
            for select in ("", "client:acorp", "host:*", "health:firing tag:*"):
                if select and "hosts" not in path and "tickets" not in path:
                    continue
                answer = eve.get(path, **({"select": select} if select else {}))
                assert answer.is_success, path
                assert not [secret for secret in secrets if secret in answer.text], path
    assert 'forewarn_hosts{health="high"} 1.0' in eve.get("/metrics").text
    assert "forewarn_operator_requests" not in eve.get("/metrics").text
    assert "web1" in ann.get("/api/v1/hosts").text


def test_somebody_of_no_client_sees_nothing(world: Any) -> None:
    world.client_ids["void"] = NOBODYS
    world.person("new", Role.ADMIN, "void")
    client = world.program(world.key("new"))
    assert client.get("/api/v1/hosts").json() == {"hosts": [], "next": None}
    assert client.get("/api/v1/tickets").json() == {"tickets": [], "next": None}
    assert client.get("/api/v1/clients").json() == {"clients": []}


def test_a_route_without_a_role_stops_the_program(world: Any) -> None:
    world.app.get("/backdoor")(lambda: "hello")
    with pytest.raises(UndeclaredRoute, match="/backdoor does not say who may use it"):
        check_declared(world.app.router.routes)


def test_a_mounted_application_stops_the_program(world: Any) -> None:
    world.app.mount("/files", world.app)
    with pytest.raises(UndeclaredRoute, match="/files"):
        check_declared(world.app.router.routes)


def test_a_route_declared_twice_stops_the_program(world: Any) -> None:
    Desk(world.app).api("GET", "/api/v1/me", Role.VIEWER, lambda: None)
    with pytest.raises(UndeclaredRoute, match="GET /api/v1/me is declared twice"):
        check_declared(world.app.router.routes)
