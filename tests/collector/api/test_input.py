"""Whatever is sent, the answer is JSON, says what is wrong, and is never our own mistake."""

from typing import Any

import pytest

from forewarn_collector.api.principal import Role
from forewarn_collector.queries.scope import write_cursor

HISTORY = "/api/v1/hosts/{id}/history"


@pytest.fixture
def ann(world: Any) -> Any:
    world.person("ann", Role.ADMIN)
    return world.program(world.key("ann"))


@pytest.mark.parametrize(
    ("path", "params", "status", "told"),
    [
        ("/api/v1/hosts", {"select": "colour:red"}, 422, "'colour' is no key"),
        ("/api/v1/hosts", {"select": "host:\x00"}, 422, "control character"),
        ("/api/v1/hosts", {"limit": 0}, 422, "query limit"),
        ("/api/v1/hosts", {"limit": 2**63}, 422, "query limit"),
        ("/api/v1/hosts", {"cursor": "nonsense"}, 422, "the cursor is not one"),
        ("/api/v1/hosts", {"cursor": write_cursor(1, 2)}, 422, "the cursor is not one"),
        ("/api/v1/hosts", {"cursor": write_cursor("worst", 2**64, "", "")}, 422, "cursor"),
        ("/api/v1/hosts", {"cursor": write_cursor("name", 0, "\ud800", "")}, 422, "cursor"),
        ("/api/v1/alerts", {"cursor": write_cursor(2**63 - 1, "x")}, 200, "alerts"),
        ("/api/v1/alerts", {"cursor": write_cursor(-(2**63), "x")}, 200, "alerts"),
        ("/api/v1/alerts", {"state": "asleep"}, 422, "query state"),
        ("/api/v1/tickets", {"cursor": write_cursor(-5)}, 200, "tickets"),
        ("/api/v1/tickets/0", {}, 422, "path number"),
        ("/api/v1/tickets/99999999999999999999", {}, 422, "path number"),
        ("/api/v1/hosts/x", {}, 422, "path id"),
        (HISTORY, {"metric": "x", "since": "yesterday", "until": "now"}, 422, "query since"),
        (HISTORY, {"metric": "x", "since": "2026-01-01", "until": "2026-01-02"}, 422, "since"),
        (
            HISTORY,
            {"metric": "x", "since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z"},
            422,
            "between 1970 and 2200",
        ),
        (
            HISTORY,
            {
                "metric": "x",
                "since": "0001-01-01T00:00:00+14:00",
                "until": "9999-12-31T23:59:59-14:00",
            },
            422,
            "between 1970 and 2200",
        ),
        (
            HISTORY,
            {"metric": "x", "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
            422,
            "since must be before until",
        ),
        (
            HISTORY,
            {"metric": "x'; --", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"},
            422,
            "query metric",
        ),
    ],
)
def test_a_question_that_makes_no_sense(
    world: Any, ann: Any, path: str, params: dict[str, Any], status: int, told: str
) -> None:
    answer = ann.get(path.replace("{id}", world.host_ids["acorp"]), **params)
    assert answer.status_code == status, answer.text
    assert told in answer.text


@pytest.mark.parametrize(
    ("why", "content", "status"),
    [
        ("no JSON", b"{", 422),
        ("no object", b"[1]", 422),
        ("an unknown key", b'{"text": "a", "state": "closed"}', 422),
        ("a wrong type", b'{"text": 1}', 422),
        ("nothing but spaces", b'{"text": "  "}', 422),
        ("a NUL", b'{"text": "a\\u0000b"}', 422),
        ("a lone surrogate", b'{"text": "\\ud800"}', 422),
        ("bytes that are no UTF-8", b'{"text": "\xff"}', 400),
        ("nesting without end", b'{"text": ' + b"[" * 20_000, 400),
        ("a number of many digits", b'{"text": ' + b"9" * 5000 + b"}", 400),
        ("too long a text", b'{"text": "' + b"a" * 10_001 + b'"}', 422),
        ("too large a body", b'{"text": "' + b"a" * 70_000 + b'"}', 413),
        ("a good one", b'{"text": "caf\\u00e9\\nand more"}', 200),
    ],
)
def test_a_body_that_makes_no_sense(ann: Any, why: str, content: bytes, status: int) -> None:
    headers = {"content-type": "application/json"}
    answer = ann.request("POST", "/api/v1/tickets/1/note", content=content, headers=headers)
    assert answer.status_code == status, f"{why}: {answer.text}"
    if status != 200:
        assert answer.json().keys() == {"error"}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"name": ""},
        {"name": "x" * 101},
        {"name": "\x1b[2J"},
        {"host_class": "toaster"},
        {"tags": ["has space"]},
        {"tags": ["x"] * 33},
        {"tags": "db"},
        {"client_id": "globex"},
    ],
)
def test_a_host_cannot_be_changed_to_nonsense(world: Any, ann: Any, change: Any) -> None:
    answer = ann.patch(f"/api/v1/hosts/{world.host_ids['acorp']}", change)
    assert answer.status_code == 422
    assert ann.get("/api/v1/hosts").json()["hosts"][0]["name"] == "web1"


def test_a_changed_host_is_changed_everywhere(world: Any, ann: Any) -> None:
    host_id = world.host_ids["acorp"]
    change = {"name": "db1", "host_class": "workstation", "tags": ["db", "a", "db"]}
    answer = ann.patch(f"/api/v1/hosts/{host_id}", change).json()
    assert (answer["name"], answer["host_class"], answer["tags"]) == (
        "db1",
        "workstation",
        ["a", "db"],
    )
    assert world.hosts.get(host_id).name == "db1"
    assert [h["id"] for h in ann.get("/api/v1/hosts", select="tag:db").json()["hosts"]] == [host_id]


def test_every_answer_carries_the_security_headers(ann: Any, world: Any) -> None:
    asked = [
        ann.get("/api/v1/hosts"),
        ann.get("/api/v1/hosts/x"),
        ann.get("/nowhere"),
        ann.get("//api/v1/hosts"),
        ann.request("PUT", "/api/v1/hosts"),
        world.browser().get("/api/v1/hosts"),
        world.browser().get("/healthz"),
    ]
    for answer in asked:
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_our_own_mistake_is_json_with_the_same_headers(world: Any, ann: Any) -> None:
    def broken(host: int) -> Any:
        raise ZeroDivisionError("secret path /etc")

    world.store.latest = broken
    answer = ann.get(f"/api/v1/hosts/{world.host_ids['acorp']}/readings")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/api/v1/hosts/", "/API/v1/hosts", "/api/v1/hosts;x"])
def test_paths_match_exactly_or_not_at_all(ann: Any, path: str) -> None:
    assert ann.get(path).status_code in (404, 422)
