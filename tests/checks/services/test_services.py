"""Services, from what systemctl printed on a host with every kind of trouble."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead, Options, Reading, Sample
from forewarn_checks.linux.units import full_name, parse_list, parse_restarts
from forewarn_checks.services import CHECK, Memory, in_turn, readings

BOOTED = Path(__file__).parent / "troubled"
LISTED = (BOOTED / "list_units").read_text()
SHOWN = (BOOTED / "show").read_text()


class Systemd:
    """Answers as a recorded one did, and keeps what it was asked."""

    def __init__(self, listed: str = LISTED, shown: str = SHOWN) -> None:
        self.listed, self.shown = listed, shown
        self.asked: list[Sequence[str]] = []

    def __call__(self, argv: Sequence[str], timeout_seconds: float) -> Done:
        self.asked.append(argv)
        if argv[1] == "list-units":
            return Done(self.listed, 0)
        blocks = self.shown.strip().split("\n\n")
        wanted = set(argv[argv.index("--") + 1 :])
        return Done("\n\n".join(each for each in blocks if _is_asked(each, wanted)), 0)


def _is_asked(block: str, wanted: set[str]) -> bool:
    name = next(line[3:] for line in block.splitlines() if line.startswith("Id="))
    return name in wanted


def read(systemd: Systemd, memory: Memory, options: Options | None = None) -> dict[str, float]:
    """Return the samples of one run by metric and service."""
    return by_name(readings(systemd, options or {}, memory))


def by_name(found: Iterable[Reading]) -> dict[str, float]:
    samples = [each for each in found if isinstance(each, Sample)]
    return {
        f"{each.metric} {each.labels.get('service', '')}".strip(): each.value for each in samples
    }


def listed(*units: tuple[str, str, str]) -> str:
    return "".join(f"{name} loaded {active} {sub} Some words\n" for name, active, sub in units)


def test_what_failed_and_what_loops_is_told_on_a_captured_host() -> None:
    """A transient unit that nobody started by name is not."""
    found = read(Systemd(), Memory(), {"watch": ("steady", "nothere.service")})
    assert found["services_failed"] == 2
    assert {
        name for name, value in found.items() if name.startswith("service_failed") and value
    } == {
        "service_failed broken.service",
        "service_failed looping.service",
    }
    assert found["service_running steady.service"] == 1
    assert found["service_running nothere.service"] == 0
    assert found["service_restarts looping.service"] >= 2


def test_a_failure_that_is_over_is_said_to_be_over() -> None:
    """Else its alert would wait for ever; also when systemd has forgotten the unit."""
    memory = Memory()
    memory.runs = 99
    read(
        Systemd(listed(("a.service", "failed", "failed"), ("b.mount", "failed", "failed"))), memory
    )
    found = read(Systemd(listed(("a.service", "active", "running"))), memory)
    assert (found["service_failed a.service"], found["service_failed b.mount"]) == (0, 0)


def test_after_a_start_the_agent_says_who_is_well() -> None:
    """One of them may have failed before it."""
    well = listed(("a.service", "active", "running"), ("b.service", "inactive", "dead"))
    memory = Memory()
    assert read(Systemd(well), memory)["service_failed b.service"] == 0
    memory.runs = 99
    assert set(read(Systemd(well), memory)) == {"services_failed"}


def test_two_thousand_services_make_no_flood() -> None:
    """A bounded number of series, the count of all, and never more than two calls."""
    many = listed(
        *((f"s{n}.service", "failed" if n % 2 else "active", "running") for n in range(2000))
    )
    shown = "\n".join(f"Id=s{n}.service\nNRestarts={n}\n" for n in range(2000))
    memory = Memory()
    names: set[str] = set()
    for _ in range(40):
        systemd = Systemd(many, shown)
        found = read(systemd, memory)
        names |= found.keys()
        assert len(systemd.asked) <= 2
        assert len(found) < 250
        assert max(map(len, systemd.asked)) < 250
    assert found["services_failed"] == 1000
    assert len(names) < 400


def test_every_service_is_looked_at_in_turn() -> None:
    """One that loops between two readings is found, however many there are."""
    names = [f"s{n}" for n in range(250)]
    looks = [in_turn(names, turn) for turn in range(3)]
    assert sorted(name for look in looks for name in look) == sorted(names)
    assert all(len(look) <= 100 for look in looks)
    assert in_turn([], 7) == []


def test_a_loop_seen_running_is_told() -> None:
    """It happened to run whenever it was listed; its restarts give it away."""
    systemd = Systemd(
        listed(("a.service", "active", "running"), ("b.service", "active", "running")),
        "Id=a.service\nNRestarts=31\n\nId=b.service\nNRestarts=0\n",
    )
    memory = Memory()
    read(systemd, memory)
    assert read(systemd, memory)["service_restarts a.service"] == 31
    assert "service_restarts b.service" not in read(systemd, memory)


def test_a_watched_service_that_failed_is_told_before_others() -> None:
    """However many failed with it."""
    many = listed(*((f"s{n}.service", "failed", "failed") for n in range(100)))
    found = read(Systemd(many), Memory(), {"watch": ("s99",)})
    assert found["service_failed s99.service"] == 1


@pytest.mark.parametrize(
    ("done", "says"),
    [
        (
            Done("", 1, "Failed to connect to bus: No such file or directory"),
            "install package dbus",
        ),
        (Done("", None), "did not end within"),
    ],
)
def test_a_systemd_that_does_not_answer_is_a_failure_with_a_mend(done: Done, says: str) -> None:
    """Nothing is told of any service then."""
    with pytest.raises(CannotRead, match=says):
        list(readings(lambda argv, timeout_seconds: done, {}, Memory()))


def test_without_systemctl_the_text_says_so() -> None:
    """As in an image that was stripped of it."""

    def missing(argv: Sequence[str], timeout_seconds: float) -> Done:
        raise FileNotFoundError("systemctl")

    with pytest.raises(CannotRead, match="package systemd"):
        list(readings(missing, {}, Memory()))


def test_names_cannot_become_options_of_systemctl() -> None:
    """A setting is text, not an argument."""
    systemd = Systemd()
    read(systemd, Memory(), {"watch": ("--host=elsewhere", "", "steady")})
    assert not [each for argv in systemd.asked for each in argv if "elsewhere" in each]


def test_a_name_without_a_kind_is_a_service() -> None:
    """As for systemctl itself."""
    assert full_name("nginx") == "nginx.service"
    assert full_name("postgresql@15-main") == "postgresql@15-main.service"
    assert full_name("srv.mount") == "srv.mount"


@given(st.text(st.sampled_from("ab.service= \nIdNRestarts0123²"), max_size=100))
def test_any_text_is_parsed(text: str) -> None:
    """What makes no sense is passed over."""
    parse_list(text)
    assert all(count >= 0 for count in parse_restarts(text).values())


def test_windows_and_linux_share_what_is_declared() -> None:
    """Both have a reader."""
    assert CHECK.read_linux is not None
    assert CHECK.read_windows is not None
