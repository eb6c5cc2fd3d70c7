"""People's channels through apprise: the contract of all destinations, and what it may reach."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr, ValidationError
from tests.collector.destinations.contract import AT, DestinationContract, message

from forewarn_collector import egress
from forewarn_collector.destinations import all_destinations, secrets_of
from forewarn_collector.destinations import apprise as module
from forewarn_collector.destinations._herald import Errand, Outcome, proclaim, send_herald
from forewarn_collector.tickets import Delivered, Delivery, Kind, Message, Refused, TryAgain

# A library of a service of apprise uses it; it is not ours to change.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

LOOPBACK = ip_network("127.0.0.0/8")
TOKEN = "tk_s3cret0123456789"


class Channel:
    """A receiver as ntfy is one; answers as told."""

    def __init__(self, answer: httpx.Response | Exception) -> None:
        self.answer = answer
        self.seen: list[httpx.Request] = []
        channel = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                headers = list(self.headers.items())
                body = self.rfile.read(length)
                channel.seen.append(
                    httpx.Request("POST", f"http://x{self.path}", headers=headers, content=body)
                )
                if isinstance(channel.answer, Exception):
                    return  # the connection ends without an answer
                self.send_response(channel.answer.status_code)
                for name, value in channel.answer.headers.items():
                    if name in ("retry-after", "location"):
                        self.send_header(name, value)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        serve = self.server.serve_forever
        threading.Thread(target=serve, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def channel(answer: httpx.Response | Exception | None = None) -> Iterator[Channel]:
    made = Channel(answer or httpx.Response(200))
    try:
        yield made
    finally:
        made.close()


def config(address: str) -> module.Config:
    return module.Config(secret=SecretStr(address))


def at_ntfy(port: int) -> module.Config:
    return config(f"ntfy://{TOKEN}@127.0.0.1:{port}/tickets?auth=token")


class TestApprise(DestinationContract):
    """The contract, told through apprise's own ntfy service to a receiver on loopback."""

    destination = module.DESTINATION
    config = at_ntfy(9)
    secrets = (TOKEN, "/tickets")

    def deliver(
        self, answer: httpx.Response | Exception, sent: Message | None = None
    ) -> tuple[Delivery, list[httpx.Request]]:
        with channel(answer) as other, egress.client((LOOPBACK,)) as http:
            # In this process: a hundred interpreters would take a minute; they have tests below.
            done = module.deliver(at_ntfy(other.port), sent or message(), http, AT, send=proclaim)
            return done, other.seen

    @pytest.mark.parametrize("kind", list(Kind))
    def test_what_is_taken_is_delivered(self, kind: Kind) -> None:
        done, seen = self.deliver(httpx.Response(200), message(kind))
        assert isinstance(done, Delivered)
        assert len(seen) == 1
        assert seen[0].headers["authorization"] == f"Bearer {TOKEN}"

    def keys_told(self, *sent: Message) -> list[str]:
        keys = []
        for one in sent:
            _, (request,) = self.deliver(httpx.Response(200), one)
            told = json.loads(request.content)
            keys.append(f"{told['topic']} {told['title'].rpartition(': ')[2]}"[-4:])
        return keys


def run(address: str, *networks: str, text: str = "x") -> Outcome:
    """Send a real herald."""
    return send_herald(Errand(address, "A title ☃", text, "info", networks))


