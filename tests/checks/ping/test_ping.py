"""Echo requests: what is sent, what is taken for an answer, and which router is asked."""

import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from forewarn_checks._at_once import AtOnce
from forewarn_checks._icmp import Echoes, by_program, is_reply, parse_times, request
from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead, Fact, NothingToRead, Options, Reading, Sample
from forewarn_checks.linux.gateway import parse_routes, parse_routes_six
from forewarn_checks.ping import readings
from forewarn_checks.windows.icmp import parse_reply

CASES = Path(__file__).parent
TOKEN = bytes(range(16))


def read(
    options: Options,
    ping: Callable[[str], Echoes | str],
    gateway: str | None = "10.0.0.1",
) -> tuple[dict[str, object], str]:
    found: dict[str, object] = {}
    try:
        each: Reading
        for each in readings(options, lambda: gateway, AtOnce(ping)):
            if isinstance(each, Fact):
                found[each.name] = each.value
            else:
                found[f"{each.metric} {each.labels['target']}"] = each.value
    except (CannotRead, NothingToRead) as error:
        return found, f"{type(error).__name__}: {error}"
    return found, ""


@pytest.mark.parametrize(
    ("case", "seconds"),
    [
        ("iputils_three_answers", (0.000013, 0.000032, 0.000030)),
        ("iputils_one_lost", (0.0123, 0.0118)),
        ("busybox", (0.000060, 0.000081, 0.000077)),
        ("nobody_answers", ()),
    ],
)
def test_what_ping_prints_is_read(case: str, seconds: tuple[float, ...]) -> None:
    """The summary, which has times too, is not counted."""
    assert parse_times((CASES / case / "ping").read_text()) == pytest.approx(seconds)


def test_a_request_has_the_checksum_that_the_internet_asks_for() -> None:
    """All words with it add up to ones (RFC 1071)."""
    for number in (0, 1, 65535):
        words = struct.unpack("!12H", request(socket.AF_INET, number, TOKEN))
        total = sum(words)
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        assert total == 0xFFFF


@pytest.mark.parametrize(("family", "kind"), [(socket.AF_INET, 0), (socket.AF_INET6, 129)])
def test_only_the_answer_to_this_request_is_one(family: int, kind: int) -> None:
    """Not an older one, another's, a request, or one cut short."""
    good = struct.pack("!BBHHH", kind, 0, 0, 77, 2) + TOKEN
    assert is_reply(good, family, 2, TOKEN)
    assert not is_reply(good, family, 1, TOKEN)
    assert not is_reply(good, family, 2, TOKEN[::-1])
    assert not is_reply(request(family, 2, TOKEN), family, 2, TOKEN)
    assert not is_reply(good[:-1], family, 2, TOKEN)
    assert not is_reply(b"", family, 2, TOKEN)


def test_without_the_program_the_text_names_both_mends() -> None:
    """The package, or the sysctl."""

    def missing(argv: object, timeout_seconds: float) -> Done:
        raise FileNotFoundError("ping")

    with pytest.raises(CannotRead, match=r"iputils-ping.*ping_group_range"):
        by_program("10.0.0.1", missing)


def test_a_ping_that_may_not_is_a_failure_and_one_that_hears_nothing_is_not() -> None:
    """Its exit status tells them apart."""
    with pytest.raises(CannotRead, match="not permitted"):
        by_program("10.0.0.1", lambda argv, seconds: Done("", 2, "ping: operation not permitted"))
    assert by_program("10.0.0.1", lambda argv, seconds: Done("", 1)).lost_ratio == 1
    assert by_program("10.0.0.1", lambda argv, seconds: Done("", None)).lost_ratio == 1


def test_targets_and_gateway_become_samples() -> None:
    """Of what does not answer there is no time."""
    heard = {"10.0.0.1": Echoes(3, (0.1, 0.3, 0.2)), "b": Echoes(3, ()), "c": Echoes(3, (0.5,))}
    found, said = read({"targets": ("branch = b", "c"), "gateway": True}, lambda host: heard[host])
    assert found == {
        "gateway": "10.0.0.1",
        "ping_lost_ratio gateway": 0,
        "ping_round_trip_seconds gateway": 0.2,
        "ping_lost_ratio branch": 1,
        "ping_lost_ratio c": pytest.approx(2 / 3),
        "ping_round_trip_seconds c": 0.5,
    }
    assert not said


def test_where_nothing_may_be_sent_nobody_is_said_to_be_away() -> None:
    """The run fails with the mend instead."""
    found, said = read({"targets": ("a", "b")}, lambda host: "install package iputils-ping")
    assert not found
    assert said == "CannotRead: install package iputils-ping"


@pytest.mark.parametrize(
    ("fact", "options", "says"),
    [
        ("nothing set", {}, "NothingToRead: none is named"),
        ("no default route", {"gateway": True}, "NothingToRead: this host has no default route"),
        ("no host", {"targets": ("-f",)}, "CannotRead: [checks.ping.options] targets: entry 1"),
        ("two words", {"targets": ("a b",)}, "CannotRead: [checks.ping.options] targets: entry 1"),
    ],
)
def test_how_runs_end_without_a_target(fact: str, options: Options, says: str) -> None:
    """With a word on what to do."""
    _, said = read(options, lambda host: Echoes(1, ()), gateway=None)
    assert said.startswith(says), fact


def test_the_preferred_default_route_comes_first() -> None:
    """By its metric; routes to networks and those that are down do not count."""
    assert parse_routes((CASES / "two_ways_out" / "route").read_text()) == (
        "192.168.1.1",
        "10.0.0.1",
    )
    assert parse_routes_six((CASES / "two_ways_out" / "ipv6_route").read_text()) == (
        "fe80::1%eth0",
    )
    assert parse_routes("") == ()
    assert parse_routes("Iface\neth0 00000000 zz 0003 0 0 0 00000000\n") == ()
    assert parse_routes_six("nonsense\n") == ()


def test_the_reply_of_windows_tells_success_from_errors() -> None:
    """Address, status, milliseconds: IP_REQ_TIMED_OUT is 11010."""
    assert parse_reply(struct.pack("=III", 1, 0, 12) + bytes(20)) == 12
    assert parse_reply(struct.pack("=III", 1, 11010, 0) + bytes(20)) is None


def test_samples_are_of_declared_metrics() -> None:
    """Both carry the target alone."""
    found = [
        each
        for each in readings({"targets": ("a",)}, lambda: None, AtOnce(lambda h: Echoes(1, (1.0,))))
        if isinstance(each, Sample)
    ]
    assert [set(each.labels) for each in found] == [{"target"}, {"target"}]
