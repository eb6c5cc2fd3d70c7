"""Tell until when the maker of this release publishes fixes, from what lies on the host."""

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from forewarn_checks.linux.os_release import Distribution

# Package distro-info-data, there by default on Ubuntu and with unattended-upgrades on Debian.
_TABLES = Path("usr/share/distro-info")
# What everybody gets: Debian's long term support is free, Ubuntu's ESM and Debian's ELTS are not.
_COLUMNS = {"debian": ("eol-lts", "eol"), "ubuntu": ("eol",)}


def support_end(distribution: Distribution, root: Path = Path("/")) -> datetime | None:
    """Return the end of the last day with fixes; None when nothing here knows it."""
    day = _day(distribution.support_end)
    if day is None and distribution.id in _COLUMNS:
        try:
            table = (root / _TABLES / f"{distribution.id}.csv").read_text("utf-8", "replace")
        except OSError:
            return None
        day = parse_table(table, distribution.codename, _COLUMNS[distribution.id])
    if day is None:
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def parse_table(text: str, codename: str, columns: tuple[str, ...]) -> date | None:
    """Return the first of `columns` that has a day in the row of the release `codename`."""
    for row in csv.DictReader(text.splitlines()):
        if codename and row.get("series") == codename:
            days = (_day(row.get(column) or "") for column in columns)
            return next((day for day in days if day is not None), None)
    return None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
