"""Where destinations may be, by address, and that a name cannot talk its way around it."""

import ssl
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address, ip_network

import httpx
import pytest
import trustme

from forewarn_collector.egress import (
    LONGEST_ANSWER,
    Forbidden,
    GuardedTransport,
    Network,
    client,
    look_up,
    refusal,
)

LOOPBACK = ip_network("127.0.0.0/8")
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@pytest.mark.parametrize(
    ("address", "reachable"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("0.0.0.0", False),
        ("100.64.0.1", False),  # carrier grade NAT, every Tailscale host
        ("169.254.169.254", False),  # metadata of most clouds
        ("198.18.0.1", False),
        ("192.0.2.1", False),
        ("203.0.113.5", False),
        ("224.0.0.1", False),  # is_global says yes
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("fc00::1", False),
        ("fe80::1", False),
        ("fe80::1%lo", False),
        ("fec0::1", False),  # site-local; is_global says yes
        ("ff02::1", False),
        ("2001:db8::1", False),
        ("2002:7f00:1::", False),  # 127.0.0.1 by 6to4; is_global says yes
        ("64:ff9b::7f00:1", False),  # 127.0.0.1 by NAT64; is_global says yes
        ("64:ff9b::808:808", True),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", False),  # 127.0.0.1 by Teredo
        ("fd00:ec2::254", False),
        ("168.63.129.16", False),  # metadata in public space
        ("100.100.100.200", False),
    ],
)
def test_only_what_is_public_is_reachable_by_itself(address: str, reachable: bool) -> None:
    assert (refusal(ip_address(address), ()) == "") is reachable


@pytest.mark.parametrize(
    ("address", "network", "reachable"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.2.0.0/16", False),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("::1", "::1/128", True),
        ("fd12::1", "fd00::/8", True),
        ("127.0.0.1", "127.0.0.0/8", True),
        ("127.0.0.1", "::/0", False),
    ],
)
def test_a_network_of_ours_opens_itself_alone(address: str, network: str, reachable: bool) -> None:
    assert (refusal(ip_address(address), (ip_network(network),)) == "") is reachable


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "fd00:ec2::254"],
)
def test_no_network_opens_metadata_link_local_multicast_or_unspecified(address: str) -> None:
    assert "never" in refusal(ip_address(address), EVERYTHING)


@pytest.mark.parametrize("name", ["2130706433", "0177.0.0.1", "0x7f.1", "127.1"])
def test_odd_spellings_of_loopback_are_judged_by_what_they_resolve_to(name: str) -> None:
    with client(()) as http, pytest.raises((Forbidden, httpx.InvalidURL)):
        http.post(f"https://{name}/")


class Recorder(httpx.BaseTransport):
    """Takes down what is dialled."""

    def __init__(self) -> None:
        self.dialled: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.dialled.append(request)
        return httpx.Response(200)


def guarded(
    answers: Sequence[Sequence[str]], networks: Sequence[Network] = ()
) -> tuple[httpx.Client, Recorder]:
    """Return a client whose names resolve to one answer after the other."""
    inner, left = Recorder(), [list(answer) for answer in answers]
    transport = GuardedTransport(inner, networks, lambda _name, _port: left.pop(0))
    return httpx.Client(transport=transport), inner


def test_the_checked_address_is_dialled_under_the_name() -> None:
    http, inner = guarded([["93.184.216.34"]])
    http.post("https://desk.example.com:8443/hook")
    (request,) = inner.dialled
    assert request.url == "https://93.184.216.34:8443/hook"
    assert request.headers["host"] == "desk.example.com:8443"
    assert request.extensions["sni_hostname"] == "desk.example.com"


def test_a_name_that_answers_otherwise_the_second_time_gains_nothing() -> None:
    http, inner = guarded([["93.184.216.34"], ["127.0.0.1"]])
    http.post("https://desk.example.com/")
    with pytest.raises(Forbidden):
        http.post("https://desk.example.com/")
    assert [request.url.host for request in inner.dialled] == ["93.184.216.34"]


def test_one_bad_answer_among_good_ones_is_enough_to_refuse() -> None:
    http, inner = guarded([["93.184.216.34", "169.254.169.254"]])
    with pytest.raises(Forbidden):
        http.post("https://desk.example.com/")
    assert inner.dialled == []


def test_plain_http_stays_within_our_networks() -> None:
    http, _ = guarded([["93.184.216.34"]])
    with pytest.raises(Forbidden, match="write https"):
        http.post("http://desk.example.com/")
    http, inner = guarded([["10.0.0.5"]], (ip_network("10.0.0.0/8"),))
    http.post("http://desk.example.com/")
    assert len(inner.dialled) == 1


def test_a_name_without_address_is_worth_another_try() -> None:
    def nowhere(_name: str, _port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    with client((), nowhere) as http, pytest.raises(httpx.ConnectError):
        http.post("https://nowhere.invalid/")


class Desk(BaseHTTPRequestHandler):
    """A web server with an endless answer and a redirect."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("location", "/")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("content-encoding", "gzip")
        self.end_headers()
        try:
            for _ in range(100):
                self.wfile.write(b"\x1f\x8b" * 8192)
        except OSError:
            pass  # the caller had enough

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def desk(authority: trustme.CA) -> Iterator[int]:
    """A TLS server on loopback that calls itself desk.example.com."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("desk.example.com").configure_cert(context)
    server = HTTPServer(("127.0.0.1", 0), Desk)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()
    thread.join()


def trusting(authority: trustme.CA) -> httpx.Client:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    transport = GuardedTransport(
        httpx.HTTPTransport(verify=context), (LOOPBACK,), lambda _name, _port: ["127.0.0.1"]
    )
    return httpx.Client(transport=transport)


def test_tls_is_verified_for_the_name_though_an_address_is_dialled(
    authority: trustme.CA, desk: int
) -> None:
    with trusting(authority) as http:
        assert http.post(f"https://desk.example.com:{desk}/redirect").status_code == 302
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            http.post(f"https://other.example.com:{desk}/redirect")


def test_an_answer_is_cut_and_never_unpacked(authority: trustme.CA, desk: int) -> None:
    with trusting(authority) as http:
        answer = http.post(f"https://desk.example.com:{desk}/")
    assert len(answer.content) == LONGEST_ANSWER


def test_loopback_resolves_here() -> None:
    assert "127.0.0.1" in look_up("127.0.0.1", 80)
