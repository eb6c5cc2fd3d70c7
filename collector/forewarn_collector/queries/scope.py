"""The parts every query shares: whose rows, how bad, and where a page begins."""

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, FromClause, Label, case, func, select, true

from forewarn_checks.base import Severity
from forewarn_collector.api.principal import Principal
from forewarn_collector.rules.together import HOST_SILENT, SITE_SILENT
from forewarn_collector.selector import Health
from forewarn_collector.state.tables import alerts

FIRING_STATES = ("firing", "clearing")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A host nobody hears is worse than any of its old alerts: nothing known of it is current.
_RANKS = {
    Health.OK: 0,
    Health.WARNING: 1,
    Health.HIGH: 2,
    Health.CRITICAL: 3,
    Health.SILENT: 4,
}


class BadCursor(ValueError):
    """The cursor is not one that was given out for this list."""


def seen_by(principal: Principal, client_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a row belongs to a client this principal may see."""
    return true() if principal.clients is None else client_id.in_(sorted(principal.clients))


def moment(microseconds: int) -> datetime:
    """Return the aware UTC datetime of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds(at: datetime) -> int:
    """Return whole microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


class HealthOf:
    """Health by host as SQL: outer-join `per_host` on the host id, then use the columns.

    An info alert is worth telling, not worth a colour: the host stays ok.
    """

    def __init__(self) -> None:
        rank = case(
            (alerts.c.rule.in_((HOST_SILENT, SITE_SILENT)), _RANKS[Health.SILENT]),
            *((alerts.c.severity == str(s), _RANKS[Health(s)]) for s in _COLOURED),
            else_=0,
        )
        self.per_host: FromClause = (
            select(
                alerts.c.host_id.label("host_id"),
                func.max(rank).label("rank"),
                func.count().label("firing"),
            )
            .where(alerts.c.state.in_(FIRING_STATES))
            .group_by(alerts.c.host_id)
            .subquery("health")
        )
        columns = self.per_host.c
        self.rank: ColumnElement[int] = func.coalesce(columns.rank, 0)
        self.firing: ColumnElement[int] = func.coalesce(columns.firing, 0)
        self.text: ColumnElement[str] = case(
            *((self.rank == rank, str(health)) for health, rank in _RANKS.items() if rank),
            else_=str(Health.OK),
        )

    def columns(self) -> tuple[Label[str], Label[int], Label[int]]:
        """Return health, rank and the number of firing alerts, under these names."""
        return self.text.label("health"), self.rank.label("rank"), self.firing.label("firing")


_COLOURED = (Severity.WARNING, Severity.HIGH, Severity.CRITICAL)


def write_cursor(*values: str | int) -> str:
    """Return an opaque text for where the next page begins."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def read_cursor(text: str, kinds: Sequence[type[str] | type[int]]) -> list[str | int]:
    """Return the values of a cursor.  Raises BadCursor for anything not written by us."""
    try:
        padded = text + "=" * (-len(text) % 4)
        values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise BadCursor(_NOT_OURS) from None
    if not isinstance(values, list) or [type(value) for value in values] != list(kinds):
        raise BadCursor(_NOT_OURS)
    if not all(_storable(value) for value in values):
        raise BadCursor(_NOT_OURS)
    return values


_NOT_OURS = "the cursor is not one that this list gave out; begin again without one"


def _storable(value: str | int) -> bool:
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return not any("\ud800" <= character <= "\udfff" for character in value)


def count_by_health(counts: Mapping[str, int]) -> dict[Health, int]:
    """Return a count for each health, worst first, zeros included."""
    worst_first: Collection[Health] = sorted(_RANKS, key=lambda h: -_RANKS[h])
    return {health: counts.get(health, 0) for health in worst_first}
