"""Who asks, and how much they may."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What a person may do, least first; each may do all that the ones before it may."""

    VIEWER = "viewer"  # read
    TECHNICIAN = "technician"  # work on tickets
    OPERATOR = "operator"  # change hosts, bring in new ones
    APPROVER = "approver"  # countersign what runs on hosts
    ADMIN = "admin"  # people, keys and settings

    @property
    def rank(self) -> int:
        """0 for viewer to 4 for admin."""
        return list(Role).index(self)

    def reaches(self, needed: "Role") -> bool:
        """Say whether this role may do what `needed` may."""
        return self.rank >= needed.rank

    def lower_of(self, other: "Role") -> "Role":
        """Return the role that may do less."""
        return self if self.rank <= other.rank else other


@dataclass(frozen=True, slots=True)
class Principal:
    """A person behind one request, with the rights of this moment.

    `clients` are the ids of the clients they may see; None means every client.  `until` is when
    the key that brought them ends, None for a session: no key made with a key outlives it.
    """

    name: str
    role: Role
    clients: frozenset[str] | None
    user_id: str = ""
    until: datetime | None = None

    def may_see(self, client_id: str) -> bool:
        """Say whether what belongs to this client exists for them."""
        return self.clients is None or client_id in self.clients
