"""While a host or its site is silent nothing current is known of it: what else fires is held."""

from forewarn_checks.base import Component
from forewarn_collector.judgement import Judgement
from forewarn_collector.rules.together import HOST_SILENT, SITE_SILENT
from forewarn_collector.state.alerts import AlertRow
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.suppression.holds import Hold, Holds
from forewarn_collector.suppression.windows import Cause

_SILENT = (HOST_SILENT, SITE_SILENT)
_COMPONENT = Component("host").name({})


def hold_of(holds: Holds, judgement: Judgement, row: AlertRow, host: KnownHost) -> Hold | None:
    """Return what holds an alert back now, or None."""
    hold = holds.of(host, row.rule, row.component)
    if hold is not None or row.rule in _SILENT:
        return hold
    for rule in _SILENT:
        silent = judgement.row((row.host_number, _COMPONENT, rule))
        if silent is not None and silent.alert.stands:
            return Hold(Cause.DEPENDENCY, "", f"nothing is heard of the host ({rule})", None)
    return None
