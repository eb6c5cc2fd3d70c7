"""What the collector answers about standing orders, keyrings and second factors."""

from datetime import datetime

from forewarn_scripts.answers import Answer


class SecondFactor(Answer):
    """Whether one has a second factor."""

    enrolled: bool
    recovery_left: int


class NewSecret(Answer):
    """A secret for an authenticator; `uri` is what its QR code says."""

    secret: str
    uri: str


class RecoveryCodes(Answer):
    """Codes for when the authenticator is lost."""

    codes: tuple[str, ...]


class KeyringLine(Answer):
    """A keyring as it was signed."""

    version: int
    envelope: str
    added_by: str
    added_at: datetime


class KeyringList(Answer):
    """The keyrings that are handed on, newest first."""

    keyrings: tuple[KeyringLine, ...]


class Tally(Answer):
    """What all runs of a standing order came to."""

    waiting: int
    running: int
    well: int
    failed: int
    missed: int
    cleared: int


class StandingLine(Answer):
    """A standing order in a list."""

    id: str
    client: str
    script: str
    reason: str
    trigger: str
    calendar: str
    within: str
    due: datetime | None
    not_after: datetime
    created_by: str
    cancelled_at: datetime | None
    tally: Tally


class StandingList(Answer):
    """Standing orders, newest first."""

    standing: tuple[StandingLine, ...]


class StandingRun(Answer):
    """One run of a standing order, as the collector has it; results are what counts."""

    name: str
    occurrence: str
    wanted_at: datetime
    held: str
    offered_at: datetime | None
    ended_at: datetime | None
    ended: str
    well: bool
    cleared_at: datetime | None


class StandingWhole(Answer):
    """A standing order with its runs, newest first."""

    standing: StandingLine
    runs: tuple[StandingRun, ...]
