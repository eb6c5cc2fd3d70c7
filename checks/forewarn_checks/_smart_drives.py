"""Ask drives, a few at a time, and say in one word what became of it."""

import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from forewarn_checks._smart_pysmart import from_text
from forewarn_checks._smart_report import Report, filled, from_json
from forewarn_checks._smartctl import ASLEEP, Answer, Device, Smartctl, first_line

_AT_ONCE = 4  # drives are slow to answer; more would only queue at one controller
# With the last drive's own time it stays below what the agent waits for its helper, 110 s: else a
# few dead drives would hide all the others.
_BUDGET_SECONDS = 70.0
_DENIED = re.compile(
    r"permission denied|operation not permitted|access is denied|Error=5\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Drive:
    """One device and what became of asking it.

    `state` is ok, asleep, denied, timed out, unsupported or unreadable; `detail` says why.
    """

    device: Device
    state: str
    detail: str = ""
    report: Report = field(default_factory=Report)

    @property
    def id(self) -> str:
        """What stays the same when cables move: serial, else WWN, else the device's name."""
        serial = clean(self.report.serial)
        return (serial if serial.strip("-0 ") else "") or self.report.wwn or self.device.name


def ask_all(
    smartctl: Smartctl, found: list[Device], clock: Callable[[], float] = time.monotonic
) -> list[Drive]:
    """Ask a few at a time, in order; stop asking when the check's time is nearly up."""
    until = clock() + _BUDGET_SECONDS

    def one(device: Device) -> Drive:
        if clock() > until:
            return Drive(device, "timed out", "not asked: other drives took too long")
        return ask(smartctl, device)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(one, found))


def ask(smartctl: Smartctl, device: Device) -> Drive:
    """Ask one drive, once; a SCSI drive a second time when it hides its power-on time."""
    if device.trouble:
        return Drive(device, _trouble(device.trouble), device.trouble)
    answer = smartctl.ask(device)
    if answer.status is None:
        return Drive(device, "timed out", "smartctl was killed: no answer in time")
    if answer.status == ASLEEP:
        return Drive(device, "asleep", "left sleeping")
    report = from_json(answer.document)
    if answer.text:
        background = _background(smartctl, device, report)
        report = filled(
            report, from_text(answer.text, report.protocol or device.protocol, background)
        )
    if report.says_something:
        return Drive(device, "ok", report=report)
    detail = _complaint(answer)
    return Drive(device, _trouble(detail), detail, report)


def _background(
    smartctl: Smartctl, device: Device, report: Report
) -> Callable[[], tuple[str, ...]]:
    """Return what fetches the background scan log, unless it could tell nothing new."""
    protocol = report.protocol or device.protocol
    if report.power_on_minutes is not None or protocol != "SCSI":
        return tuple
    return lambda: smartctl.ask(device, "-l", "background").text


def _complaint(answer: Answer) -> str:
    """Return what smartctl complained of, in its own words."""
    about = answer.document.get("smartctl")
    messages = about.get("messages") if isinstance(about, dict) else None
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("string"):
            return str(message["string"])[:200]
    for line in answer.text:
        if "SMART support is:" in line and "Available" not in line:
            return line.partition("SMART support is:")[2].strip()
    if answer.document.get("device"):
        return "it keeps no SMART data"
    return first_line("\n".join(answer.text)) or f"no answer, exit status {answer.status}"


def _trouble(detail: str) -> str:
    """Return the state that a complaint amounts to."""
    if _DENIED.search(detail):
        return "denied"
    hopeless = ("Unable to detect", "Unknown USB bridge", "no SMART", "Unavailable", "Disabled")
    return "unsupported" if any(word in detail for word in hopeless) else "unreadable"


def apart(drives: Iterable[Drive]) -> list[Drive]:
    """Return each drive once: two paths may lead to one, and two may claim one serial."""
    seen: dict[str, Report] = {}
    kept = []
    for drive in drives:
        if drive.state == "ok":
            other = seen.setdefault(drive.id, drive.report)
            if other is not drive.report and _same(other, drive.report):
                continue
        kept.append(drive)
    return kept


def _same(one: Report, two: Report) -> bool:
    return (one.model, one.wwn, one.size_bytes) == (two.model, two.wwn, two.size_bytes)


def listed(drives: list[Drive]) -> str:
    """Return the first few with their reasons."""
    named = [f"{drive.device.name} ({clean(drive.detail)})" for drive in drives[:3]]
    more = len(drives) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def clean(text: str) -> str:
    """Return text as a label may be: printable, on one line, not long."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:120]
