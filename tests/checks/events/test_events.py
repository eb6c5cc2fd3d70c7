"""Logged events, from what journalctl 252 printed and from entries of the Windows Event Log.

five_entries was captured from a journal of its own; the Windows entry is written by hand.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks._events_seen import Batch, Event, Seen, recall, remember
from forewarn_checks._limited import Ended, Limits
from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead, NothingToRead, Options, Sample
from forewarn_checks.events import readings
from forewarn_checks.linux.journal import Journal, parse
from forewarn_checks.windows import event_log

CASES = Path(__file__).parent
CAPTURED = (CASES / "five_entries" / "journal").read_text()
LAST = CAPTURED.rpartition("-- cursor: ")[2].strip()
EARLIER = "s=9c9ed48697194b1cbac5a0a84ff6b7d8;i=1;b=0;m=1;t=1;x=1"
HINT = "Hint: You are currently not seeing messages from other users and the system.\n"


def test_entries_are_read_whatever_they_hold() -> None:
    """Bytes that are no text come as numbers; levels 0 to 2 are critical, 3 is an error."""
    assert list(parse(CAPTURED)) == [
        Event("", "app: started"),
        Event("error", "app: cannot connect to database: timeout"),
        Event("critical", "raid: array degraded"),
        Event("error", "bin: bin\x01ary \ufffd"),
        Event("", "app: slow"),
    ]


@given(st.text(st.sampled_from('{}[]":,MESAGPRIOTY 123\n\\'), max_size=80))
def test_any_output_is_read(output: str) -> None:
    """A line that makes no sense is passed over."""
    assert all(isinstance(each.text, str) for each in parse(output))


@pytest.mark.parametrize(
    "line",
    ['{"MESSAGE":null,"PRIORITY":"3"}', '{"MESSAGE":["a",["b"]]}', "{}", '{"MESSAGE":[256]}'],
)
def test_odd_entries_are_entries(line: str) -> None:
    """A message too large to print is null."""
    assert len(list(parse(line))) == 1


class Host:
    """Answers as journalctl did, and keeps what it was asked."""

    def __init__(self, ended: Ended | None = None, end: Done | None = None) -> None:
        self.ended = ended or Ended(CAPTURED, 0)
        self.end = end or Done(f"-- No entries --\n-- cursor: {EARLIER}\n", 0)
        self.asked: list[Sequence[str]] = []

    def journal(self) -> Journal:
        return Journal(self._ask, self._run)

    def _ask(self, argv: Sequence[str], timeout_seconds: float) -> Done:
        return self.end

    def _run(self, argv: Sequence[str], limits: Limits) -> Ended:
        self.asked.append(argv)
        return self.ended


def read(host: Host, memory: Path, options: Options | None = None) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in readings(options or {}, host.journal(), memory):
        assert isinstance(each, Sample)
        found[" ".join([each.metric, *each.labels.values()])] = each.value
    return found


def test_the_first_run_takes_down_the_end_and_the_next_counts_from_there(tmp_path: Path) -> None:
    """A log of years is not news."""
    host, memory = Host(), tmp_path / "seen.json"
    zero = {"events_errors error": 0, "events_errors critical": 0, "events_cut": 0}
    assert read(host, memory) == zero
    assert not host.asked
    assert read(host, memory) == {**zero, "events_errors error": 2, "events_errors critical": 1}
    assert f"--after-cursor={EARLIER}" in host.asked[0]
    assert "--priority=err" in host.asked[0]
    assert recall(memory).cursor == LAST
    host.ended = Ended("", 0)
    assert read(host, memory)["events_errors error"] == 2, "a counter stays"
    assert f"--after-cursor={LAST}" in host.asked[1]


def test_patterns_are_looked_for_at_every_level(tmp_path: Path) -> None:
    """Programs log what matters at any; one that is added later begins at 0."""
    host, memory = Host(), tmp_path / "seen.json"
    read(host, memory)
    read(host, memory)
    options = {"patterns": ("slow = app: slow$", "db = (?i)APP.*cannot connect", "none = x{9}")}
    found = read(host, memory, options)
    assert "--priority=err" not in host.asked[-1]
    assert found["events_matched slow"] == 1
    assert found["events_matched db"] == 1
    assert found["events_matched none"] == 0
    assert found["events_errors error"] == 4


@pytest.mark.parametrize(
    "ended",
    [
        Ended(CAPTURED.rpartition("-- cursor")[0][:-40], -9, "it printed more than 8388608 bytes"),
        Ended("", 1),  # Failed to seek to cursor
    ],
)
def test_what_cannot_be_read_whole_goes_on_from_the_end(ended: Ended, tmp_path: Path) -> None:
    """And says so: a flood must not make every run begin at the same place."""
    host, memory = Host(ended), tmp_path / "seen.json"
    read(host, memory)
    host.end = Done(f"-- cursor: {LAST}\n", 0)
    assert read(host, memory)["events_cut"] == 1
    assert recall(memory).cursor == LAST


@pytest.mark.parametrize(
    ("end", "outcome", "says"),
    [
        (Done("", 1, HINT + "No journal files were opened due to insufficient permissions.\n"),
         NothingToRead, "systemd-journal"),
        (Done("", 0, HINT), NothingToRead, "systemd-journal"),
        (Done("-- No entries --\n", 1, "No journal files were found.\n"), NothingToRead, "empty"),
        (Done("", 1, "Journal file corrupted"), CannotRead, "corrupted"),
        (Done("", None), CannotRead, "did not end"),
    ],
)  # fmt: skip
def test_a_log_that_cannot_be_read_says_why(
    end: Done, outcome: type[Exception], says: str, tmp_path: Path
) -> None:
    """A missing right is for somebody to grant, no failure."""
    with pytest.raises(outcome, match=says):
        read(Host(end=end), tmp_path / "seen.json")


def test_patterns_that_make_no_sense_are_named(tmp_path: Path) -> None:
    """After the others are counted."""
    with pytest.raises(CannotRead, match="entry 1 \\(x\\): this is no regular expression"):
        read(Host(), tmp_path / "seen.json", {"patterns": ("x = (", "y = a")})


def test_what_is_remembered_survives_and_damage_forgets(tmp_path: Path) -> None:
    """As after a power cut."""
    memory = tmp_path / "seen.json"
    remember(memory, Seen("c", {"level error": 3}))
    assert recall(memory) == Seen("c", {"level error": 3})
    for text in ("", "[]", "{}", '{"cursor": 1, "counts": 2}', '{"counts": {"a": "b"}}'):
        memory.write_text(text)
        assert recall(memory) == Seen()
    assert recall(None) == Seen()
    remember(tmp_path / "none" / "seen.json", Seen("c"))


# Windows

ENTRY = (CASES / "windows_disk" / "entry.xml").read_text()


def entry(record: int, level: int = 2) -> str:
    return ENTRY.replace("4711", str(record)).replace("<Level>2<", f"<Level>{level}<")


class Windows:
    """Two channels of entries, asked as the service is."""

    def __init__(self, **channels: list[str]) -> None:
        self.channels = {"System": [], "Application": [], **channels}
        self.paths: list[str] = []

    def query(self, channel: str, path: str, newest_first: bool, most: int) -> list[str]:
        self.paths.append(path)
        after = int(path.rpartition(">")[2].strip("]") or 0) if ">" in path else 0
        found = [xml for xml in self.channels[channel] if event_log.record_of(xml) > after]
        return (found[::-1] if newest_first else found)[:most]


def test_an_entry_of_windows_is_read() -> None:
    """Provider, number and data, whatever the language of its text."""
    assert event_log.parse(ENTRY) == Event("error", r"disk 7: \Device\Harddisk1\DR1 a & b")
    assert event_log.parse("") == Event("", " : ")


def test_windows_goes_on_from_the_last_record_of_each_channel() -> None:
    """With the level in the question unless patterns need them all."""
    host = Windows(System=[entry(1), entry(2)], Application=[entry(9)])
    log = event_log.EventLog(host.query)
    cursor = log.end()
    assert json.loads(cursor) == {"System": 2, "Application": 9}
    host.channels["System"].append(entry(3, level=1))
    batch = log.after(cursor, all_levels=False)
    assert [each.level for each in batch.events] == ["critical"]
    assert json.loads(batch.cursor) == {"System": 3, "Application": 9}
    assert "*[System[(Level=1 or Level=2) and EventRecordID>2]]" in host.paths
    assert log.after(batch.cursor, all_levels=True) == Batch((), batch.cursor)
    assert "*[System[EventRecordID>3]]" in host.paths


def test_a_cleared_log_begins_anew() -> None:
    """Its records count from 1 again; that it was cut is told."""
    host = Windows(System=[entry(1)])
    log = event_log.EventLog(host.query)
    batch = log.after('{"System": 500, "Application": 0}', all_levels=True)
    assert (batch.whole, json.loads(batch.cursor)["System"]) == (False, 0)
    assert len(log.after(batch.cursor, all_levels=True).events) == 1
    assert not log.after("damaged", all_levels=True).whole
