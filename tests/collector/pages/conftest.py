"""A lived-in fleet, and somebody who looks at its pages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.collector.pages.errands import ordered
from tests.collector.pages.fleet import Fleet, lived_in, new_fleet, work_on

from forewarn_collector.api.app import operators_app
from forewarn_collector.api.people import find_person, open_session
from forewarn_collector.api.principal import Role
from forewarn_collector.state import assets, suppression
from forewarn_collector.state.hosts import place
from forewarn_collector.state.suppression import NewSilence, NewWindow

try:
    import weasyprint  # type: ignore[import-untyped, unused-ignore]  # noqa: F401
except (ImportError, OSError):  # not installed, or without Pango
    CAN_PRINT = False
else:
    CAN_PRINT = True


@dataclass
class Visitor:
    """A browser without scripts: sends its cookie, its origin, and follows nothing."""

    app: Any
    runner: asyncio.Runner
    cookie: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"accept": "text/html", "origin": "https://forewarn.test", **self.headers}
        if self.cookie:
            headers["cookie"] = f"__Host-forewarn={self.cookie}"
        headers |= options.pop("headers", {})

        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(
                transport=transport, base_url="https://forewarn.test", headers=headers
            ) as client:
                return await client.request(method, path, **options)

        return self.runner.run(sent())

    def get(self, path: str, **params: str) -> httpx.Response:
        return self.ask("GET", path, params=params or None)

    def post(self, path: str, **form: str) -> httpx.Response:
        return self.ask("POST", path, data=form or None)


@dataclass
class House:
    """A fleet behind its pages."""

    fleet: Fleet
    runner: asyncio.Runner
    app: Any
    quiet_ids: Mapping[str, str] = field(default_factory=dict)

    def as_(self, name: str) -> Visitor:
        """Return somebody who is logged in."""
        with self.fleet.database.write() as connection:
            person = find_person(connection, name)
            assert person is not None
            secret = open_session(connection, person, self.fleet.at)
        return Visitor(self.app, self.runner, secret)

    def stranger(self) -> Visitor:
        return Visitor(self.app, self.runner)

    def host_id(self, name: str) -> str:
        return next(host.id for host in self.fleet.hosts.all() if host.name == name)


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Everything wrong at once; for tests that only look."""
    with new_fleet(tmp_path_factory.mktemp("lived")) as fleet:
        lived_in(fleet)
        _people(fleet)
        work_on(fleet, 1)
        quiet_ids = _quiet(fleet)
        _own(fleet)
        ordered(fleet)
        with asyncio.Runner() as runner:
            yield House(fleet, runner, operators_app(fleet), quiet_ids)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """No hosts yet, for tests that change things."""
    with new_fleet(tmp_path) as fleet:
        fleet.person("ann", Role.TECHNICIAN)
        with asyncio.Runner() as runner:
            yield House(fleet, runner, operators_app(fleet))


def _own(fleet: Fleet) -> None:
    """Say of web01 what no agent can read."""
    web = next(one for one in fleet.hosts.all() if one.name == "web01")
    said = {
        "warranty_until": (fleet.at + timedelta(days=40)).date().isoformat(),
        "owner": "Jörg Weiß, building services, second floor of the old mill",
        "cost": "5299.00 EUR",
    }
    with fleet.database.write() as connection:
        assets.change(connection, web.id, said, by="ann", now=fleet.at)


def _people(fleet: Fleet) -> None:
    fleet.person("ann", Role.TECHNICIAN)
    fleet.person("vic", Role.VIEWER)
    fleet.person("gus", Role.TECHNICIAN, "globex")
    fleet.person("max", Role.ADMIN)
    fleet.person("mia", Role.APPROVER, "globex")


def _quiet(fleet: Fleet) -> dict[str, str]:
    """Plan a window of acme and silence a rule there; return their ids by what they are."""
    with fleet.database.write() as connection:
        acme = frozenset({place(connection, "acme", "hq", fleet.at).client_id})
        starts = fleet.at + timedelta(days=3)
        window = NewWindow(
            clients=acme,
            selector="client:acme",
            group="",
            reason="move of web01",
            starts=starts,
            ends=starts + timedelta(hours=4),
            settle=timedelta(minutes=10),
        )
        silence = NewSilence(
            clients=acme,
            selector="client:acme",
            group="",
            rule="ClockWrong",
            component="",
            reason="known of web01",
            expires=starts,
        )
        return {
            "maintenance": suppression.add_window(connection, window, "ann", fleet.at),
            "silences": suppression.add_silence(connection, silence, "ann", fleet.at),
        }
