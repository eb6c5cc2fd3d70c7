"""Web addresses and certificates, against real servers on the loopback."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks._at_once import AtOnce
from forewarn_checks._certificate import not_after
from forewarn_checks._http_probe import Answer, Target, fetch, parse_target
from forewarn_checks.base import CannotRead, Fact, NothingToRead, Options, Sample
from forewarn_checks.http import readings

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FINE = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nall fine"


@contextmanager
def serving(reply: bytes, secured: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve `reply` to every connection until the block ends; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listening.accept()
                except OSError:
                    return
                with plain, suppress(OSError):
                    if secured is None:
                        plain.recv(4096)
                        plain.sendall(reply)
                    else:
                        with secured.wrap_socket(plain, server_side=True) as tls:
                            tls.recv(4096)
                            tls.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def contexts(
    authority: trustme.CA, name: str = "localhost", until: datetime | None = None
) -> tuple[ssl.SSLContext, ssl.SSLContext, datetime]:
    """Return what serves a certificate of `name`, who trusts it, and until when it holds."""
    leaf = authority.issue_cert(name, not_after=until)
    serves = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(serves)
    trusts = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusts)
    shown = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    return serves, trusts, shown.not_valid_after_utc


def test_a_page_is_fetched_and_every_step_timed() -> None:
    """Without TLS there is nothing to tell of a certificate."""
    with serving(FINE) as port:
        answer = fetch(parse_target(f"http://localhost:{port}/x?y=z contains all fine"))
    assert (answer.trouble, answer.status) == ("", 200)
    assert list(answer.phases) == ["lookup", "connect", "wait", "receive"]
    assert answer.expires is None
    assert answer.trusted is None


def test_a_certificate_is_trusted_and_dated(authority: trustme.CA) -> None:
    """The end of its validity is what another library reads there."""
    serves, trusts, until = contexts(authority)
    with serving(FINE, serves) as port:
        answer = fetch(parse_target(f"https://localhost:{port}/"), trusts)
    assert answer.trouble == ""
    assert list(answer.phases) == ["lookup", "connect", "tls", "wait", "receive"]
    assert (answer.trusted, answer.expires) == (True, until)


@pytest.mark.parametrize(
    ("fact", "name", "until", "says"),
    [
        ("of another host", "other.example", None, "Hostname mismatch"),
        ("past its end", "localhost", datetime(2020, 1, 1, tzinfo=UTC), "expired"),
    ],
)
def test_a_certificate_that_is_wrong_is_dated_all_the_same(
    authority: trustme.CA, fact: str, name: str, until: datetime | None, says: str
) -> None:
    """It has been shown, so its end is known."""
    serves, trusts, ends = contexts(authority, name, until)
    with serving(FINE, serves) as port:
        answer = fetch(parse_target(f"https://localhost:{port}/"), trusts)
    assert says in answer.trouble, fact
    assert (answer.trusted, answer.expires) == (False, ends)


def test_an_unknown_authority_is_not_trusted(authority: trustme.CA) -> None:
    """Nothing is asked through such a connection."""
    serves, _, ends = contexts(authority)
    trusts = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with serving(FINE, serves) as port:
        answer = fetch(parse_target(f"https://localhost:{port}/"), trusts)
    assert "cannot be trusted" in answer.trouble
    assert (answer.trusted, answer.expires, answer.status) == (False, ends, None)


def test_tls_alone_shakes_hands(authority: trustme.CA) -> None:
    """For mail, directories and whatever speaks no HTTP."""
    serves, trusts, until = contexts(authority)
    with serving(FINE, serves) as port:
        answer = fetch(parse_target(f"tls://localhost:{port}"), trusts)
    assert (answer.trouble, answer.status, answer.expires) == ("", None, until)


@pytest.mark.parametrize(
    ("fact", "reply", "asked", "says"),
    [
        ("an error", b"HTTP/1.1 503 No\r\n\r\n", "", "status 503"),
        ("a redirect is an answer", b"HTTP/1.1 302 Go\r\nlocation: http://x/\r\n\r\n", "", ""),
        ("another status", FINE, " status 401", "status 200, not 401"),
        ("a refusal that is meant", b"HTTP/1.1 401 No\r\n\r\n", " status 401", ""),
        ("another text", FINE, " contains not so", "the text that must be"),
        ("no HTTP", b"220 mail ESMTP\r\n", "", "no answer"),
        ("nothing", b"", "", "no answer"),
        ("too many headers", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200, "", "no answer"),
    ],
)
def test_what_comes_back_is_judged(fact: str, reply: bytes, asked: str, says: str) -> None:
    """In words, for the host's facts."""
    with serving(reply) as port:
        answer = fetch(parse_target(f"http://127.0.0.1:{port}/{asked}"))
    assert says in answer.trouble, fact
    assert bool(says) == bool(answer.trouble), fact


