"""Look-ups, against a name server of our own on the loopback."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks._at_once import AtOnce
from forewarn_checks._dns_wire import NoAnswer, addresses, ask, query
from forewarn_checks.base import CannotRead, NothingToRead, Options, Sample
from forewarn_checks.dns import Found, Lookup, look_up, parse_lookup, readings

KNOWN = {("dc1.acme.example", 1): "10.0.0.5", ("six.acme.example", 28): "2001:db8::5"}


def answer(question: bytes) -> bytes:
    """Return what a small name server says, with the compressed names that real ones write."""
    number = question[:2]
    place, labels = 12, []
    while (length := question[place]) != 0:
        labels.append(question[place + 1 : place + 1 + length].decode())
        place += 1 + length
    kind = struct.unpack_from("!H", question, place + 1)[0]
    name, asked = ".".join(labels), question[12 : place + 5]
    if not name.endswith("acme.example"):
        return number + struct.pack("!HHHHH", 0x8183, 1, 0, 0, 0) + asked
    found = KNOWN.get((name, kind))
    alias = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 2) + b"\xc0\x0c"
    records = alias
    if found is not None:
        family = socket.AF_INET if kind == 1 else socket.AF_INET6
        packed = socket.inet_pton(family, found)
        records += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(packed)) + packed
    count = 2 if found is not None else 1
    return number + struct.pack("!HHHHH", 0x8180, 1, count, 0, 0) + asked + records


@contextmanager
def serving(reply: Callable[[bytes], bytes]) -> Iterator[int]:
    """Serve until the block ends; yield the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                question, whom = own.recvfrom(512)
                if question == b"end":
                    return
                own.sendto(reply(question), whom)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield own.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.sendto(b"end", own.getsockname())
            thread.join()


def test_a_server_is_asked_for_both_families() -> None:
    """IPv6 where there is no IPv4; an alias on the way is passed over."""
    with serving(answer) as port:
        assert ask("127.0.0.1", "dc1.acme.example", 4, port) == {"10.0.0.5"}
        assert ask("127.0.0.1", "six.acme.example.", 4, port) == {"2001:db8::5"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.acme.example", "knows no address"),
        ("acme.invalid", "NXDOMAIN"),
        ("a..b", "no name of a host"),
        ("x" * 64, "no name of a host"),
    ],
)
def test_what_is_not_found_is_said(name: str, says: str) -> None:
    """An empty answer is no answer."""
    with serving(answer) as port, pytest.raises(NoAnswer, match=says):
        ask("127.0.0.1", name, 4, port)


def test_an_answer_to_another_question_is_not_taken() -> None:
    """It is waited on, and then given up."""

    def forged(question: bytes) -> bytes:
        return bytes((question[0] ^ 1,)) + answer(question)[1:]

    with serving(forged) as port, pytest.raises((NoAnswer, TimeoutError)):
        ask("127.0.0.1", "dc1.acme.example", 0.2, port)


@given(st.binary(max_size=200))
def test_any_answer_ends_in_addresses_or_in_words(message: bytes) -> None:
    """Servers are strangers."""
    try:
        assert all(isinstance(each, str) for each in addresses(message))
    except NoAnswer as error:
        assert str(error)


@given(st.integers(0, 80))
def test_an_answer_cut_short_is_never_taken_for_a_whole_one(length: int) -> None:
    """A bound holds everywhere, also inside a record."""
    whole = answer(query("dc1.acme.example", 1, 7))
    if length < len(whole):
        try:
            assert addresses(whole[:length]) == set()
        except NoAnswer:
            return


def read(
    options: Options, ask_one: Callable[[Lookup], Found | None]
) -> tuple[dict[str, float], str]:
    found: dict[str, float] = {}
    try:
        for each in readings(options, AtOnce(ask_one)):
            assert isinstance(each, Sample)
            found[f"{each.metric} {each.labels['name']}"] = each.value
    except CannotRead as error:
        return found, str(error)
    return found, ""


def test_what_comes_out_is_held_against_what_should() -> None:
    """A subset is right: a server may give them in turn."""
    options = {
        "names": (
            "good = a at 10.0.0.1 is 10.0.0.5, 10.0.0.6",
            "bad = b is 10.0.0.7",
            "gone",
        )
    }
    found, said = read(
        options,
        lambda lookup: None if lookup.name == "gone" else Found(frozenset({"10.0.0.5"}), 0.25),
    )
    assert found == {
        "dns_resolved good": 1,
        "dns_lookup_seconds good": 0.25,
        "dns_expected good": 1,
        "dns_resolved bad": 1,
        "dns_lookup_seconds bad": 0.25,
        "dns_expected bad": 0,
        "dns_resolved gone": 0,
    }
    assert not said


@pytest.mark.parametrize(
    "text", ["", "-x", "a b", "a at", "a at -s", "a is", "a is 1.2.3", "a at b c"]
)
def test_what_is_no_lookup_is_refused(text: str) -> None:
    """With a word on how to write one."""
    with pytest.raises(ValueError, match=r"write|address"):
        parse_lookup(text)


def test_lookups_are_read() -> None:
    """Server and addresses may be left out."""
    assert parse_lookup("a.b") == Lookup("a.b")
    assert parse_lookup("a.b at ::1") == Lookup("a.b", "::1")
    full = parse_lookup("a.b at ns is 10.0.0.1,2001:DB8::1")
    assert full == Lookup("a.b", "ns", frozenset({"10.0.0.1", "2001:db8::1"}))
    assert str(full) == "a.b at ns"


def test_the_loopback_has_a_name_here() -> None:
    """The host's own resolver, for real."""
    found = look_up(Lookup("localhost"))
    assert found is not None
    assert found.addresses & {"127.0.0.1", "::1"}


def test_without_a_name_there_is_nothing_to_read() -> None:
    """The text says what to write."""
    with pytest.raises(NothingToRead, match="names"):
        read({}, lambda lookup: None)
