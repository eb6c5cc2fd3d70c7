"""What tickets were promised, kept by content so that it never changes.  All SQL of it is here."""

from datetime import datetime

from sqlalchemy import Connection, insert, select

from forewarn_collector.sla.policy import Policy, read_policy
from forewarn_collector.state.tables import promises

# A version is a hash of what it stands for: what was read once holds for good.
_READ: dict[str, Policy] = {}
_MOST = 1000


def keep(connection: Connection, policy: Policy, now: datetime) -> str:
    """Return the version of a policy, having made sure that it is kept."""
    there = select(promises.c.version).where(promises.c.version == policy.version)
    if connection.execute(there).first() is None:
        row = {"version": policy.version, "content": policy.written(), "created_at": now}
        connection.execute(insert(promises).values(row))
    return policy.version


def kept(connection: Connection, version: str) -> Policy:
    """Return the policy of a version that some ticket names."""
    if version not in _READ:
        content = select(promises.c.content).where(promises.c.version == version)
        policy = read_policy(connection.execute(content).scalar_one())
        if len(_READ) >= _MOST:
            _READ.clear()
        _READ[version] = policy
    return _READ[version]
