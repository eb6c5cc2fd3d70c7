"""Answers, inside the lab's machine, what the test on the other end of the serial line asks.

A question is a line of JSON, {"shell": SCRIPT} or {"check": NAME, "user": "root" or "nobody"}; so
is the answer.  Runs on Debian's own Python, with the packages of the repository's environment.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(sys.argv[1])
ROOTS = ("agent", "checks", "scripts", ".venv/lib/python3.11/site-packages")
ONCE = "import sys; from forewarn_agent.cli import app; sys.argv[0] = 'forewarn-agent'; app()"


def once(check: str, user: str) -> object:
    """Return what ``forewarn-agent once`` says of one check."""
    argv = ["python3", "-c", ONCE, "once", "--check", check, "--json"]
    paths = ":".join(str(REPOSITORY / root) for root in ROOTS)
    done = subprocess.run(
        argv if user == "root" else ["setpriv", "--reuid=nobody", "--clear-groups", *argv],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/tmp"},
    )
    try:
        return json.loads(done.stdout)["runs"][0]
    except (ValueError, KeyError, IndexError):
        return {"outcome": "no answer", "error": done.stdout[-500:] + done.stderr[-1500:]}


def shell(script: str) -> object:
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    return {"status": done.returncode, "said": (done.stdout + done.stderr)[-3000:]}


def main() -> None:
    subprocess.run(["stty", "-F", "/dev/ttyS1", "raw", "-echo", "115200"], check=True)
    with open("/dev/ttyS1", "rb", buffering=0) as asked, open("/dev/ttyS1", "wb", 0) as told:
        told.write(b'{"ready": true}\n')
        pending = b""
        while True:
            pending += asked.read(4096)
            while b"\n" in pending:
                line, _, pending = pending.partition(b"\n")
                question = json.loads(line)
                answer = (
                    shell(question["shell"])
                    if "shell" in question
                    else once(question["check"], question["user"])
                )
                told.write(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
