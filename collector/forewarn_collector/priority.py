"""How pressing a ticket is: what it hits times how bad it is."""

from collections.abc import Collection

from forewarn_checks.base import Severity

BUSINESS_CRITICAL = "business-critical"
"""The tag of hosts whose trouble is everybody's."""

_URGENCY = {Severity.CRITICAL: 1, Severity.HIGH: 2, Severity.WARNING: 3, Severity.INFO: 3}
_MATRIX = {
    (1, 1): "P1",
    (1, 2): "P2",
    (2, 1): "P2",
    (1, 3): "P3",
    (2, 2): "P3",
    (3, 1): "P3",
    (2, 3): "P4",
    (3, 2): "P4",
    (3, 3): "P5",
}


def priority(severity: Severity, host_class: str, tags: Collection[str] = ()) -> str:
    """Return P1 to P5: the class of the host gives the impact, the severity the urgency."""
    impact = 2 if host_class == "server" else 3
    if BUSINESS_CRITICAL in tags:
        impact = 1
    return _MATRIX[impact, _URGENCY[severity]]
