"""Read what was logged since a record, from the Windows Event Log, within bounds."""

import html
import json
import re
import sys
from collections.abc import Callable

from forewarn_checks._events_seen import Batch, Event
from forewarn_checks.base import CannotRead, WrongSystem

CHANNELS = ("System", "Application")
_MOST = 5000  # entries of one channel
_LONGEST_TEXT = 2000
_LEVELS = {"1": "critical", "2": "error"}
_RECORD = re.compile(r"<EventRecordID>(\d{1,20})</EventRecordID>")
_LEVEL = re.compile(r"<Level>(\d{1,3})</Level>")
_PROVIDER = re.compile(r"<Provider Name=(?:'([^']*)'|\"([^\"]*)\")")
_NUMBER = re.compile(r"<EventID[^>]{0,80}>(\d{1,10})</EventID>")
_DATA = re.compile(r"<Data[^>]{0,200}>([^<]*)</Data>")

Query = Callable[[str, str, bool, int], list[str]]
"""Returns the XML of at most so many entries of a channel that an XPath picks, newest first or
oldest first.  Raises CannotRead."""


class EventLog:
    """The System and Application logs."""

    def __init__(self, query: Query) -> None:
        self._query = query

    def end(self) -> str:
        """Return the cursor of the last entries."""
        records = {}
        for channel in CHANNELS:
            newest = self._query(channel, "*", True, 1)
            records[channel] = record_of(newest[0]) if newest else 0
        return json.dumps(records)

    def after(self, cursor: str, *, all_levels: bool) -> Batch:
        """Return what was logged after `cursor`, errors and worse or all of it."""
        try:
            records = {channel: int(json.loads(cursor)[channel]) for channel in CHANNELS}
        except (ValueError, KeyError, TypeError):
            return Batch((), self.end(), whole=False)
        events: list[Event] = []
        whole = True
        for channel in CHANNELS:
            levels = "" if all_levels else "(Level=1 or Level=2) and "
            path = f"*[System[{levels}EventRecordID>{records[channel]}]]"
            found = self._query(channel, path, False, _MOST)
            events += [parse(xml) for xml in found]
            whole = whole and len(found) < _MOST
            if found:
                records[channel] = max(record_of(xml) for xml in found)
            elif self._was_cleared(channel, records[channel]):
                records[channel], whole = 0, False
        return Batch(tuple(events), json.dumps(records), whole)

    def _was_cleared(self, channel: str, record: int) -> bool:
        """Whether numbers began anew: nobody may hide behind a cleared log."""
        newest = self._query(channel, "*", True, 1)
        return bool(newest) and record_of(newest[0]) < record


def record_of(xml: str) -> int:
    """Return the number of an entry; 0 when it has none."""
    found = _RECORD.search(xml)
    return int(found[1]) if found else 0


def parse(xml: str) -> Event:
    """Return an entry: ``provider number: its data``."""
    level, number = _LEVEL.search(xml), _NUMBER.search(xml)
    provider = _PROVIDER.search(xml)
    who = html.unescape((provider[1] or provider[2] or "") if provider else "")
    data = " ".join(html.unescape(each).strip() for each in _DATA.findall(xml[:65536]))
    text = f"{who} {number[1] if number else ''}: {data}"
    return Event(_LEVELS.get(level[1] if level else "", ""), text[:_LONGEST_TEXT])


def query(channel: str, path: str, newest_first: bool, most: int) -> list[str]:
    """Ask the log service; see `Query`."""
    if sys.platform != "win32":
        raise WrongSystem
    import pywintypes  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import win32evtlog  # type: ignore[import-not-found, import-untyped, unused-ignore]

    direction = (
        win32evtlog.EvtQueryReverseDirection
        if newest_first
        else win32evtlog.EvtQueryForwardDirection
    )
    found: list[str] = []
    try:
        handle = win32evtlog.EvtQuery(channel, win32evtlog.EvtQueryChannelPath | direction, path)
        while len(found) < most:
            events = win32evtlog.EvtNext(handle, min(100, most - len(found)))
            if not events:
                break
            for event in events:
                found.append(str(win32evtlog.EvtRender(event, win32evtlog.EvtRenderEventXml)))
    except pywintypes.error as error:
        raise CannotRead(
            f"event log {channel}: {error.strerror}; is the service Windows Event Log on, and "
            "is the agent's account in Event Log Readers?"
        ) from error
    return found
