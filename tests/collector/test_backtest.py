"""Rules over what was received: from a file, from sealed files and the hot tail."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.collector.engine.line import START, microseconds
from typer.testing import CliRunner

from forewarn_checks.base import Lane, Outcome
from forewarn_collector import backtest
from forewarn_collector.backtest import from_file, replay, stored, wanted
from forewarn_collector.cli import app
from forewarn_collector.grouping import count_tickets
from forewarn_collector.replay import Replayed
from forewarn_collector.rules.book import RuleBook, declared
from forewarn_collector.samples import Arrival, ArrivedRun
from forewarn_collector.samples.duck import DuckSampleStore
from forewarn_collector.samples.series_file import BadSeriesFile
from forewarn_collector.state.hosts import KnownHost

T0 = microseconds(START)
MINUTE = 60_000_000
BOOK = RuleBook(declared())
LABELS = {"mountpoint": "/", "device": "sda1", "fstype": "ext4"}
HOST = KnownHost(
    number=1, id="h1", client_id="c", site_id="s", name="web1", public_key=b"", system="linux"
)


def append(store: DuckSampleStore, turn: int, used: float, sequence: int | None = None) -> None:
    """Append one run of a disk, read every five minutes and received two seconds later."""
    at = T0 + turn * 5 * MINUTE
    shapes = [store.shape(name, LABELS) for name in ("disk_used_ratio", "disk_free_bytes")]
    run = ArrivedRun(turn, "disk", at, 0.1, Outcome.OK, "")
    store.append(
        [
            Arrival(
                host=1,
                spool="spool",
                lane=Lane.LIVE,
                through=turn,
                received=at + 2_000_000,
                runs=(run,),
                shapes=shapes,
                times=[at, at],
                values=[used, 1e9],
            )
        ]
    )


def over(store: DuckSampleStore, into: Path, ended: int) -> backtest.Outcome:
    spread = store.spread(into)
    source = stored(spread, {1: HOST}, wanted(BOOK), T0, ended, ())
    (*_, outcome) = replay(source, BOOK, T0, ended)
    assert isinstance(outcome, backtest.Outcome)
    return outcome


@pytest.mark.parametrize("sealed_after", [None, 0, 30, 39])
def test_sealed_files_and_the_hot_tail_are_one_history(
    sealed_after: int | None, tmp_path: Path
) -> None:
    store = DuckSampleStore(tmp_path / "samples")
    for turn in range(40):
        append(store, turn, 0.95 if 5 <= turn < 20 else 0.5)
        if turn == sealed_after:
            store.seal()
    outcome = over(store, tmp_path / "out", T0 + 205 * MINUTE)
    store.close()
    (episode,) = outcome.episodes
    assert (episode.rule, str(episode.severity)) == ("DiskAlmostFull", "high")
    assert (episode.opened_at - T0) // MINUTE == 40
    assert episode.closed_at is not None
    assert (episode.closed_at - T0) // MINUTE == 115
    assert outcome.points == 40 * 3


def test_silence_is_replayed_and_our_own_absence_is_not(tmp_path: Path) -> None:
    store = DuckSampleStore(tmp_path / "samples")
    for turn in (*range(12), *range(60, 72)):
        append(store, turn, 0.5)
    spread = store.spread(tmp_path / "out")
    store.close()
    ended = T0 + 360 * MINUTE
    for away, silent in (((), 1), (((T0 + 50 * MINUTE, T0 + 301 * MINUTE),), 0)):
        source = stored(spread, {1: HOST}, wanted(BOOK), T0, ended, away)
        (*_, outcome) = replay(source, BOOK, T0, ended)
        assert isinstance(outcome, backtest.Outcome)
        assert [one.rule for one in outcome.episodes] == ["HostSilent"] * silent


def write(path: Path, values: Sequence[float], host: str = "web1") -> None:
    rows = ["host,metric,labels,ts,value"]
    for turn, value in enumerate(values):
        moment = T0 // 1_000_000 + 300 * turn
        for metric, read in (("disk_used_ratio", value), ("disk_free_bytes", 1e9)):
            rows.append(f'{host},{metric},"{{""mountpoint"": ""/""}}",{moment},{read}')
    path.write_text("\n".join(rows) + "\n")


def command(*words: str) -> tuple[int, str]:
    answer = CliRunner().invoke(app, ["rules", "backtest", *words])
    return answer.exit_code, answer.output


def test_a_file_is_replayed_by_command(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    write(path, [0.5] * 5 + [0.95] * 20 + [0.5] * 10)
    code, out = command("--series", str(path), "--json")
    told = json.loads(out)
    (episode,) = told["rules"]["DiskAlmostFull"]["episodes"]
    assert told["rules"]["DiskAlmostFull"]["kind"] == "threshold"
    assert (episode["host"], episode["severity"]) == ("web1", "high")
    shape = {"host", "labels", "severity", "opened_at", "closed_at", "evidence"}
    assert set(episode) == shape
    assert episode["evidence"]["title"] == "/ on web1 is almost full (95 %)"
    assert told["summary"]["tickets"] == 1
    assert told["summary"]["noisiest"] == [{"host": "web1", "episodes": 1}]
    assert code == 0
    code, out = command("--series", str(path), "--max-episodes-per-host-week", "1")
    assert code == 1
    assert "more than 1" in out


def test_a_file_read_rarely_makes_no_host_silent_unless_it_is_all_they_sent(tmp_path: Path) -> None:
    """Readings an hour apart are no silence of 10 minutes: the host may have sent much else."""
    path = tmp_path / "series.csv"
    rows = [f"web1,disk_used_ratio,,{T0 // 1_000_000 + 3600 * turn},0.5" for turn in range(30)]
    path.write_text("\n".join(["host,metric,labels,ts,value", *rows]) + "\n")
    code, out = command("--series", str(path), "--json", "--max-episodes-per-host-week", "0")
    told = json.loads(out)
    assert (code, told["summary"]["episodes"]) == (0, 0)
    assert told["rules"]["HostSilent"] == {"kind": "absence", "episodes": []}
    assert "--silence" in told["summary"]["not_simulated"]
    code, out = command("--series", str(path), "--silence", "--json")
    told = json.loads(out)
    assert len(told["rules"]["HostSilent"]["episodes"]) > 0
    assert "--silence" not in told["summary"]["not_simulated"]
    assert command("--silence")[0] == 2


def test_one_reading_in_a_thousand_years_is_waited_for_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    head = "host,metric,labels,ts,value"
    path.write_text(f"{head}\nweb1,disk_used_ratio,,0,0.5\nweb1,disk_used_ratio,,32000000000,0.5\n")
    code, out = command("--series", str(path), "--silence", "--json")
    (episode,) = json.loads(out)["rules"]["HostSilent"]["episodes"]
    assert code == 0
    assert episode["opened_at"] == "1970-01-01T00:10:00.000Z"
    assert episode["closed_at"].startswith("29")


def test_readings_as_large_as_numbers_get_are_judged_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    rows = [
        f"web1,disk_used_ratio,,{T0 // 1_000_000 + 300 * turn},{'-' * (turn % 2)}1e308"
        for turn in range(20)
    ]
    path.write_text("\n".join(["host,metric,labels,ts,value", *rows]) + "\n")
    assert command("--series", str(path))[0] == 0


def test_a_parquet_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "series.pq"
    moments = pa.array([T0 // 1_000_000 + 300 * turn for turn in range(4)], pa.int32())
    columns = {"host": ["web1"] * 4, "metric": ["disk_used_ratio"] * 4, "labels": [None] * 4}
    pq.write_table(
        pa.table({**columns, "ts": moments, "value": pa.array([1] * 4, pa.int8())}), path
    )
    code, out = command("--series", str(path), "--json")
    assert (code, json.loads(out)["summary"]["points"]) == (0, 4)


@pytest.mark.parametrize("most", ["nan", "-1", "inf"])
def test_a_limit_that_limits_nothing_is_refused(most: str, tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    write(path, [0.5])
    code, out = command("--series", str(path), f"--max-episodes-per-host-week={most}")
    assert (code, "a number from 0 up" in out) == (2, True)


def test_changed_rules_are_compared_with_those_in_force(tmp_path: Path) -> None:
    path, rules = tmp_path / "series.csv", tmp_path / "rules.toml"
    write(path, [0.5] * 5 + [0.92] * 20 + [0.5] * 10)
    rules.write_text("[rules.DiskAlmostFull]\nabove = 0.94\nclear_at = 0.9\n")
    _, out = command("--series", str(path), "--rule", str(rules), "--compare", "current", "--json")
    compared = json.loads(out)["summary"]["compared"]
    assert compared["added"] == []
    assert [one["rule"] for one in compared["removed"]] == ["DiskAlmostFull"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "columns are host, metric"),
        ("host,metric\n1,2\n", "has no column labels, ts, value"),
        ("host,host,metric,labels,ts,value\n", "names a column twice"),
        ("host,metric,labels,ts,value\n", "holds no reading"),
        ("host,metric,labels,ts,value\nh,m,,1,1\nh,m,{x,1,1\n", "line 3: labels '{x' are no JSON"),
        ("host,metric,labels,ts,value\nh,m,,1,1\nh,m,,two,1\n", "line 3: ts 'two' is no number"),
        ("host,metric,labels,ts,value\nh,m,,,1\n", "line 2: ts '' is no number"),
        ("host,metric,labels,ts,value\nh,m,,1772409600000,1\n", "milliseconds?"),
        ("host,metric,labels,ts,value\nh,m,,1,x\nh,m,,1,y\n", "(1 more such lines)"),
        ("host,metric,labels,ts,value\nh,m,,1,1\n,m,,1,1\n", "line 3: has no host"),
        ("host,metric,labels,ts,value\nh,m,,1,1\nh,m,\n", "line 3: has 3 columns"),
    ],
)
def test_a_bad_file_is_refused_in_words(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    code, out = command("--series", str(path))
    assert code == 2
    assert said in " ".join(out.split())


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from([0.5, 0.86, 0.93, 0.96]), min_size=20, max_size=60))
def test_replaying_in_pieces_of_any_size_gives_the_same_episodes(values: list[float]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.csv"
        write(path, values)
        found: list[list[Replayed]] = []
        for rows in (2, 14, 1000):
            source, began, ended = from_file(path, BOOK)
            (whole,) = source.batches
            whole_again = backtest._slices(whole, rows)
            again = backtest.Source(source.hosts, source.shapes, whole_again)
            (*_, outcome) = replay(again, BOOK, began, ended + 1)
            assert isinstance(outcome, backtest.Outcome)
            found.append(list(outcome.episodes))
    assert found[0] == found[1] == found[2]


def test_tickets_are_counted_as_the_collector_opens_them() -> None:
    def one(opened: int, closed: int | None, component: str = "filesystem:/") -> Replayed:
        return Replayed(
            rule="R",
            host=HOST,
            component=component,
            labels={},
            severity=BOOK.rules()[0].rule.severity,
            first_severity=BOOK.rules()[0].rule.severity,
            opened_at=opened,
            closed_at=closed,
            title="",
            shown="",
        )

    day = 24 * 60 * MINUTE
    assert count_tickets([one(0, 10), one(20, 30), one(day * 3, None)]) == 2
    assert count_tickets([one(0, 10), one(0, 10, "drive:X")]) == 2
    assert np.isclose(count_tickets([]), 0)


def filling(path: Path) -> None:
    """Write 17 days of a filesystem that fills within three, and one that stays as it is."""
    rows = ["host,metric,labels,ts,value"]
    for turn in range(17 * 96):
        day = turn / 96
        moment = T0 // 1_000_000 + 900 * turn
        used = min(0.5 + max(day - 13, 0) / 6, 1.0)
        rows.append(f'web1,disk_used_ratio,"{{""mountpoint"": ""/srv""}}",{moment},{used}')
        rows.append(f'web1,disk_used_ratio,"{{""mountpoint"": ""/""}}",{moment},0.5')
    path.write_text("\n".join(rows) + "\n")


def test_forecasts_are_replayed_and_held_against_what_came(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    filling(path)
    rules = tmp_path / "rules.toml"
    rules.write_text("[rules.HostSilent]\nenabled = false\n")
    _, out = command("--series", str(path), "--rule", str(rules), "--json")
    told = json.loads(out)
    (episode,) = told["rules"]["DiskWillFill"]["episodes"]
    assert episode["labels"]["mountpoint"] == "/srv"
    found = told["summary"]["forecasts"]
    assert found["episodes"] == found["episodes_reached"] == 1
    assert found["median_lead_hours"] > 24
    assert found["inside"] + found["early"] + found["late"] + found["ended"] == found["made"] > 20
    assert found["came_true"] == pytest.approx(found["inside"] / found["made"], abs=0.01)


def test_a_replay_looks_back_as_far_as_forecasts_need(tmp_path: Path) -> None:
    """What was before the span is no news, but it is ground to see a new high on."""
    path = tmp_path / "series.csv"
    filling(path)
    book = RuleBook(tuple(one for one in declared() if one.booked.name == "DiskWillFill"))
    source, began, ended = from_file(path, book)
    (points,) = source.batches
    since = began + 14 * 24 * 60 * MINUTE
    before, after = (
        backtest._cut(points, *np.searchsorted(points.at, span).tolist())
        for span in ((began, since), (since, ended + 1))
    )
    for past, seen in (([before], 1), ([], 0)):
        tried = backtest.Source(source.hosts, source.shapes, [after], past)
        (*_, outcome) = replay(tried, book, since, since + 24 * 60 * MINUTE)
        assert isinstance(outcome, backtest.Outcome)
        early = [one for one in outcome.episodes if one.opened_at < since + 12 * 60 * MINUTE]
        assert len(early) == seen


def test_late_readings_are_late_only_when_asked_for_as_received(tmp_path: Path) -> None:
    """A disk was full for an hour; the host told of it a day later, when it was over."""
    store = DuckSampleStore(tmp_path / "samples")
    shapes = [store.shape("disk_used_ratio", LABELS), store.shape("disk_free_bytes", LABELS)]
    day = 24 * 60 * MINUTE
    for turn in range(30):
        at = T0 + turn * 5 * MINUTE
        store.append(
            [
                Arrival(
                    host=1,
                    spool="spool",
                    lane=Lane.LIVE,
                    through=turn,
                    received=at + day,
                    runs=(ArrivedRun(turn, "disk", at, 0.1, Outcome.OK, ""),),
                    shapes=shapes,
                    times=[at, at],
                    values=[0.99 if 5 <= turn < 17 else 0.5, 1e9],
                )
            ]
        )
        if turn == 10:
            store.seal()
    spread = store.spread(tmp_path / "out")
    store.close()
    for as_received, count in ((False, 1), (True, 0)):
        source = stored(
            spread, {1: HOST}, wanted(BOOK), T0, T0 + 2 * day, (), as_received=as_received
        )
        (*_, outcome) = replay(source, BOOK, T0, T0 + 2 * day)
        assert isinstance(outcome, backtest.Outcome)
        assert outcome.points == 30 * 3
        assert [one.rule for one in outcome.episodes if one.rule != "HostSilent"] == [
            "DiskAlmostFull"
        ] * count


def test_parquet_is_read_like_csv_and_its_mistakes_are_told_by_row(tmp_path: Path) -> None:
    good, bad = tmp_path / "series.parquet", tmp_path / "bad.parquet"
    table = pa.table(
        {
            "host": ["a", "a"],
            "metric": ["disk_used_ratio"] * 2,
            "labels": ['{"mountpoint": "/"}', None],
            "ts": [T0 // 1_000_000, T0 // 1_000_000 + 60],
            "value": [0.5, float("nan")],
        }
    )
    pq.write_table(table, good)
    source, _, _ = from_file(good, BOOK)
    assert sum(len(batch.at) for batch in source.batches) == 1
    pq.write_table(table.set_column(0, "host", pa.array(["a", None])), bad)
    with pytest.raises(BadSeriesFile, match="row 2: has no host"):
        from_file(bad, BOOK)
    bad.write_bytes(b"PAR1 or so")
    with pytest.raises(BadSeriesFile, match=r"bad.parquet: "):
        from_file(bad, BOOK)
