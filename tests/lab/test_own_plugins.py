"""Debian's own monitoring-plugins, unchanged, as checks of one's own.

Needs root and ``apt-get install monitoring-plugins-basic``.
"""

import json
import os
import time
from pathlib import Path

import pytest

from forewarn_checks.base import Fact, Options, Sample
from forewarn_checks.own import CHECK

PLUGINS = Path("/usr/lib/nagios/plugins")
_NOT_CHECKS = {"utils.pm", "utils.sh", "negate", "urlize"}

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not PLUGINS.is_dir(), reason="apt-get install monitoring-plugins-basic"),
    pytest.mark.skipif(os.geteuid() != 0, reason="programs must be root's"),
]

OPTIONS: Options = {
    "commands": (
        f"root disk = {PLUGINS}/check_disk -w 1% -c 1% -p /",
        f"load = {PLUGINS}/check_load -w 500,400,300 -c 900,800,700",
        f"processes = {PLUGINS}/check_procs -w 5000 -c 9000",
        f"users = {PLUGINS}/check_users -w 500 -c 1000",
        f"closed port = {PLUGINS}/check_tcp -H 127.0.0.1 -p 1",
        f"bad = {PLUGINS}/check_dummy 2 'bad news'",
        f"so so = {PLUGINS}/check_dummy 1",
        f"who knows = {PLUGINS}/check_dummy 3",
        f"slow = {PLUGINS}/negate -t 60 /bin/sleep 50",
    ),
    "timeout_seconds": 3,
    "memory_megabytes": 256,
}


def read(options: Options) -> tuple[dict[str, float], dict[str, object]]:
    assert CHECK.read_linux is not None
    samples: dict[str, float] = {}
    facts: dict[str, object] = {}
    for each in CHECK.read_linux(options):
        if isinstance(each, Sample):
            samples[" ".join([each.metric, *each.labels.values()])] = each.value
        elif isinstance(each, Fact):
            facts[each.name] = each.value
    return samples, facts


def test_plugins_are_understood_and_bounded() -> None:
    """States, figures in base units, and the one that sleeps killed in its time."""
    began = time.monotonic()
    samples, facts = read(OPTIONS)
    took = time.monotonic() - began
    print(f"9 plugins, one of them killed after 3 s, in {took:.2f} s")
    assert took < 10
    for name in ("root disk", "load", "processes", "users"):
        assert samples[f"own_state {name}"] == 0, facts
    assert samples["own_state closed port"] == 2
    assert samples["own_state bad"] == 2
    assert samples["own_state so so"] == 1
    assert samples["own_unknown who knows"] == samples["own_unknown slow"] == 1
    used = os.statvfs("/")
    assert samples["own_measure_bytes root disk /"] == pytest.approx(
        (used.f_blocks - used.f_bfree) * used.f_frsize, rel=0.05
    )
    assert 0 < samples["own_critical_ratio root disk /"] < 2
    assert samples["own_measure processes procs"] > 1
    rows = facts["own_checks_not_fine"]
    assert isinstance(rows, list)
    assert {"check": "bad", "says": "critical", "text": "CRITICAL: bad news"} in rows


def test_every_plugin_of_the_package_is_run_without_a_word_lost() -> None:
    """Most want arguments and say so: status 3 and its first line; none makes the run fail."""
    names = sorted(each.name for each in PLUGINS.iterdir() if each.name not in _NOT_CHECKS)
    options = {"commands": tuple(f"{name} = {PLUGINS}/{name}" for name in names)}
    began = time.monotonic()
    samples, facts = read({**options, "timeout_seconds": 10})
    print(f"{len(names)} plugins in {time.monotonic() - began:.2f} s")
    assert {f"own_unknown {name}" for name in names} <= samples.keys()
    rows = facts["own_checks_not_fine"]
    assert isinstance(rows, list)
    assert all(isinstance(row, dict) and row["text"] for row in rows), rows


def read_as_nobody(options: Options) -> tuple[dict[str, float], dict[str, object]]:
    """Read in a process that has given up root: the agent has none either."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(here)
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        with os.fdopen(there, "w") as out:
            json.dump(read(options), out)
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as heard:
        samples, facts = json.load(heard)
    os.waitpid(child, 0)
    return samples, facts


def test_they_run_as_the_agent_and_not_as_root() -> None:
    """A folder of root's; what others could have changed is not run, and that is said."""
    folder = Path("/usr/local/lib/forewarn-lab-checks")
    folder.mkdir()
    folder.chmod(0o755)
    try:
        for name, mode in (("who", 0o755), ("theirs", 0o777)):
            (folder / name).write_text('#!/bin/sh\necho "OK | uid=$(id -u)"\n', encoding="utf-8")
            (folder / name).chmod(mode)
        (folder / "users").symlink_to(PLUGINS / "check_users")
        samples, facts = read_as_nobody({"folder": str(folder)})
    finally:
        for each in folder.iterdir():
            each.unlink()
        folder.rmdir()
    assert samples["own_measure who uid"] == 65534
    assert samples["own_unknown theirs"] == 1
    rows = facts["own_checks_not_fine"]
    assert isinstance(rows, list)
    told = {row["check"]: row["text"] for row in rows}
    assert "others than root may write to it" in told["theirs"]
    assert samples["own_unknown users"] == 1, "without arguments it knows nothing"
