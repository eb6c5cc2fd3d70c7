"""Codes of an authenticator (TOTP, RFC 6238): made, checked once each, slowed down when guessed.

A secret lies in the database locked with what no database holds, so that a stolen copy of it makes
no codes.  Recovery codes are kept as keyed hashes, and each counts once.  All SQL of it is in here.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import pyotp
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from pyotp.exceptions import OTPVerificationError
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.engine import Row

from forewarn_collector.state.tables import second_factors

ISSUER: Final = "forewarn"
MOST_FAILURES: Final = 5
REST: Final = timedelta(minutes=15)
"""So many wrong codes, and then one every quarter of an hour."""
RECOVERY_CODES: Final = 10
_STEPS: Final = 1  # of 30 seconds that a clock may be off
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"


class Checked(StrEnum):
    """What became of a code."""

    RIGHT = "right"
    WRONG = "wrong"  # or used before
    TOO_MANY = "too many"  # it was not looked at
    NONE = "none"  # this person has no second factor


@dataclass(frozen=True, slots=True)
class Factor:
    """How a person stands; `recovery` is how many recovery codes are left."""

    confirmed: bool
    recovery: int


@dataclass(frozen=True, slots=True)
class Locks:
    """What secrets are locked and codes are hashed with; made from the instance's pepper."""

    box: bytes
    codes: bytes

    @classmethod
    def of(cls, pepper: bytes) -> "Locks":
        """Return the locks of an instance."""
        return cls(_derived(pepper, b"totp secret"), _derived(pepper, b"totp recovery"))

    def __repr__(self) -> str:
        return "Locks(…)"


def _derived(pepper: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(purpose, key=pepper[:64], digest_size=32).digest()


def factor_of(connection: Connection, user_id: str) -> Factor | None:
    """Return how a person stands, None without a second factor, confirmed or not."""
    row = _row(connection, user_id)
    return None if row is None else Factor(row.confirmed_at is not None, len(row.recovery))


def begin(connection: Connection, user_id: str, locks: Locks, now: datetime) -> str:
    """Make a new secret for a person and return it, in base32; it counts once confirmed.

    What there was before is gone: whoever calls has asked for its code first.
    """
    secret = pyotp.random_base32()
    connection.execute(delete(second_factors).where(second_factors.c.user_id == user_id))
    locked = bytes(SecretBox(locks.box).encrypt(secret.encode()))
    connection.execute(
        insert(second_factors).values(user_id=user_id, secret=locked, made_at=now, recovery=[])
    )
    return secret


def confirm(
    connection: Connection, user_id: str, code: str, locks: Locks, now: datetime
) -> tuple[Checked, tuple[str, ...]]:
    """Take the first code of a new secret; return the recovery codes, shown this once."""
    row = _row(connection, user_id)
    if row is None or row.confirmed_at is not None:
        return Checked.NONE, ()
    checked = _check(connection, row, code, locks, now)
    if checked is not Checked.RIGHT:
        return checked, ()
    made = tuple(_recovery_code() for _ in range(RECOVERY_CODES))
    kept = [_hashed(code, locks) for code in made]
    _set(connection, user_id, confirmed_at=now, recovery=kept)
    return Checked.RIGHT, made


def check(connection: Connection, user_id: str, code: str, locks: Locks, now: datetime) -> Checked:
    """Check a code of the authenticator or a recovery code; each is taken once.

    To be committed whatever it returns: failures are counted.
    """
    row = _row(connection, user_id)
    if row is None or row.confirmed_at is None:
        return Checked.NONE
    return _check(connection, row, code, locks, now)


def end(connection: Connection, user_id: str) -> bool:
    """Take a person's second factor away; False when there was none."""
    gone = delete(second_factors).where(second_factors.c.user_id == user_id)
    return connection.execute(gone).rowcount == 1


def provisioning_uri(secret: str, name: str) -> str:
    """Return what an authenticator takes as a QR code."""
    uri: str = pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)
    return uri


def _check(
    connection: Connection, row: Row[tuple[object, ...]], code: str, locks: Locks, now: datetime
) -> Checked:
    if row.failures >= MOST_FAILURES and timedelta(0) <= now - row.failed_at < REST:
        return Checked.TOO_MANY
    plain = "".join(code.split()).lower()
    step = _step(bytes(row.secret), plain, locks, now)
    if step is not None and step > row.last_step:
        _set(connection, row.user_id, last_step=step, failures=0, failed_at=None)
        return Checked.RIGHT
    hashed = _hashed(plain, locks)
    left = [one for one in row.recovery if not hmac.compare_digest(one, hashed)]
    if len(left) < len(row.recovery):
        _set(connection, row.user_id, recovery=left, failures=0, failed_at=None)
        return Checked.RIGHT
    _set(connection, row.user_id, failures=row.failures + 1, failed_at=now)
    return Checked.WRONG


def _step(locked: bytes, code: str, locks: Locks, now: datetime) -> int | None:
    """Return the half minute that a code is of, None for a wrong one."""
    try:
        secret = SecretBox(locks.box).decrypt(locked).decode()
    except CryptoError:  # another pepper: a restored database without its secrets
        return None
    if len(code) != 6 or not (code.isascii() and code.isdigit()):
        return None
    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(code, for_time=now, valid_window=_STEPS)
    except OTPVerificationError:
        return None


def _recovery_code() -> str:
    letters = [secrets.choice(_LETTERS) for _ in range(12)]
    return "-".join("".join(letters[at : at + 4]) for at in (0, 4, 8))


def _hashed(code: str, locks: Locks) -> str:
    plain = code.replace("-", "").encode("utf-8", "surrogatepass")
    return hmac.new(locks.codes, plain, hashlib.sha256).hexdigest()


def _row(connection: Connection, user_id: str) -> Row[tuple[object, ...]] | None:
    query = select(second_factors).where(second_factors.c.user_id == user_id)
    return connection.execute(query).first()


def _set(connection: Connection, user_id: str, **values: object) -> None:
    changed = update(second_factors).where(second_factors.c.user_id == user_id)
    connection.execute(changed.values(values))
