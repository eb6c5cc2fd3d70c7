"""Run smartctl: find it, list its devices, ask one of them.  Knows processes, not drives."""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from forewarn_checks._process import Done, Execute, execute
from forewarn_checks.base import CannotRead

ASLEEP = 3
"""Exit status of ``-n standby,3`` when the drive was left sleeping."""

_GUARD = ("-n", f"standby,{ASLEEP}")
_PLACES = (
    "/usr/sbin/smartctl",
    "/usr/local/sbin/smartctl",
    r"C:\Program Files\smartmontools\bin\smartctl.exe",
    r"C:\Program Files (x86)\smartmontools\bin\smartctl.exe",
)
_UNKNOWN_OPTION = re.compile(r"UNRECOGNIZED OPTION|INVALID ARGUMENT TO.*json", re.IGNORECASE)
_SCAN_LINE = re.compile(
    r"(?P<shut># )?(?P<name>\S+) -d (?P<type>\S+) # .*?, (?P<protocol>\S+) device"
    r"(?: open failed: (?P<trouble>.*))?"
)


@dataclass(frozen=True, slots=True)
class Device:
    """One device as smartctl names it; `trouble` says why the scan could not open it."""

    name: str
    type: str = ""  # of -d; empty lets smartctl find out
    protocol: str = ""  # ATA, NVMe or SCSI, as far as the scan knows
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """smartctl's answer on one device: the JSON document, the text, or both, or neither."""

    document: Mapping[str, object]
    text: tuple[str, ...]
    status: int | None


def find(configured: str = "") -> str | None:
    """Return the path of smartctl, or None: services often run without the sbin folders."""
    if configured:
        return configured if Path(configured).is_file() else None
    return shutil.which("smartctl") or next((p for p in _PLACES if Path(p).is_file()), None)


class Smartctl:
    """smartctl at `path`; every call is bounded, and none wakes a sleeping drive."""

    def __init__(self, path: str, *, timeout_seconds: float = 30, run: Execute = execute) -> None:
        """Nothing runs before the first question."""
        self._path = path
        self._timeout_seconds = timeout_seconds
        self._run = run

    def scan(self) -> tuple[Device, ...]:
        """Return the devices smartctl finds, in its order.

        Raises CannotRead when even the list of devices cannot be had.
        """
        for how in ("--scan-open", "--scan"):
            done = self._call(how, "-j", *_GUARD)
            if _UNKNOWN_OPTION.search(done.output):
                done = self._call(how)  # before 7.0 there was no JSON
            found = devices(done.output)
            if found:
                return found
            if done.status == 0:
                return ()
        reason = "did not answer in time" if done.status is None else first_line(done.output)
        raise CannotRead(
            f"{self._path} --scan: {reason or 'no output'}; run it by hand to see what is wrong"
        )

    def ask(self, device: Device, *what: str) -> Answer:
        """Return what smartctl says of `device`, by default everything (``-a``)."""
        kind = ("-d", device.type) if device.type else ()
        question = (*_GUARD, *(what or ("-a",)), *kind, device.name)
        done = self._call("--json=o", *question)
        if _UNKNOWN_OPTION.search(done.output):
            done = self._call(*question)
        return answer(done)

    def _call(self, *arguments: str) -> Done:
        try:
            return self._run((self._path, *arguments), self._timeout_seconds)
        except OSError as error:
            raise CannotRead(f"{self._path} cannot be started: {error.strerror}") from error


def answer(done: Done) -> Answer:
    """Return the parts of one answer; ``--json=o`` carries the text inside the JSON."""
    document = _document(done.output)
    if document is None:
        return Answer({}, tuple(done.output.splitlines()), done.status)
    about = document.get("smartctl")
    lines = about.get("output") if isinstance(about, dict) else None
    text = tuple(str(line) for line in lines) if isinstance(lines, list) else ()
    return Answer(document, text, done.status)


def devices(output: str) -> tuple[Device, ...]:
    """Return the devices a scan printed, as JSON or as lines."""
    document = _document(output)
    if document is None:
        matches = (_SCAN_LINE.match(line) for line in output.splitlines())
        return tuple(
            Device(m["name"], m["type"], m["protocol"], (m["trouble"] or "") if m["shut"] else "")
            for m in matches
            if m is not None
        )
    rows = document.get("devices")
    return tuple(_devices(rows if isinstance(rows, list) else ()))


def first_line(text: str) -> str:
    """Return the first line that says something, without smartctl's own banner."""
    for line in text.splitlines():
        if line.strip() and not line.startswith(("smartctl ", "Copyright ", "===")):
            return line.strip()[:200]
    return ""


def _devices(rows: Iterable[object]) -> Iterable[Device]:
    for row in rows:
        if isinstance(row, dict) and isinstance(row.get("name"), str):
            yield Device(
                name=row["name"],
                type=str(row.get("type", "")),
                protocol=str(row.get("protocol", "")),
                trouble=str(row.get("open_error", "")),
            )


def _document(output: str) -> Mapping[str, object] | None:
    """Return the JSON document, or None where the output is something else."""
    if not output.lstrip().startswith("{"):
        return None
    try:
        document = json.loads(output)
    except (ValueError, RecursionError):
        return None  # killed half-way
    return document if isinstance(document, dict) else None
