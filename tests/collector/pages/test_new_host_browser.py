"""Adding a host in a real browser: by keyboard alone, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.collector.pages.conftest import House
from tests.collector.pages.test_browser import CHROMIUM, OUTPUT, WIDTHS, answering, visiting
from tests.collector.pages.test_new_host import open_house

from forewarn_collector import certificates
from forewarn_collector.certificates import Files
from forewarn_collector.http.server import Listener, bind

__all__ = ["open_house"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs chromium"),
]


@pytest.fixture
def served(open_house: House, tmp_path: Path) -> Iterator[str]:
    files = Files(tmp_path / "tls")
    files.directory.mkdir()
    now = datetime.now(UTC)
    certificates.make_authority(files, "localhost", now)
    certificates.make_leaf(files, ["localhost"], now)
    tls = certificates.server_context(files)
    listener = Listener("operators", bind("127.0.0.1", 0), open_house.app, tls)
    with answering(listener):
        yield f"https://localhost:{listener.port}"


def test_a_host_is_added_by_keyboard_and_the_line_is_copied(served: str) -> None:
    """What lands on the clipboard is the whole line, on both sizes, within the policy."""
    from playwright.sync_api import sync_playwright

    OUTPUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for size in WIDTHS:
            allowed = ["clipboard-read", "clipboard-write"]
            with visiting(chromium, served, size, permissions=allowed) as visit:
                visit.log_in("olga")
                page = visit.page
                page.focus("text=Add a host")
                page.keyboard.press("Enter")
                page.wait_for_url("**/hosts/new")
                assert page.evaluate("document.activeElement.id") == "client"
                visit.check(f"form at {size}")
                page.screenshot(path=OUTPUT / f"host-new-{size}.png", full_page=True)
                page.keyboard.type("acme")
                page.focus("#site")
                page.keyboard.type("hq")
                page.keyboard.press("Enter")
                page.wait_for_selector("#line-1")
                page.screenshot(path=OUTPUT / f"host-line-{size}.png", full_page=True)
                page.focus("[data-copy=line-1]")
                page.keyboard.press("Enter")
                page.wait_for_selector("text=Copied")
                copied = page.evaluate("navigator.clipboard.readText()")
                assert copied == page.inner_text("#line-1").strip()
                assert copied.startswith("curl -fsSk --pinnedpubkey 'sha256//")
                assert "\n" not in copied
                visit.check(f"line at {size}")
        chromium.close()
