"""A real collector, a real agent and a verifying receiver, as processes on loopback."""

import os
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from forewarn_collector.samples.duck import DuckSampleStore
from forewarn_collector.trial import Trial, sign_in, start_collector, trial_run


@contextmanager
def running(rules: str = "") -> Iterator[Trial]:
    """Give a trial whose collector is up, with `rules` in its collector.toml."""
    with trial_run(print) as trial:
        start_collector(trial)
        sign_in(trial).close()
        if rules:
            with (trial.instance / "collector.toml").open("a", encoding="utf-8") as config:
                config.write(rules)
        yield trial


def enrol(trial: Trial, agent_toml: str) -> None:
    """Enrol an agent with these settings, not yet running."""
    trial.agent.mkdir(0o700)
    (trial.agent / "agent.toml").write_text(agent_toml, "utf-8")
    made = trial.call(
        "forewarn-collector",
        *("token", "create", "--client", "acme", "--site", "hq"),
        *("--dir", str(trial.instance)),
    )
    trial.call(
        "forewarn-agent", "enrol", "-", "--dir", str(trial.agent), given=made.splitlines()[-1]
    )


def end(trial: Trial, name: str, *, by_force: bool) -> None:
    """Kill -9 or stop one process, and wait for its end."""
    child = trial.children.pop(name)
    if by_force:
        child.kill()
    else:
        child.terminate()
    child.wait(30)


def start_agent(trial: Trial, environment: dict[str, str] | None = None) -> None:
    """Run the enrolled agent, with more in its environment if asked."""
    before = dict(os.environ)
    os.environ.update(environment or {})
    try:
        trial.start("forewarn-agent", "run", "--dir", str(trial.agent))
    finally:
        os.environ.clear()
        os.environ.update(before)


def held(trial: Trial) -> Sequence[tuple[str, str, int]]:
    """Return (spool, lane, sequence) of all the stopped collector holds, in order."""
    with sqlite3.connect(trial.instance / "state.sqlite") as state:
        (number,) = state.execute("SELECT number FROM hosts").fetchone()
    store = DuckSampleStore(trial.instance / "samples")
    try:
        return [(spool, str(lane), sequence) for spool, lane, sequence in store.sequences(number)]
    finally:
        store.close()


def longest_pause(trial: Trial, metric: str) -> float:
    """Return the longest time in seconds between two readings, by the collector's dating."""
    store = DuckSampleStore(trial.instance / "samples")
    try:
        now = time.time_ns() // 1000
        (series, *_) = store.history(1, metric, now - 600_000_000, now, steps=60_000)
    finally:
        store.close()
    times: list[int] = series.at.tolist()
    return max((later - earlier) / 1e6 for earlier, later in pairwise(times))


def repeats(rows: Sequence[tuple[str, str, int]]) -> list[tuple[str, int]]:
    """Return what is there more than once, whatever the lane."""
    count = Counter((spool, sequence) for spool, _, sequence in rows)
    return [key for key, times in count.items() if times > 1]


def gaps(rows: Sequence[tuple[str, str, int]]) -> list[int]:
    """Return the sequence numbers that are missing between the first and the last held."""
    numbers = sorted({sequence for _, _, sequence in rows})
    return sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))


@contextmanager
def loop_filesystem(folder: Path, megabytes: int = 64) -> Iterator[Path]:
    """Give a loop-mounted ext4 of its own.  Needs root."""
    image, mountpoint = folder / "disk.img", folder / "full"
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    mountpoint.mkdir()
    subprocess.run(["mount", "-o", "loop", str(image), str(mountpoint)], check=True)
    try:
        yield mountpoint
    finally:
        subprocess.run(["umount", str(mountpoint)], check=True)
