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


def computed(impact: int, urgency: int) -> str:
    """Return P1 to P5 for an impact and an urgency of 1 (the most) to 3."""
    return _MATRIX[impact, urgency]


def urgency_of(severity: Severity) -> int:
    """Return how soon something must be done, 1 to 3."""
    return _URGENCY[severity]


def impact_of(host_class: str, tags: Collection[str] = ()) -> int:
    """Return how many suffer from a host's trouble, 1 to 3: its class and tags tell."""
    if BUSINESS_CRITICAL in tags:
        return 1
    return 2 if host_class == "server" else 3


def priority(severity: Severity, host_class: str, tags: Collection[str] = ()) -> str:
    """Return P1 to P5: the class of the host gives the impact, the severity the urgency."""
    return computed(impact_of(host_class, tags), urgency_of(severity))
