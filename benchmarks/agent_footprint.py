"""What the resident agent costs: memory and processor time at its default schedule.

    python -m benchmarks.agent_footprint [--minutes 10] [--json]

Starts a collector and an enrolled agent with no settings of its own on loopback, waits, and reads
/proc.  PSS shares a page among those who use it, so the collector beside it makes it look a little
lighter; `private_bytes` counts only what nobody shares, `rss_bytes` all.  Processor time includes
that of the short-lived children.  Beside them, as a ratio, the same figures of a bare Python that
imports psutil and sleeps.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from forewarn_collector.trial import start_collector, trial_run


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process, after a while."""

    rss_bytes: int
    pss_bytes: int
    private_bytes: int
    cpu_seconds: float
    children_cpu_seconds: float


def measure(process: psutil.Process) -> Cost:
    """Read what a process costs now."""
    memory, times = process.memory_full_info(), process.cpu_times()
    return Cost(
        rss_bytes=memory.rss,
        pss_bytes=memory.pss,
        private_bytes=memory.uss,
        cpu_seconds=times.user + times.system,
        children_cpu_seconds=times.children_user + times.children_system,
    )


def bare() -> Cost:
    """Measure a Python that does nothing but know psutil."""
    child = subprocess.Popen([sys.executable, "-c", "import psutil, time; time.sleep(60)"])
    try:
        time.sleep(2)
        return measure(psutil.Process(child.pid))
    finally:
        child.kill()
        child.wait()


def main() -> int:
    """Run an agent for a while and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with trial_run(lambda _: None) as trial:
        start_collector(trial)
        ready = trial.instance / "control.sock"
        trial.wait_for("collector", 30, lambda: True if ready.exists() else None)
        token = trial.call(
            *("forewarn-collector", "token", "create", "--client", "a", "--site", "b"),
            *("--dir", str(trial.instance)),
        ).splitlines()[-1]
        trial.agent.mkdir(0o700)
        trial.call("forewarn-agent", "enrol", "-", "--dir", str(trial.agent), given=token)
        trial.start("forewarn-agent", "run", "--dir", str(trial.agent))
        agent = psutil.Process(trial.children["forewarn-agent"].pid)
        time.sleep(45)  # the first round of every check
        first = measure(agent)
        for minute in range(round(options.minutes)):
            print(f"\r{minute} of {options.minutes:g} minutes", end="", file=sys.stderr)
            time.sleep(options.minutes * 60 / round(options.minutes))
        last = measure(agent)
        sent = sum(file.stat().st_size for file in Path(trial.agent).rglob("*"))
    print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
    alone = bare()
    steady = (last.cpu_seconds - first.cpu_seconds) / (options.minutes * 60)
    report = {
        "minutes": options.minutes,
        "agent": asdict(last),
        "bare_python_with_psutil": asdict(alone),
        "pss_ratio": last.pss_bytes / alone.pss_bytes,
        "resident_cpu_share": steady,
        "first_round_children_cpu_seconds": first.children_cpu_seconds,
        "files_bytes": sent,
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return 0
    print(
        f"resident agent after {options.minutes:g} min: PSS {last.pss_bytes / 1e6:.1f} MB"
        f" (private {last.private_bytes / 1e6:.1f}, RSS {last.rss_bytes / 1e6:.1f});"
        f" {steady:.3%} of a core; bare Python with psutil: PSS {alone.pss_bytes / 1e6:.1f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
