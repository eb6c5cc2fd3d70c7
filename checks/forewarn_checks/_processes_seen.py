"""Look at the processes of the host, and say which of them a pattern means."""

import contextlib
import fnmatch
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_RANGE = re.compile(r"(?P<pattern>.*\S)\s+(?P<least>\d{1,6})\.\.(?P<most>\d{1,6})?")
_OPEN_FILES = re.compile(r"^Max open files\s+(\d+)", re.MULTILINE)
_LONGEST_LINE = 4096


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which processes are meant, and how many there should be; no `most` means no such bound."""

    pattern: str
    least: int = 1
    most: int | None = None

    def __str__(self) -> str:
        return self.pattern

    def means(self, process: "Process") -> bool:
        """Whether `process` is one, by its name or by its whole command line."""
        return any(fnmatch.fnmatchcase(text, self.pattern) for text in (process.name, process.line))


def parse_wanted(text: str) -> Wanted:
    """Return what ``PATTERN [LEAST..MOST]`` names.  Raises ValueError."""
    match = _RANGE.fullmatch(text)
    wanted = Wanted(text)
    if match is not None:
        most = int(match["most"]) if match["most"] else None
        wanted = Wanted(match["pattern"], int(match["least"]), most)
    if not wanted.pattern or (wanted.most is not None and wanted.most < wanted.least):
        raise ValueError("write a name or a pattern, and after it how many there should be: 2..8")
    return wanted


@dataclass(frozen=True, slots=True)
class Process:
    """One process.  `began` tells it from an earlier one of the same number.

    `line` is its command line, which may hold secrets: it is matched, never told.
    """

    number: int
    began: float
    name: str
    line: str


@dataclass(frozen=True, slots=True)
class Use:
    """What one process uses; None is what this user may not see."""

    cpu_seconds: float
    memory_bytes: int
    threads: int
    descriptors: int | None
    descriptors_ratio: float | None  # of its own limit


def all_processes() -> Iterator[Process]:
    """Yield every process but this one; those that end meanwhile are left out."""
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            if each.pid == os.getpid():
                continue  # its settings name the patterns, and so may its arguments
            line: list[str] = []
            with contextlib.suppress(psutil.AccessDenied):
                line = each.cmdline()
            name = each.name()
            yield Process(
                each.pid, each.create_time(), name, " ".join(line)[:_LONGEST_LINE] or name
            )


def use_of(number: int) -> Use | None:
    """Return what a process uses; None when it has ended or may not be looked at."""
    try:
        process = psutil.Process(number)
        with process.oneshot():
            times = process.cpu_times()
            memory, threads = process.memory_info().rss, process.num_threads()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    descriptors = _descriptors(process)
    limit = _descriptor_limit(number)
    ratio = descriptors / limit if descriptors is not None and limit else None
    return Use(times.user + times.system, memory, threads, descriptors, ratio)


def _descriptors(process: psutil.Process) -> int | None:
    if sys.platform == "win32":
        with contextlib.suppress(psutil.Error):
            return process.num_handles()
        return None
    # since Linux 6.2 the folder's size is their number, and that anybody may ask
    with contextlib.suppress(OSError):
        count = Path(f"/proc/{process.pid}/fd").stat().st_size
        if count:
            return count
    with contextlib.suppress(psutil.Error, OSError):
        return process.num_fds()
    return None


def _descriptor_limit(number: int) -> int | None:
    """Return the soft limit of open files; None where there is none or it may not be seen."""
    if sys.platform == "win32":
        return None
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{number}/limits").read_text("ascii", "replace")
        if match := _OPEN_FILES.search(text):
            return int(match[1])
    return None


def total(uses: Iterable[Use]) -> Use | None:
    """Return what all use together and the largest share of a descriptor limit; None for none."""
    given = list(uses)
    if not given:
        return None
    descriptors = [use.descriptors for use in given if use.descriptors is not None]
    ratios = [use.descriptors_ratio for use in given if use.descriptors_ratio is not None]
    return Use(
        cpu_seconds=sum(use.cpu_seconds for use in given),
        memory_bytes=sum(use.memory_bytes for use in given),
        threads=sum(use.threads for use in given),
        # a part of them would be told as all
        descriptors=sum(descriptors) if len(descriptors) == len(given) else None,
        descriptors_ratio=max(ratios, default=None),
    )
