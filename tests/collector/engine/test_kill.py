"""SIGKILL at every write from alert to settled delivery: one ticket, opened and closed."""

import base64
import json
import multiprocessing
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.collector.destinations.desk import Desk
from tests.collector.destinations.desks.rt import SPEC as RT
from tests.collector.engine.line import new_line
from tests.collector.engine.mortal import Life, live

KILLED = -9
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


@contextmanager
def served(answer: Any) -> Iterator[str]:
    """Serve a system in memory on loopback; it outlives every collector."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            request = httpx.Request(
                self.command,
                f"http://{self.headers['host']}{self.path}",
                headers=list(self.headers.items()),
                content=body,
            )
            told = answer(request)
            self.send_response(told.status_code)
            self.send_header("content-length", str(len(told.content)))
            self.end_headers()
            self.wfile.write(told.content)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                return  # the collector died while we answered

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Lives:
    """Runs collectors one after the other on one folder, each forked from a clean server."""

    def __init__(self, kind: str, table: dict[str, Any]) -> None:
        self.kind, self.table = kind, table
        self.context = multiprocessing.get_context("forkserver")
        # Imported once and forked from: what is heavy is not imported by every life.
        self.context.set_forkserver_preload(["tests.collector.engine.mortal"])

    def run(self, folder: Path, dies_at: int) -> int | None:
        """Let one collector live; return its exit code."""
        child = self.context.Process(
            target=live, args=(Life(folder, self.kind, self.table, dies_at),)
        )
        child.start()
        child.join(60)
        return child.exitcode


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "state.sqlite") as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a database that knows two hosts."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))  # for the fork server
    folder = tmp_path / "template"
    folder.mkdir()
    with new_line(folder):
        pass
    return folder


def places_to_die(lives: Lives, template: Path) -> int:
    """Return how many writes and requests a life without a death has."""
    quiet = template.with_name("quiet")
    shutil.copytree(template, quiet)
    assert lives.run(quiet, 0) == 0
    return int((quiet / "moments").read_text())


def die_and_live_on(lives: Lives, template: Path, moment: int) -> Path:
    """Let a collector die at a moment and another one go on; return their folder."""
    folder = template.with_name(f"{moment}")
    shutil.copytree(template, folder)
    assert lives.run(folder, moment) == KILLED
    assert lives.run(folder, 0) == 0
    return folder


def check_our_side(folder: Path) -> None:
    assert rows(folder, "select count(*) from tickets") == [(1,)]
    assert rows(folder, "select state, condition from tickets") == [("closed", "cleared")]
    assert rows(folder, "select count(*) from episodes where ticket_id is null") == [(0,)]
    assert rows(folder, "select count(*), count(closed_at) from episodes") == [(1, 1)]
    assert rows(folder, "select kind, state from outbox order by id") == [
        ("ticket.opened", "delivered"),
        ("ticket.closed", "delivered"),
    ]


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.lab), 5])
def test_killed_at_a_write_a_ticket_system_holds_one_ticket_and_it_is_closed(
    template: Path, every: int
) -> None:
    desk = Desk(RT)
    with served(desk) as url:
        lives = Lives("rt", {"url": url, **RT.config})
        places = places_to_die(lives, template)
        assert places > 30
        for moment in range(1, places + 1, every):
            desk.rows.clear()
            check_our_side(die_and_live_on(lives, template, moment))
            assert [row["Status"] for row in desk.rows.values()] == ["resolved"], moment
            assert desk.refused == []


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.lab), 10])
def test_killed_at_a_write_a_webhook_hears_each_message_under_one_id(
    template: Path, every: int
) -> None:
    heard: dict[str, str] = {}

    def receiver(request: httpx.Request) -> httpx.Response:
        told = request.headers["webhook-id"]
        kind = json.loads(request.content)["type"]
        assert heard.setdefault(told, kind) == kind
        return httpx.Response(200)

    with served(receiver) as url:
        lives = Lives("webhook", {"url": url, "secret": WEBHOOK_SECRET})
        for moment in range(1, places_to_die(lives, template) + 1, every):
            heard.clear()
            folder = die_and_live_on(lives, template, moment)
            check_our_side(folder)
            assert list(heard.values()) == ["ticket.opened", "ticket.closed"]
            assert list(heard) == [one for (one,) in rows(folder, "select id from outbox")]
