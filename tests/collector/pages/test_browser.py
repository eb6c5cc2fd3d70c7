"""Every page in a real browser, at a desk and on a phone: it draws, it fits, and nothing runs that
should not.  Screenshots go to tests/output/pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.collector.pages.conftest import House
from tests.collector.pages.errands import SCRIPT
from tests.collector.pages.fleet import HOSTILE, PASSWORD

from forewarn_collector import certificates
from forewarn_collector.api.app import SECURITY_HEADERS
from forewarn_collector.certificates import Files
from forewarn_collector.http.server import Listener, Servers, bind
from forewarn_scripts.order import script_hash

CHROMIUM = Path("/usr/bin/chromium")
OUTPUT = Path(__file__).parents[2] / "output" / "pages"
IN_THE_DARK = ("hosts", "host", "chart-lines", "ticket", "order", "order-output", "audit")
WIDTHS = {"desk": (1280, 800), "phone": (390, 844)}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason="needs chromium: apt-get install chromium fonts-liberation"
    ),
]

# Kept by the page itself, so that a violation is told even if nobody prints it.
_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@dataclass
class Watched:
    """A page with everything that went wrong on it."""

    page: Any
    base: str
    troubles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.add_init_script(_WATCH)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"console {message.type}: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.troubles.append(f"asked elsewhere: {request.url}")

    def open(self, path: str) -> None:
        self.page.goto(self.base + path)
        if self.page.locator("#plot").count():
            self.page.wait_for_selector("#plot[data-ready]", timeout=20_000)

    def log_in(self, name: str = "ann") -> None:
        self.open("/login")
        self.page.fill("#name", name)
        self.page.fill("#password", PASSWORD)
        self.page.click("button.main")
        self.page.wait_for_url(self.base + "/")

    def check(self, where: str) -> None:
        """Fail if the page is wider than the screen, or if anything went wrong on it."""
        width = self.page.evaluate("document.documentElement.scrollWidth")
        seen = self.page.evaluate("document.documentElement.clientWidth")
        assert width <= seen, f"{where} scrolls sideways: {width} > {seen}"
        assert self.page.evaluate("window.violations") == [], where
        assert self.troubles == [], where


@pytest.fixture(scope="module")
def base(lived: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The pages behind a real listener with TLS."""
    files = Files(tmp_path_factory.mktemp("tls"))
    now = datetime.now(UTC)
    certificates.make_authority(files, "localhost", now)
    certificates.make_leaf(files, ["localhost"], now)
    tls = certificates.server_context(files)
    listener = Listener("operators", bind("127.0.0.1", 0), lived.app, tls)
    with answering(listener):
        yield f"https://localhost:{listener.port}"


@contextlib.contextmanager
def answering(listener: Listener) -> Iterator[None]:
    """Answer in a thread for as long as the block runs."""
    servers = Servers([listener])
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        up = asyncio.Event()
        task = asyncio.create_task(servers.run(up))
        await up.wait()
        ready.set()
        await task

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(servers.stop)
        thread.join(20)
        loop.close()