def test_a_port_without_tls_and_one_without_a_listener_are_trouble() -> None:
    """Neither is an exception."""
    with serving(FINE) as port:
        answer = fetch(parse_target(f"https://127.0.0.1:{port}/"))
        assert answer.trouble.startswith("no TLS")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        answer = fetch(parse_target(f"http://127.0.0.1:{closed.getsockname()[1]}/"))
        assert answer.trouble.startswith("no connection")


def test_dates_of_every_century_are_read(authority: trustme.CA) -> None:
    """Two digits to 2049, four after that."""
    for until in (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2150, 1, 1, tzinfo=UTC)):
        pem = authority.issue_cert("a.example", not_after=until).cert_chain_pems[0].bytes()
        assert not_after(ssl.PEM_cert_to_DER_cert(pem.decode())) == until


@given(st.binary(max_size=300))
def test_any_bytes_are_a_certificate_or_refused(data: bytes) -> None:
    """A server shows what it likes."""
    with suppress(ValueError):
        not_after(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ftp://a/",
        "https:///x",
        "tls://a",
        "https://a/ status 20",
        "https://a:x/",
        "http://a/ö",
        "https://u:secret@a/",
    ],
)
def test_what_is_no_target_is_refused_without_repeating_it(text: str) -> None:
    """An address may hold a password."""
    with pytest.raises(ValueError, match=r"\w") as refused:
        parse_target(text)
    assert "secret" not in str(refused.value)


def read(options: Options, fetch_one: Callable[[Target], Answer]) -> dict[str, object]:
    found: dict[str, object] = {}
    for each in readings(options, AtOnce(fetch_one), NOW):
        if isinstance(each, Fact):
            found[each.name] = each.value
        elif isinstance(each, Sample):
            found[" ".join([each.metric, *each.labels.values()])] = each.value
    return found


def test_an_answer_becomes_samples() -> None:
    """The rest of the certificate's life is below 0 once it has ended."""
    answer = Answer(
        trouble="its certificate cannot be trusted: expired",
        expires=NOW - timedelta(days=2),
        trusted=False,
    )
    assert read({"targets": ("shop = https://a/?token=1",)}, lambda target: answer) == {
        "http_up shop": 0,
        "http_certificate_left_seconds shop": -172800,
        "http_certificate_trusted shop": 0,
        "http_troubles": ["shop: its certificate cannot be trusted: expired"],
    }


def test_what_follows_the_question_mark_is_in_no_label() -> None:
    """Keys stand there."""
    answer = Answer(status=200, phases={"lookup": 1.0, "wait": 2.0})
    assert read({"targets": ("https://a/b?key=secret",)}, lambda target: answer) == {
        "http_up https://a:443/b": 1,
        "http_seconds https://a:443/b": 3,
        "http_phase_seconds https://a:443/b lookup": 1,
        "http_phase_seconds https://a:443/b wait": 2,
        "http_status https://a:443/b": 200,
        "http_troubles": [],
    }


def test_entries_that_make_no_sense_are_named_after_the_others_are_read() -> None:
    """And nothing named is nothing to read."""
    with pytest.raises(CannotRead, match="entry 1"):
        read({"targets": ("nonsense",)}, lambda target: Answer())
    with pytest.raises(NothingToRead, match="targets"):
        read({}, lambda target: Answer())
