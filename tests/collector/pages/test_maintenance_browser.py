"""Maintenance in a real browser: planned by keyboard alone, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.collector.pages.conftest import House
from tests.collector.pages.fleet import HOSTILE
from tests.collector.pages.test_browser import CHROMIUM, OUTPUT, WIDTHS, answering, visiting
from tests.collector.pages.test_maintenance import fill, plan, planned

from forewarn_collector import certificates
from forewarn_collector.certificates import Files
from forewarn_collector.http.server import Listener, bind

__all__ = ["planned"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs chromium"),
]


@pytest.fixture
def served(planned: House, tmp_path: Path) -> Iterator[str]:
    """The pages behind a real listener, with windows, silences and something held."""
    olga = planned.as_("olga")
    plan(olga, reason="new kernel on everything of acme")
    plan(olga, reason="patch night", repeat="monthly 2nd tue+4", at="02:00", lasts="3h")
    plan(olga, reason="weekend builds", repeat="weekly sat,sun", at="08:00", lasts="10h")
    plan(olga, reason=HOSTILE[0] + HOSTILE[4], starts="2026-12-01T22:00", lasts="2d")
    said = {"select": "host:db1", "rule": "DiskAlmostFull", "component": "filesystem:/srv"}
    olga.post("/silences", **said, reason="archive, grows no more", lasts="30d")
    olga.post("/silences", select=f'host:"{HOSTILE[11]}"', reason=HOSTILE[1], lasts="1d")
    fill(planned, 15)
    files = Files(tmp_path)
    now = datetime.now(UTC)
    certificates.make_authority(files, "localhost", now)
    certificates.make_leaf(files, ["localhost"], now)
    tls = certificates.server_context(files)
    listener = Listener("operators", bind("127.0.0.1", 0), planned.app, tls)
    with answering(listener):
        yield f"https://localhost:{listener.port}"


def test_the_pages_fit_and_a_window_is_planned_and_ended_by_keyboard(
    served: str, planned: House
) -> None:
    from playwright.sync_api import sync_playwright

    OUTPUT.mkdir(parents=True, exist_ok=True)
    paths = _paths(planned)  # before the browser's own loop turns
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for size in WIDTHS:
            for scheme in ("light", "dark"):
                with visiting(chromium, served, size, color_scheme=scheme) as visit:
                    visit.log_in("olga")
                    for name, path in paths.items():
                        visit.open(path)
                        where = f"{name}-{size}-{scheme}"
                        visit.page.screenshot(path=OUTPUT / f"{where}.png", full_page=True)
                        visit.check(where)
        with visiting(chromium, served) as visit:
            visit.log_in("olga")
            _plan_by_keyboard(visit.page, served)
            visit.check("planning")
        chromium.close()


def _paths(house: House) -> dict[str, str]:
    olga = house.as_("olga")
    listed = olga.get("/maintenance").text
    first = listed.split('href="/maintenance/')[1].split('"')[0]
    return {
        "maintenance": "/maintenance",
        "maintenance-window": f"/maintenance/{first}",
        "silences": "/silences",
        "host-in-maintenance": f"/hosts/{house.host_id('web1')}",
    }


def _plan_by_keyboard(page: Any, base: str) -> None:
    page.goto(f"{base}/maintenance")
    page.focus("#select")
    page.keyboard.type("host:db1")
    page.keyboard.press("Tab")  # every host
    page.keyboard.press("Tab")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    page.wait_for_url("**/maintenance/*-*")
    assert page.inner_text("h1") == "by keyboard"
    page.focus("text=End it now")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=settling")