@pytest.fixture(scope="module")
def chromium(base: str) -> Iterator[Any]:
    """One browser for all tests of this file; it goes before the server does."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def visiting(chromium: Any, base: str, size: str = "desk", **options: Any) -> Iterator[Watched]:
    width, height = WIDTHS[size]
    context = chromium.new_context(
        viewport={"width": width, "height": height}, ignore_https_errors=True, **options
    )
    try:
        yield Watched(context.new_page(), base)
    finally:
        context.close()


def addresses(lived: House) -> dict[str, str]:
    web, hostile = lived.host_id("web01"), lived.host_id(HOSTILE[0])
    return {
        "hosts": "/",
        "hosts-picked": "/?select=client:globex",
        "host": f"/hosts/{web}",
        "host-custom-span": f"/hosts/{web}?since=2026-11-20T12:00&until=2026-11-20T20:00",
        "host-failed-checks": f"/hosts/{lived.host_id('desk-17')}",
        "host-hostile": f"/hosts/{hostile}",
        "chart-bar": f"/hosts/{web}/chart?metric=cpu_used_ratio",
        "chart-lines": f"/hosts/{web}/chart?metric=disk_free_bytes",
        "chart-state": f"/hosts/{web}/chart?metric=uptime_reboot_pending",
        "chart-hostile": f"/hosts/{hostile}/chart?metric=disk_used_ratio",
        "tickets": "/tickets",
        "tickets-none": "/tickets?state=closed",
        "ticket": "/tickets/1",
        "ticket-new": "/tickets/new",
        "ticket-report": "/tickets/1/report",
        "report": "/report",
        "ticket-hostile": "/tickets/3",
        "checks": "/checks",
        "orders": "/orders",
        "order": f"/orders/{web}",
        "order-output": f"/orders/{web}/results/{web}",
        "approvals": "/approvals",
        "scripts": "/scripts",
        "script": f"/scripts/{script_hash(SCRIPT)}",
        "audit": "/audit?verify=yes",
        "rule": "/rules/DiskAlmostFull",
    }


@pytest.mark.parametrize("size", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_draws_fits_and_keeps_the_policy(
    chromium: Any, base: str, lived: House, size: str, scheme: str
) -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with visiting(chromium, base, size, color_scheme=scheme) as visit:
        visit.open("/login")
        visit.page.screenshot(path=OUTPUT / f"login-{size}-{scheme}.png")
        visit.check("login")
        visit.log_in("max")
        for name, address in addresses(lived).items():
            if scheme == "dark" and name not in IN_THE_DARK:
                continue
            visit.open(address)
            visit.page.screenshot(path=OUTPUT / f"{name}-{size}-{scheme}.png", full_page=True)
            visit.check(f"{name} at {size}")


def test_the_policy_the_browser_keeps_is_the_strict_one(chromium: Any, base: str) -> None:
    with visiting(chromium, base) as visit:
        answer = visit.page.goto(f"{base}/login")
        stated = answer.headers["content-security-policy"]
        assert stated == SECURITY_HEADERS["content-security-policy"]
        assert "unsafe" not in stated
        # The watch itself sees: what is not allowed is reported.
        visit.page.evaluate("document.body.setAttribute('style', 'color: red')")
        visit.page.wait_for_function("window.violations.length > 0")


def test_zooming_into_a_chart_asks_for_finer_readings(
    chromium: Any, base: str, lived: House
) -> None:
    with visiting(chromium, base) as visit:
        visit.log_in()
        visit.open(addresses(lived)["chart-bar"])
        begin, end = "2026-11-20 20:00:00", "2026-11-20 22:00:00"
        with visit.page.expect_response("**/history?*") as asked:
            visit.page.evaluate(
                "([a, b]) => Plotly.relayout('plot', {'xaxis.range[0]': a, 'xaxis.range[1]': b})",
                [begin, end],
            )
        # The page shows the site's zone, an hour ahead in winter.
        assert "since=2026-11-20T19%3A00%3A00" in asked.value.url
        visit.check("zoomed")


def test_a_chart_is_never_offered_to_another_site(chromium: Any, base: str, lived: House) -> None:
    with visiting(chromium, base) as visit:
        visit.log_in()
        visit.open(addresses(lived)["chart-bar"])
        buttons = visit.page.locator(".modebar-btn").evaluate_all(
            "all => all.map((one) => one.getAttribute('data-title'))"
        )
        assert buttons == ["Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes"]


def test_names_in_a_chart_are_text(chromium: Any, base: str, lived: House) -> None:
    with visiting(chromium, base) as visit:
        visit.log_in()
        visit.open(addresses(lived)["chart-hostile"])
        shown = visit.page.locator(".legendtext").all_text_contents()
        assert "<script>alert(1)</script>" in shown
        assert "evil\ufffdgnp.exe" in shown
        assert visit.page.locator("#plot a[href*=evil], #plot script, #plot img").count() == 0
        visit.check("hostile chart")


def test_keys_and_the_toggle_do_what_they_say(chromium: Any, base: str) -> None:
    with visiting(chromium, base, color_scheme="light") as visit:
        visit.log_in()
        visit.page.keyboard.press("/")
        assert visit.page.evaluate("document.activeElement.id") == "select"
        visit.page.keyboard.type("host:web*")
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url("**select=host%3Aweb*")
        assert visit.page.locator("table.list tbody tr").count() == 1
        before = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        visit.page.click("[data-theme-toggle]")
        visit.page.reload()
        after = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert before != after
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.className") == "skip"
        visit.check("keys")


def test_without_script_a_ticket_can_be_noted_and_a_chart_is_a_drawing(
    chromium: Any, base: str, lived: House
) -> None:
    with visiting(chromium, base, "phone", java_script_enabled=False) as visit:
        visit.page.goto(f"{base}/tickets/2")
        visit.page.wait_for_url("**/login?next=**")
        visit.page.fill("#name", "ann")
        visit.page.fill("#password", PASSWORD)
        visit.page.click("button.main")
        visit.page.wait_for_url("**/tickets/2")
        visit.page.fill("#text", "New drive ordered.")
        visit.page.get_by_role("button", name="Add note").click()
        visit.page.get_by_text("New drive ordered.").first.wait_for()
        visit.page.goto(base + addresses(lived)["chart-bar"])
        assert visit.page.get_by_role("img", name="Used").is_visible()


def test_a_ticket_prints_without_what_is_for_the_screen(chromium: Any, base: str) -> None:
    with visiting(chromium, base) as visit:
        visit.log_in()
        visit.open("/tickets/1")
        visit.page.emulate_media(media="print")
        assert not visit.page.locator("header.top").is_visible()
        assert not visit.page.locator(".actions").is_visible()
        assert visit.page.locator(".timeline").is_visible()
        visit.page.pdf(path=OUTPUT / "ticket.pdf")
