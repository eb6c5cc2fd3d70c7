"""The bench's own parts: what its hosts send is what agents send, and its sums are right."""

import asyncio
import json
import random
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from nacl.signing import VerifyKey

from forewarn_checks.base import Receipt, signing
from forewarn_checks.base.catalog import all_metrics
from forewarn_collector import bench
from forewarn_collector.bench import fleet
from forewarn_collector.bench.report import BenchReport, percentiles
from forewarn_collector.dating import microseconds
from forewarn_collector.ingest import Ingest, decode
from forewarn_collector.rules.own import CLOCK_ERROR
from forewarn_collector.samples.duck import DuckSampleStore

COLLECTOR = "018f0000-0000-7000-8000-000000000000"
DUE = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@dataclass(frozen=True)
class AHost:
    number: int
    id: str


def test_a_fleet_is_the_same_each_time_and_no_two_hosts_share_anything() -> None:
    one, again = fleet.make_fleet(50), fleet.make_fleet(50)
    assert [host.id for host in one] == [host.id for host in again]
    for names in (
        {host.id for host in one},
        {host.spool for host in one},
        {host.name for host in one},
        {bytes(host.key) for host in one},
    ):
        assert len(names) == 50


def test_what_a_simulated_host_sends_is_signed_and_stored_like_an_agents_batch(
    tmp_path: Path,
) -> None:
    (host,) = fleet.make_fleet(1)
    chance = random.Random(0)
    store = DuckSampleStore(tmp_path)

    async def send() -> list[Receipt]:
        ingest = Ingest(store, lambda *_: None, linger_seconds=0.001)
        ingest.start()
        receipts = []
        for minute in range(2):
            due = DUE + timedelta(minutes=minute)
            sent = fleet.request(host, COLLECTOR, due, chance)
            signed = signing.parse("POST", fleet.PATH, "", sent.headers)
            VerifyKey(bytes(host.key.verify_key)).verify(signed.base, signed.signature)
            assert signed.digest == signing.content_digest(sent.body)
            batch = decode(sent.body, "gzip")
            assert sum(len(run.samples) for run in batch.runs) == fleet.SAMPLES
            assert len(batch.runs) == fleet.RUNS
            receipts.append(await ingest.accept(batch, AHost(1, host.id), due))
            assert receipts[-1].through["live"] == sent.through  # type: ignore[index]
        await asyncio.to_thread(ingest.close)
        return receipts

    assert len(asyncio.run(send())) == 2
    assert store.count_runs() == (2 * fleet.RUNS, 0)
    latest = microseconds(DUE + timedelta(minutes=1))
    # How its clock stands is told of the first batch, and not of each.
    sent = [reading for reading in store.latest(1) if reading.metric != CLOCK_ERROR.name]
    assert all(-3_000_001 <= reading.at - latest <= 0 for reading in sent)
    store.close()


def test_simulated_readings_are_of_metrics_that_checks_declare_with_their_labels() -> None:
    (host,) = fleet.make_fleet(1)
    body = zlib.decompress(fleet.request(host, COLLECTOR, DUE, random.Random(0)).body, wbits=31)
    metrics = all_metrics()
    for run in json.loads(body)["runs"]:
        for sample in run["samples"]:
            assert set(sample["labels"]) == set(metrics[sample["metric"]].labels)


def test_a_full_host_says_so_of_its_root_only() -> None:
    (host,) = fleet.make_fleet(1)
    host.full = True
    batch = decode(fleet.request(host, COLLECTOR, DUE, random.Random(0)).body, "gzip")
    used = {
        sample.labels["mountpoint"]: sample.value
        for run in batch.runs
        for sample in run.samples
        if sample.metric == "disk_used_ratio"
    }
    assert used["/"] > 0.99
    assert max(used["/var"], used["/home"]) < 0.8


def test_percentiles_of_nothing_are_nothing() -> None:
    assert percentiles([]) is None
    found = percentiles([float(n) for n in range(101)])
    assert found is not None
    assert (found.p50, found.p95, found.p99) == (50.0, 95.0, 99.0)


def test_a_folder_in_use_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(bench.BenchFailed, match="is not empty"):
        bench.run(1, 0.01, tmp_path, lambda _: None)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_small_bench_measures_the_whole_line(tmp_path: Path) -> None:
    """The collector as shipped: every field that was promised, nothing lost, tickets received."""
    report = bench.run(8, 0.1, tmp_path / "bench", lambda _: None)
    assert isinstance(report, BenchReport)
    printed = json.loads(json.dumps(report.to_json()))
    promised = (
        "hosts minutes samples_per_second ack_ms rejected duplicates rss_bytes"
        " cpu_seconds_per_million_samples bytes_per_sample rule_pass_seconds alert_latency_seconds"
    )
    assert set(promised.split()) <= set(printed)
    assert set(printed["ack_ms"]) == {"p50", "p95", "p99"}
    assert (report.lost, report.duplicates, report.rejected, report.late) == (0, 0, 0, 0)
    assert report.samples_per_second > 0
    assert report.alerts_expected == report.alerts_received > 0
