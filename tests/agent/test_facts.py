"""Facts travel when they change, and all over again when nobody may have them."""

from pathlib import Path

from forewarn_agent.facts import FactMemory, changed, digest
from forewarn_checks.base import FactValue, Outcome, Run
from forewarn_checks.base.wire import FactScalar


def run(**facts: FactValue) -> Run:
    return Run(
        sequence=0,
        check="uptime",
        started_at="2026-11-21T08:00:00.000Z",
        boot="boot",
        boottime_seconds=1.0,
        duration_seconds=0.1,
        outcome=Outcome.OK,
        facts=dict(facts),
    )


def test_only_changed_facts_leave() -> None:
    known = {"kernel": digest("6.1"), "hostname": digest("web1")}
    assert changed({"kernel": "6.12", "hostname": "web1"}, known) == {"kernel": "6.12"}


def test_the_order_of_a_rows_keys_is_no_change() -> None:
    one: list[dict[str, FactScalar]] = [{"a": 1, "b": 2}]
    other: list[dict[str, FactScalar]] = [{"b": 2, "a": 1}]
    assert digest(one) == digest(other)


def test_facts_told_are_not_told_again_even_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    memory = FactMemory(path, "host spool-1")
    assert memory.only_changed(run(kernel="6.1")).facts == {"kernel": "6.1"}
    memory.told(run(kernel="6.1"))
    assert memory.only_changed(run(kernel="6.1")).facts == {}
    assert FactMemory(path, "host spool-1").only_changed(run(kernel="6.1")).facts == {}


def test_a_new_spool_tells_everything_again(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    FactMemory(path, "host spool-1").told(run(kernel="6.1"))
    assert FactMemory(path, "host spool-2").only_changed(run(kernel="6.1")).facts


def test_a_broken_file_tells_everything_again(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text('{"owner": "host spool-1", "known": 7}')
    assert FactMemory(path, "host spool-1").only_changed(run(kernel="6.1")).facts
