"""Processes by pattern, from a host of our own making and from this one."""

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from forewarn_checks._processes_seen import (
    Process,
    Use,
    Wanted,
    all_processes,
    parse_wanted,
    use_of,
)
from forewarn_checks.base import CannotRead, NothingToRead, Options, Sample
from forewarn_checks.processes import CHECK, Memory, readings

HOST = [
    Process(10, 100.0, "nginx", "nginx: master process /usr/sbin/nginx"),
    Process(11, 100.0, "nginx", "nginx: worker process"),
    Process(12, 160.0, "python3", "/usr/bin/python3 /srv/worker.py --password=geheim"),
    Process(13, 900.0, "bash", "-bash"),
]


def use(cpu: float, memory: int = 10, descriptors: int | None = 5) -> Use:
    return Use(cpu, memory, 2, descriptors, None if descriptors is None else descriptors / 10)


def read(
    options: Options,
    uses: Mapping[int, Use | None],
    memory: Memory | None = None,
    now: float = 1000.0,
    host: list[Process] | None = None,
) -> tuple[dict[str, float], str]:
    found: dict[str, float] = {}
    try:
        for each in readings(
            options,
            lambda: HOST if host is None else host,
            uses.get,
            memory or Memory(),
            now=now,
            tick=now,
        ):
            assert isinstance(each, Sample)
            found[f"{each.metric} {each.labels['process']}"] = each.value
    except CannotRead as error:
        return found, str(error)
    return found, ""


def test_processes_are_counted_by_name_and_by_command_line() -> None:
    """The command line is matched and never told: passwords stand there."""
    patterns = ("web = nginx*", "jobs = *python*worker.py* 2..4", "none = cron 1..1")
    found, said = read({"patterns": patterns}, {10: use(1), 11: use(2), 12: use(3, descriptors=9)})
    assert not said
    assert not [name for name in found if "geheim" in name]
    assert {name: value for name, value in found.items() if name.endswith("web")} == {
        "process_count web": 2,
        "process_missing web": 0,
        "process_memory_bytes web": 20,
        "process_threads web": 4,
        "process_descriptors web": 10,
        "process_descriptors_ratio web": 0.5,
        "process_youngest_age_seconds web": 900,
    }
    assert (found["process_missing jobs"], found["process_surplus jobs"]) == (1, 0)
    assert found["process_descriptors_ratio jobs"] == 0.9
    assert {name for name in found if name.endswith("none")} == {
        "process_count none",
        "process_missing none",
        "process_surplus none",
    }
    assert found["process_missing none"] == 1


def test_what_must_not_run_is_too_many() -> None:
    """None is none missing."""
    found, _ = read({"patterns": ("shells = bash 0..0",)}, {})
    assert (found["process_missing shells"], found["process_surplus shells"]) == (0, 1)


def test_processor_time_is_of_the_time_between_two_runs() -> None:
    """One that began since counts whole, one that was not looked at before does not."""
    memory, options = Memory(), {"patterns": ("web = nginx*",)}
    found, _ = read(options, {10: use(50), 11: None}, memory, 1000.0)
    assert "process_cpu_ratio web" not in found
    host = [*HOST, Process(14, 1005.0, "nginx", "nginx: worker process")]
    found, _ = read(options, {10: use(56), 11: use(70), 14: use(3)}, memory, 1010.0, host)
    assert found["process_cpu_ratio web"] == pytest.approx((6 + 3) / 10)


def test_one_that_took_an_old_number_is_another() -> None:
    """Its time is its own."""
    memory, options = Memory(), {"patterns": ("web = nginx*",)}
    read(options, {10: use(500)}, memory, 1000.0, HOST[:1])
    host = [Process(10, 1004.0, "nginx", "nginx")]
    found, _ = read(options, {10: use(1)}, memory, 1010.0, host)
    assert found["process_cpu_ratio web"] == pytest.approx(0.1)


def test_descriptors_are_told_only_when_all_are_seen() -> None:
    """A part of them would look like all."""
    found, _ = read({"patterns": ("web = nginx*",)}, {10: use(1), 11: use(1, descriptors=None)})
    assert "process_descriptors web" not in found
    assert found["process_descriptors_ratio web"] == 0.5


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("nginx", Wanted("nginx")),
        ("nginx 2..", Wanted("nginx", 2)),
        ("*a b* 0..3", Wanted("*a b*", 0, 3)),
        ("a 3", Wanted("a 3")),
    ],
)
def test_patterns_are_read(text: str, wanted: Wanted) -> None:
    """A number alone belongs to the command line."""
    assert parse_wanted(text) == wanted


def test_what_makes_no_sense_is_named() -> None:
    """And nothing named is nothing to read."""
    assert "entry 1 (x): write" in read({"patterns": ("x = a 3..1",)}, {})[1]
    with pytest.raises(NothingToRead, match="patterns"):
        read({}, {})
    assert not CHECK.has_work({})


def test_this_host_is_seen() -> None:
    """A child of ours with its open files and its processor time, but not this process itself."""
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()", "forewarn-test-mark"],
        stdin=subprocess.PIPE,
    ) as child:
        seen = {each.number: each for each in all_processes()}
        used = use_of(child.pid)
        child.communicate()
    assert os.getpid() not in seen
    assert Wanted("*forewarn-test-mark*").means(seen[child.pid])
    assert used is not None
    assert used.memory_bytes > 2**20
    assert used.descriptors is not None
    assert used.descriptors >= 3
    assert used.descriptors_ratio is not None
    assert 0 < used.descriptors_ratio < 1
    assert use_of(child.pid) is None
