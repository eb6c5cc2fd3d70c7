"""Events out of a real journal: a journald of its own in a mount namespace.  Needs root."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

JOURNALD = Path("/lib/systemd/systemd-journald")

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not JOURNALD.exists(), reason="apt-get install systemd"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root"),
]

_SET_UP = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
/lib/systemd/systemd-journald 2>/dev/null &
journald=$!
trap 'kill $journald' EXIT
until journalctl --lines=0 --show-cursor --no-pager 2>/dev/null | grep -q cursor; do sleep 0.1; done
"$@"
"""

_SCENE = r"""
import json, os, socket, sys, time
from forewarn_checks.base import NothingToRead
from forewarn_checks.events import CHECK

log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.connect("/run/systemd/journal/dev-log")
options = {"patterns": ("db gone = app.*cannot connect",)}

def look():
    began = time.monotonic()
    found = {" ".join([each.metric, *each.labels.values()]): each.value
             for each in CHECK.read_linux(options)}
    found["seconds"] = time.monotonic() - began
    return found

def say(*lines):
    for line in lines:
        log.send(line.encode())
    time.sleep(0.5)

told = [look()]
say("<11>app: cannot connect: timeout", "<14>app: fine", "<8>app: cannot connect, and worse")
told.append(look())
told.append(look())
say(*(f"<11>flood: line {n} {'x' * 100}" for n in range(60000)))
told.append(look())
say("<11>app: cannot connect")
told.append(look())
os.setgroups([]); os.setgid(65534); os.setuid(65534)
del os.environ["FOREWARN_AGENT_DIR"]
try:
    look()
except NothingToRead as nothing:
    told.append(str(nothing))
json.dump(told, sys.stdout)
"""


def test_a_real_journal_is_counted_bounded_and_asked_for_rights(tmp_path: Path) -> None:
    """Also a flood, after which the next entry is seen, and a user who may not read it."""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _SET_UP, "sh", sys.executable, "-c", _SCENE],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"FOREWARN_AGENT_DIR": str(tmp_path)},
    )
    first, second, again, flood, after, refused = json.loads(done.stdout)
    assert first["events_errors error"] == 0
    assert (second["events_errors error"], second["events_errors critical"]) == (1, 1)
    assert second["events_matched db gone"] == 2
    assert {**again, "seconds": 0} == {**second, "seconds": 0}
    assert flood["events_cut"] == 1
    assert flood["seconds"] < 30
    assert after["events_matched db gone"] == 3
    assert after["events_cut"] == 0
    assert "systemd-journal" in refused
    print({name: round(each["seconds"], 3) for name, each in
           (("quiet", again), ("flood", flood), ("after", after))})  # fmt: skip
