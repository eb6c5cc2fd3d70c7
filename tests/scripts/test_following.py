"""When an order is followed to its end, and when following it further would be in vain."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from forewarn_scripts import approved
from forewarn_scripts.answers import OrderTarget
from forewarn_scripts.following import Counts, Spread, counted, picture

AT = "2026-11-21T08:00:00Z"


def target(name: str, *, offered: bool = False, ended: str = "", well: bool = False) -> OrderTarget:
    return OrderTarget.model_validate(
        {
            "host": name,
            "name": name,
            "fingerprint": "sha256:0",
            "public_key": "x",
            "offered_at": AT if offered or ended else None,
            "ended_at": AT if ended else None,
            "ended": ended,
            "well": well,
        }
    )


@pytest.mark.parametrize(
    ("why", "counts", "spread", "halted"),
    [
        ("nobody asked yet", Counts(0, 0, 0, 9), Spread(halt_after=1), False),
        ("one failed, one still runs", Counts(0, 1, 1, 8), Spread(halt_after=1), False),
        ("one failed", Counts(3, 1, 0, 6), Spread(halt_after=1), True),
        ("fewer failed than it takes", Counts(3, 1, 0, 6), Spread(halt_after=2), False),
        ("a canary failed", Counts(1, 1, 0, 8), Spread(canary=2), True),
        ("canaries to come", Counts(0, 1, 0, 9), Spread(canary=2), False),
        ("canaries are well", Counts(2, 0, 0, 8), Spread(canary=2), False),
        ("nobody waits", Counts(8, 2, 0, 0), Spread(halt_after=1), False),
    ],
)
def test_a_halt_is_seen(why: str, counts: Counts, spread: Spread, *, halted: bool) -> None:
    assert counts.is_halted(spread) is halted, why


def test_every_host_counts_once() -> None:
    targets = [
        target("a", ended="done", well=True),
        target("b", ended="done"),
        target("c", offered=True),
        target("d"),
    ]
    assert counted(targets) == Counts(1, 1, 1, 1)
    assert counted(targets).words == "1 well, 1 not, 1 running, 1 waiting, of 4"


def test_names_of_hosts_steer_no_terminal() -> None:
    console = Console(width=100, record=True, force_terminal=False)
    hostile = "\x1b[2Jx\u202ey\nb well"
    with console.capture() as drawn:
        targets = [target(hostile, offered=True)]
        console.print(picture(targets, counted(targets), 3))
    shown = drawn.get()
    assert "\x1b" not in shown and "\u202e" not in shown
    assert "b well" not in [line.strip() for line in shown.splitlines()]


def test_a_script_is_compared_with_what_one_signed_for_oneself(tmp_path: Path) -> None:
    place = tmp_path / "approved"
    assert approved.last(place, "acme", "x.sh") is None
    assert "signed for none" in approved.compared(None, b"echo a\n")[0]
    approved.remember(place, "acme", "x.sh", b"echo a\n")
    assert approved.last(place, "acme", "x.sh") == b"echo a\n"
    assert approved.last(place, "globex", "x.sh") is None
    told = approved.compared(b"echo a\n", b"echo b\n")
    assert "  -echo a" in told and "  +echo b" in told
    assert len(approved.compared(b"echo a\n", b"echo a\n")) == 1
    # Both read the same once decoded; the whole of it is shown, not an empty difference.
    assert "all of it" in approved.compared(b"\xff\n", b"\xfe\n")[0]
