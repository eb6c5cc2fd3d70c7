"""Windows services, as the service manager tells of them."""

from collections.abc import Sequence

from forewarn_checks.base import Options, Sample
from forewarn_checks.services import CHECK, readings_windows
from forewarn_checks.windows.services import Memory, Service


def service(
    name: str,
    status: str = "running",
    *,
    automatic: bool = True,
    exit_code: int = 0,
    process: int | None = None,
) -> Service:
    running = 100 if status == "running" else 0
    return Service(name, status, automatic, exit_code, running if process is None else process)


def read(
    services: Sequence[Service], memory: Memory, options: Options | None = None
) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in readings_windows(services, options or {}, memory):
        assert isinstance(each, Sample)
        name = f"{each.metric} {each.labels.get('service', '')}".strip()
        assert name not in found
        found[name] = each.value
    return found


def settled() -> Memory:
    """Return the memory of an agent that has run for a while."""
    memory = Memory()
    for _ in range(20):
        memory.look((), (), ())
    return memory


def test_only_what_should_run_by_itself_and_ended_badly_has_failed() -> None:
    """Many services start, find nothing to do and stop; others wait for a trigger."""
    host = [
        service("Spooler", "stopped", exit_code=1067),
        service("edgeupdate", "stopped"),
        service("sppsvc", "stopped", exit_code=1077),
        service("Manual", "stopped", automatic=False, exit_code=5),
        service("W32Time"),
    ]
    assert read(host, settled()) == {"services_failed": 1, "service_failed Spooler": 1}


def test_a_failure_that_is_over_is_said_to_be_over() -> None:
    """Also of a service that was removed meanwhile."""
    memory = settled()
    read([service("a", "stopped", exit_code=1), service("b", "stopped", exit_code=1)], memory)
    found = read([service("a")], memory)
    assert (found["service_failed a"], found["service_failed b"]) == (0, 0)


def test_after_a_start_the_agent_says_who_is_well() -> None:
    """One of them may have failed before it."""
    memory = Memory()
    assert read([service("a")], memory)["service_failed a"] == 0
    assert set(read([service("a")], settled())) == {"services_failed"}


def test_a_service_in_another_process_has_been_restarted() -> None:
    """Also when it was seen stopped in between; its first process is none."""
    memory = settled()
    counts = []
    for process in (10, 10, 11, 0, 12):
        status = "running" if process else "stopped"
        found = read([service("a", status, process=process)], memory)
        counts.append(found.get("service_restarts a", 0))
    assert counts == [0, 0, 1, 1, 2]


def test_watched_services_are_told_whatever_their_case() -> None:
    """Windows does not tell them apart either."""
    found = read([service("Spooler")], settled(), {"watch": ("spooler", "nothere")})
    assert found["service_running spooler"] == 1
    assert found["service_running nothere"] == 0


def test_ignored_services_are_nobodys_business() -> None:
    """By pattern."""
    host = [service("gupdate", "stopped", exit_code=1)]
    assert read(host, settled(), {"ignore": ("gup*",)}) == {"services_failed": 0}


def test_two_thousand_services_make_no_flood() -> None:
    """A bounded number of series, and the count of all."""
    memory = Memory()
    names: set[str] = set()
    for turn in range(30):
        host = [
            service(f"s{n}", "stopped" if n % 2 else "running", exit_code=n % 2, process=turn + 1)
            for n in range(2000)
        ]
        found = read(host, memory)
        names |= found.keys()
    assert found["services_failed"] == 1000
    assert len(names) < 300


def test_both_systems_have_a_reader() -> None:
    """Of the same metrics."""
    assert CHECK.read_linux is not None
    assert CHECK.read_windows is not None