class TestHerald:
    """The process of its own."""

    def test_it_reaches_what_it_may_and_tells(self) -> None:
        with channel() as other:
            address = at_ntfy(other.port).secret.get_secret_value()
            assert run(address, "127.0.0.0/8").sent
        (request,) = other.seen
        assert json.loads(request.content)["title"] == "A title ☃"

    def test_what_is_not_public_is_not_reached_unless_named(self) -> None:
        with channel() as other:
            outcome = run(at_ntfy(other.port).secret.get_secret_value())
        assert not outcome.sent
        assert "name its network in allow_networks" in outcome.forbidden
        assert other.seen == []

    def test_the_address_behind_a_name_is_what_is_judged(self) -> None:
        """Whatever a name was before: the hook sees where the connection really goes."""
        with channel() as other:
            outcome = run(f"ntfy://localhost:{other.port}/tickets")
        assert "allow_networks" in outcome.forbidden
        assert other.seen == []

    @pytest.mark.parametrize("asked", ["", "?redirect=yes"])
    def test_a_redirect_is_not_followed(self, asked: str) -> None:
        with channel() as inner:
            answer = httpx.Response(302, headers={"location": f"http://127.0.0.1:{inner.port}/"})
            with channel(answer) as other:
                outcome = run(f"json://127.0.0.1:{other.port}/x{asked}", "127.0.0.0/8")
        assert (outcome.sent, outcome.status, inner.seen) == (False, 302, [])

    @pytest.mark.parametrize("address", ["json://169.254.169.254/x", "mailto://u:p@169.254.1.1"])
    def test_metadata_is_never_reached(self, address: str) -> None:
        assert "never a place for tickets" in run(address, "0.0.0.0/0").forbidden

    def test_services_of_this_machine_are_no_places(self) -> None:
        assert run("syslog://").forbidden

    def test_unverified_certificates_and_unknown_services_are_refused(self) -> None:
        assert "always verified" in run("jsons://127.0.0.1/?verify=no", "127.0.0.0/8").forbidden
        assert "knows no service" in run("nosuch://127.0.0.1/").forbidden

    def test_mail_arrives_and_a_refused_recipient_is_for_a_person(self) -> None:
        with mail_server() as (port, letters):
            address = f"mailto://127.0.0.1:{port}?from=fw@example.com&mode=insecure&to="
            assert run(address + "oncall@example.com", "127.0.0.0/8", text="93 % full").sent
            refused = run(address + "nobody@example.com", "127.0.0.0/8")
            with egress.client((LOOPBACK,)) as http:
                done = module.deliver(
                    config(address + "nobody@example.com"), message(), http, AT, send=proclaim
                )
        (letter,) = letters
        assert b"Subject: A title" in letter or b"Subject: =?utf-8?" in letter
        assert (refused.sent, refused.mail_status) == (False, 550)
        assert done == Refused("the mail server refused it: 550")

    def test_what_takes_too_long_is_tried_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("forewarn_collector.destinations._herald.PATIENCE_SECONDS", 0.01)
        outcome = run("json://127.0.0.1:9/")
        assert "took more than" in outcome.trouble
        with egress.client(()) as http:
            done = module.deliver(config("json://x"), message(), http, AT, send=lambda _: outcome)
        assert isinstance(done, TryAgain)


class _Mail:
    def __init__(self) -> None:
        self.letters: list[bytes] = []

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.letters.append(envelope.content)
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[tuple[int, list[bytes]]]:
    handler = _Mail()
    controller = Controller(handler, hostname="127.0.0.1", port=_free_port())
    controller.start()
    try:
        yield controller.port, handler.letters
    finally:
        controller.stop()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_whole_address_is_a_secret_in_a_file() -> None:
    assert secrets_of(module.Config) == ("secret",)
    assert all_destinations()["apprise"] is module.DESTINATION
    shown = module.DESTINATION.describe(config(f"ntfys://{TOKEN}@ntfy.example.com/tickets"))
    assert shown == {"service": "ntfys"}


@pytest.mark.parametrize("text", ["", "not an address", "ntfy://a\nntfy://b", "://x"])
def test_what_is_no_address_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValidationError, match="one address of apprise") as refused:
        config(text)
    assert not text or text not in str(refused.value)


def test_each_message_says_what_happened() -> None:
    heard: list[Errand] = []

    def send(errand: Errand) -> Outcome:
        heard.append(errand)
        return Outcome(sent=True)

    told: Callable[..., Delivery] = partial(module.deliver, send=send)
    body = {
        "title": "/srv is 93 % full",
        "priority": "P2",
        "severity": "high",
        "evidence": [{"rule": "DiskAlmostFull", "shown": "93 %", "advice": "Free space."}],
        "url": "https://monitor.example.com/tickets/7",
    }
    with egress.client(()) as http:
        for kind in Kind:
            content = json.dumps({"data": {"ticket": body}}).encode()
            told(config("ntfy://x/y"), message(kind, body=content), http, AT)
    assert [one.tone for one in heard] == ["failure", "info", "success"]
    assert [one.title for one in heard] == [
        "[P2] /srv is 93 % full",
        "[P2] changed: /srv is 93 % full",
        "[P2] over: /srv is 93 % full",
    ]
    assert "Free space." in heard[0].text
    assert all("https://monitor.example.com/tickets/7" in one.text for one in heard)
    assert TOKEN not in repr(heard)
