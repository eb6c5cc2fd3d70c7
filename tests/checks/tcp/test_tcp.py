"""TCP ports, against real listeners on the loopback."""

import socket
import threading

import pytest

from forewarn_checks._at_once import AtOnce
from forewarn_checks._named import read_entries, split_name
from forewarn_checks.base import CannotRead, NothingToRead, Options, Sample
from forewarn_checks.tcp import CHECK, TARGETS, Target, connect, parse_target, readings


def read(options: Options, at_once: AtOnce[Target, float | None]) -> tuple[dict[str, float], str]:
    """Return samples by metric and target, and what the run complained of."""
    found: dict[str, float] = {}
    try:
        for each in readings(options, at_once):
            assert isinstance(each, Sample)
            found[f"{each.metric} {each.labels['target']}"] = each.value
    except CannotRead as error:
        return found, str(error)
    return found, ""


def test_a_port_that_listens_is_open_and_one_that_does_not_is_not() -> None:
    """The time is told of the open one alone."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # held, so that nobody else listens there
        there, not_there = listening.getsockname()[1], closed.getsockname()[1]
        options = {"targets": (f"mail = 127.0.0.1:{there}", f"localhost:{not_there}")}
        found, said = read(options, AtOnce(connect))
    assert found["tcp_open mail"] == 1
    assert 0 < found["tcp_connect_seconds mail"] < 5
    assert found[f"tcp_open localhost:{not_there}"] == 0
    assert f"tcp_connect_seconds localhost:{not_there}" not in found
    assert not said


def test_one_that_hangs_costs_one_thread_and_no_other_target() -> None:
    """It is not asked again before it has ended, and is closed meanwhile."""
    release = threading.Event()
    asked: list[str] = []

    def stuck_for_a(target: Target) -> float:
        asked.append(target.host)
        if target.host == "a":
            release.wait(30)
        return 0.5

    at_once = AtOnce(stuck_for_a)
    things = [Target("a", 1), Target("b", 1)]
    try:
        for _ in range(3):
            assert dict(at_once(things, 0.2)) == {things[0]: None, things[1]: 0.5}
    finally:
        release.set()
    assert asked.count("a") == 1


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("mail.acme.example:25", Target("mail.acme.example", 25)),
        ("[2001:db8::1]:443", Target("2001:db8::1", 443)),
        ("10.0.0.1:65535", Target("10.0.0.1", 65535)),
    ],
)
def test_a_target_is_host_and_port(text: str, target: Target) -> None:
    """It is written back as it was read."""
    assert parse_target(text) == target
    assert str(target) == text


@pytest.mark.parametrize(
    "text", ["", "mail", "mail:", "mail:0", "mail:70000", "a/b:1", "u:p@mail:25", "-x:1", "[::1:1"]
)
def test_what_is_no_target_is_named_and_the_others_are_read(text: str) -> None:
    """The complaint says where, not what: somebody may have written a password."""
    found, said = read({"targets": (f"one = {text}", "two = b:1")}, AtOnce(lambda target: 0.1))
    assert found == {"tcp_open two": 1, "tcp_connect_seconds two": 0.1}
    assert "entry 1 (one): write host:port" in said
    assert "u:p" not in said


def test_a_name_given_twice_is_a_complaint() -> None:
    """Two series of one name would be one."""
    found, said = read({"targets": ("x = a:1", "x = b:1")}, AtOnce(lambda target: None))
    assert found == {"tcp_open x": 0}
    assert "two are called 'x'" in said


def test_the_number_of_series_is_bounded() -> None:
    """Forty, and a word about the rest."""
    many = tuple(f"t{n} = a:{n + 1}" for n in range(500))
    found, said = read({"targets": many}, AtOnce(lambda target: None))
    assert len(found) == 40
    assert "has 500 entries" in said


def test_without_a_target_there_is_nothing_to_read_and_no_work() -> None:
    """The text says what to write."""
    with pytest.raises(NothingToRead, match=r"\[checks.tcp.options\] targets"):
        list(readings({}, AtOnce(lambda target: None)))
    assert not CHECK.has_work({})
    assert CHECK.has_work({"targets": ("a:1",)})


def test_a_name_stands_before_a_sign_with_spaces() -> None:
    """An address may have one of its own."""
    assert split_name("shop = https://x/?a=b") == ("shop", "https://x/?a=b")
    assert split_name("https://x/?a=b") == ("", "https://x/?a=b")
    entries = read_entries({"targets": ()}, TARGETS, str, check="tcp", most=1)
    assert not entries.good
    assert not entries.bad
