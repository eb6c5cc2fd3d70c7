"""Thin pools of LVM: the room that many volumes were promised together."""

import shutil
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from forewarn_checks._process import Execute, execute
from forewarn_checks._series import series
from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Forecast,
    Level,
    Metric,
    NothingToRead,
    Options,
    Panel,
    Reading,
    Severity,
    State,
    Threshold,
    Unit,
    WrongSystem,
)
from forewarn_checks.linux.thin import parse_status, pools_seen

_LABELS = ("pool",)

DATA_USED = Metric("thin_data_used_ratio", Unit.RATIO, "Used share of a pool's data.", _LABELS)
METADATA_USED = Metric(
    "thin_metadata_used_ratio", Unit.RATIO, "Used share of a pool's metadata.", _LABELS
)
STOPPED = Metric(
    "thin_stopped",
    Unit.COUNT,
    "1 when a pool failed, is full, or turned read-only, else 0.",
    _LABELS,
)

_MOST = 64  # pools; three series each
_PATIENCE_SECONDS = 10.0
_PLACES = ("/usr/sbin/dmsetup", "/sbin/dmsetup")


def read_linux(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read every thin pool; nothing where there is none."""
    if sys.platform == "win32":
        raise WrongSystem
    path = shutil.which("dmsetup") or next((p for p in _PLACES if Path(p).is_file()), None)
    yield from readings(Path("/"), path, execute)


def readings(root: Path, dmsetup: str | None, run: Execute) -> Iterator[Reading]:
    """Yield what the `dmsetup` at that path, started by `run`, says of the pools below `root`.

    Raises NothingToRead without a pool, CannotRead for pools it may not ask of.
    """
    seen = pools_seen(root)
    if seen is None:
        raise NothingToRead("nothing is mapped here, so there is no thin pool")
    if dmsetup is None:
        if not seen:
            raise NothingToRead("no thin pool of LVM")
        raise CannotRead(f"{_named(seen)}: install package dmsetup, which says how full it is")
    try:
        done = run((dmsetup, "status", "--target", "thin-pool"), _PATIENCE_SECONDS)
    except OSError as error:
        raise CannotRead(f"{dmsetup} cannot be started: {error}") from error
    if done.status != 0:
        if not seen:
            raise NothingToRead("no thin pool of LVM, as far as may be seen without root")
        raise CannotRead(f"{_named(seen)}: {_trouble(dmsetup, done.status, done.errors)}")
    pools = parse_status(done.output)
    if not pools:
        raise NothingToRead("no thin pool")
    for pool in pools[:_MOST]:
        yield from series(
            {"pool": pool.name},
            (DATA_USED, pool.data_used_ratio),
            (METADATA_USED, pool.metadata_used_ratio),
            (STOPPED, pool.stopped),
        )


def _named(pools: list[str]) -> str:
    more = f" and {len(pools) - 3} more" if len(pools) > 3 else ""
    return f"thin pool {', '.join(pools[:3])}{more}"


def _trouble(dmsetup: str, status: int | None, errors: str) -> str:
    if status is None:
        return f"{dmsetup} did not end within {_PATIENCE_SECONDS:g} s; see dmesg for a hung device"
    said = " ".join(errors.split())[:200]
    if "denied" in said or "not permitted" in said:
        return (
            "how full it is the kernel tells root alone (capability CAP_SYS_ADMIN); run the agent "
            "as root on this host, or turn the check off: [checks.thin] enabled = false"
        )
    return f"{dmsetup} status ended with {status}: {said}; run it by hand to see what is wrong"


CHECK = Check(
    name="thin",
    help="Thin pools of LVM: the room that many volumes were promised together.",
    every=timedelta(minutes=5),
    timeout=timedelta(seconds=20),
    metrics=(DATA_USED, METADATA_USED, STOPPED),
    component=Component("thin pool", _LABELS),
    read_linux=read_linux,
    read_windows=None,
    rules=(
        *(
            Threshold(
                name=name,
                metric=metric,
                severity=Severity.WARNING,
                above=0.80,
                clear_at=0.75,
                hold_for=timedelta(minutes=5),
                clear_for=timedelta(minutes=10),
                levels={
                    Severity.HIGH: Level(above=0.90, clear_at=0.87),
                    Severity.CRITICAL: Level(above=0.95, clear_at=0.93),
                },
                title=f"Thin pool {{pool}} on {{host}} is running out of {what} ({{value}} used)",
                advice=(
                    "When it is full, writes fail in every volume in it at once, whatever df says "
                    f"inside them. Give it more: lvextend {option} {{pool}}. Or give back: fstrim "
                    "in the guests and filesystems on it, delete old snapshots (lvs). Let LVM do "
                    "it by itself: thin_pool_autoextend_threshold in lvm.conf."
                ),
            )
            for name, metric, what, option in (
                ("ThinPoolAlmostFull", DATA_USED, "space", "-L +10G"),
                ("ThinMetadataAlmostFull", METADATA_USED, "metadata", "--poolmetadatasize +1G"),
            )
        ),
        Forecast(
            name="ThinPoolWillFill",
            metric=DATA_USED,
            severity=Severity.WARNING,
            reaches=1.0,
            within=timedelta(days=7),
            levels={Severity.HIGH: timedelta(days=2), Severity.CRITICAL: timedelta(hours=12)},
            title="Thin pool {pool} on {host} will be full about {due}",
            advice=(
                "At {value} now and growing: by the present trend it is full between {earliest} "
                "and {latest}, and then writes fail in every volume in it. See which grows: lvs, "
                "today and tomorrow. Extend the pool (lvextend) or the volume group (vgextend) "
                "before then, or trim and delete snapshots."
            ),
        ),
        State(
            name="ThinPoolStopped",
            metric=STOPPED,
            severity=Severity.CRITICAL,
            when=1,
            clear_for=timedelta(minutes=5),
            title="Thin pool {pool} on {host} takes no more writes",
            advice=(
                "It is full, failed, or turned read-only to save itself. See which: lvs -a -o "
                "+lv_health_status, dmsetup status, dmesg. Full: extend it (lvextend) and check "
                "the filesystems on it. needs_check: take the volumes out of use, then lvconvert "
                "--repair {pool}. Look at the drives below before that."
            ),
        ),
    ),
    panels=(
        Panel(DATA_USED, drawn_as="bar"),
        Panel(METADATA_USED, drawn_as="bar"),
        Panel(STOPPED, drawn_as="state"),
    ),
)
