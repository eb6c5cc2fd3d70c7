"""What the kernel says went wrong inside it since boot."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Growth,
    Increase,
    Metric,
    Options,
    Panel,
    Reading,
    Sample,
    Severity,
    State,
    Unit,
    WrongSystem,
)
from forewarn_checks.linux.sysfs import number

FAULT = Metric(
    "kernel_fault",
    Unit.COUNT,
    "1 when the kernel marked itself for this since boot, else 0: oops, lockup, machine_check, "
    "bad_page.",
    ("fault",),
)
HUNG = Metric(
    "kernel_hung_tasks",
    Unit.COUNT,
    "Times a task was found stuck in the kernel for two minutes, a counter (newer kernels).",
    ("fault",),
)

# Bits of /proc/sys/kernel/tainted (admin-guide/tainted-kernels) that mean harm.  Others tell of
# modules from elsewhere, or of warnings, and are no fault of this host.
_FAULTS = {"machine_check": 4, "bad_page": 5, "oops": 7, "lockup": 14}


def read_linux(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read the marks the kernel made on itself and its count of hung tasks."""
    if sys.platform == "win32":
        raise WrongSystem
    tainted = number(Path("/proc/sys/kernel/tainted"))
    if tainted is None:
        raise CannotRead("/proc/sys/kernel/tainted: cannot be read; is /proc mounted?")
    yield from readings(tainted, number(Path("/proc/sys/kernel/hung_task_detect_count")))


def readings(tainted: int, hung: int | None) -> Iterator[Sample]:
    """Yield each fault that `tainted` can tell of; `hung` is None where it is not counted."""
    for fault, bit in _FAULTS.items():
        yield FAULT.sample(tainted >> bit & 1, fault=fault)
    if hung is not None:
        yield HUNG.sample(hung, fault="hung_task")


CHECK = Check(
    name="kernel",
    help="What the kernel says went wrong inside it since boot.",
    every=timedelta(minutes=5),
    timeout=timedelta(seconds=10),
    metrics=(FAULT, HUNG),
    component=Component("kernel", ("fault",)),
    read_linux=read_linux,
    read_windows=None,
    rules=(
        State(
            name="KernelFault",
            metric=FAULT,
            severity=Severity.HIGH,
            when=1,
            title="The kernel of {host} went wrong: {fault}",
            advice=(
                "Read what it wrote: journalctl -k -b | grep -iE 'oops|bug:|lockup|mce|hardware "
                "error|bad page'. machine_check is hardware: processor, memory or board. oops and "
                "bad_page are a driver, the kernel or bad memory: update the kernel, test the "
                "memory. lockup is often a hypervisor that gave no time. The mark stays until the "
                "host restarts, and it should: it runs on, but not as it should."
            ),
        ),
        Growth(
            name="TasksHung",
            severity=Severity.WARNING,
            any_of=(Increase(metric=HUNG, by=1),),
            window=timedelta(hours=6),
            title="Tasks on {host} hang in the kernel: {value}",
            advice=(
                "Within 6 hours: {value}. Each waited two minutes for something, nearly always a "
                "disk or a network filesystem. See which: journalctl -k | grep 'blocked for more'; "
                "ps -eo pid,stat,wchan:30,comm | grep ' D'. Look at SMART, at the path to the "
                "storage and at the mounts that do not answer."
            ),
        ),
    ),
    panels=(Panel(FAULT, drawn_as="state"), Panel(HUNG)),
)
