"""Run benchmarks by name, or all of them: `python -m benchmarks [NAME…]`.

Each prints its own table; see its module for what is measured and how.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(sys.executable).parent
BENCHMARKS: dict[str, list[str]] = {
    "forecast": [sys.executable, "-m", "benchmarks.forecast"],
    "tickets": [sys.executable, "-m", "benchmarks.tickets"],
    "noise": [sys.executable, "-m", "benchmarks.noise"],
    "orders": [sys.executable, "-m", "benchmarks.order_spread"],
    "rules": [sys.executable, "-m", "benchmarks.rule_pass"],
    "suppression": [sys.executable, "-m", "benchmarks.suppression"],
    "agent": [sys.executable, "-m", "benchmarks.agent_footprint"],
    "collector": [
        str(HERE / "forewarn-collector"),
        "bench",
        "--hosts",
        "10000",
        "--minutes",
        "6.5",
    ],
}


def main() -> int:
    """Run what is named, in order; return the first exit code that is not 0."""
    names = sys.argv[1:] or list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            print(f"there is no benchmark {name}; there are {', '.join(BENCHMARKS)}")
            return 2
        print(f"== {name}", flush=True)
        code = subprocess.run(BENCHMARKS[name], check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
