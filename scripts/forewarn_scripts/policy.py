"""What this endpoint permits, whatever anybody signed: policy.toml, written by its owner alone.

    mode = "signed"
    [trust]
    keyring = "/etc/forewarn/keyring.json"
    [[class]]
    name = "housekeeping"
    threshold = 1
    run_as = ["forewarn-run"]
    keys = ["sha256:…"]

Without the file nothing may be run.  Nothing in it is guessed: a key that is not known makes the
whole file unusable, and an unusable policy permits nothing.

    BadPolicy       the file cannot be used; the text says where, and what to do
"""

import os
import re
import stat
import sys
import tomllib
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from forewarn_checks.base.durations import parse_duration
from forewarn_scripts.order import Account, Digest, Interpreter, KeyId, Text

DEFAULT_PATH = Path("/etc/forewarn/policy.toml")
_MOST_FILE_BYTES = 256 * 1024


class BadPolicy(Exception):
    """policy.toml cannot be used."""


class Mode(StrEnum):
    """Who decides what runs here."""

    MONITOR_ONLY = "monitor-only"  # nothing runs
    ALLOWLIST = "allowlist"  # only scripts whose bytes stand in the file
    SIGNED = "signed"  # whatever enough of the named keys signed


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as bad:
        raise ValueError(f"no regular expression: {bad}") from None
    return text


def _hours(text: str) -> str:
    begin, _, end = text.partition("-")
    for part in (begin, end):
        datetime.strptime(part, "%H:%M")  # noqa: DTZ007 - a clock face, no moment
    return text


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Name = Annotated[Text, StringConstraints(min_length=1, max_length=100)]
Hours = Annotated[str, StringConstraints(max_length=11), AfterValidator(_hours)]


class Trust(_Form):
    """Who may author orders."""

    keyring: Annotated[str, StringConstraints(pattern=r"^/")] = "/etc/forewarn/keyring.json"


class Limits(_Form):
    """Bounds for every script."""

    max_timeout: Duration = timedelta(minutes=10)
    max_output_kib: Annotated[int, Field(ge=1, le=192)] = 192
    max_runs_per_hour: Annotated[int, Field(ge=1, le=1000)] = 6


class Argument(_Form):
    """One argument: the whole of it must match."""

    name: Name
    pattern: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_pattern)]

    def takes(self, value: str) -> bool:
        """Say whether `value` is such an argument."""
        return re.fullmatch(self.pattern, value) is not None


class _Right(_Form):
    """What an entry of either mode grants."""

    name: Name
    threshold: Annotated[int, Field(ge=1, le=20)] = 1
    max_hosts: Annotated[int, Field(ge=1)] = 1000
    standing: bool = False  # may be signed for weeks ahead, too
    hours: Hours | None = None  # local time, "22:00-05:00"

    def open_at(self, local: datetime) -> bool:
        """Say whether a script may begin at this local time."""
        if self.hours is None:
            return True
        begin, _, end = self.hours.partition("-")
        now = local.strftime("%H:%M")
        return begin <= now < end if begin <= end else now >= begin or now < end


class Allowed(_Right):
    """A script whose bytes and whose shape of arguments are known here beforehand."""

    sha256: Digest
    interpreter: Interpreter
    run_as: Account
    args: Annotated[tuple[Argument, ...], BeforeValidator(_tuple)] = ()

    def takes(self, argv: tuple[str, ...]) -> bool:
        """Say whether these are the arguments the entry asks for, in number and in form."""
        return len(argv) == len(self.args) and all(
            argument.takes(value) for argument, value in zip(self.args, argv, strict=True)
        )


class KeyClass(_Right):
    """What the holders of these keys may do."""

    keys: Annotated[tuple[KeyId, ...], BeforeValidator(_tuple), Field(min_length=1)]
    run_as: Annotated[tuple[Account, ...], BeforeValidator(_tuple), Field(min_length=1)]
    interpreters: Annotated[tuple[Interpreter, ...], BeforeValidator(_tuple)] = (
        "/bin/sh",
        "/bin/bash",
    )

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("one key is listed twice")
        if self.threshold > len(self.keys):
            raise ValueError("the threshold is higher than there are keys")
        return self


class Policy(_Form):
    """What the endpoint permits."""

    mode: Annotated[Mode, Field(strict=False)] = Mode.MONITOR_ONLY
    trust: Trust = Trust()
    limits: Limits = Limits()
    allow: Annotated[tuple[Allowed, ...], BeforeValidator(_tuple)] = ()
    classes: Annotated[tuple[KeyClass, ...], BeforeValidator(_tuple)] = Field((), alias="class")


MONITOR_ONLY = Policy.model_validate({})


def parse(text: str, name: str = "policy.toml") -> Policy:
    """Return the policy that `text` states.  Raises BadPolicy."""
    try:
        return Policy.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as bad:
        raise BadPolicy(f"{name}: {bad}; until it is mended nothing is run") from None
    except ValidationError as bad:
        told = [_where(error) for error in bad.errors(include_url=False, include_input=False)[:5]]
        raise BadPolicy(f"{name}: {'; '.join(told)}; until it is mended nothing is run") from None


def load(path: Path, owner: int = 0) -> Policy:
    """Return the policy of this host, `MONITOR_ONLY` when there is no file.

    Raises BadPolicy, also when anybody but `owner` (a user id; root) could have written it.
    """
    data = read_owned(path, owner)
    if data is None:
        return MONITOR_ONLY
    try:
        return parse(data.decode(), str(path))
    except UnicodeDecodeError:
        raise BadPolicy(f"{path}: no UTF-8; until it is mended nothing is run") from None


def read_owned(path: Path, owner: int = 0) -> bytes | None:
    """Return the bytes of a file that only `owner` or root can have written, None if there is none.

    Raises BadPolicy for any other file, a link among them.
    """
    if sys.platform == "win32":  # noqa: TID251 - rights are told in another way there
        raise BadPolicy(f"{path}: this system is not yet supported; nothing is run")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as failure:
        raise BadPolicy(f"{path} cannot be read ({failure.strerror}); nothing is run") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_FILE_BYTES:
            raise BadPolicy(f"{path} is no plain small file; nothing is run")
        _check_owner(path, status, {0, owner})
        for folder in path.absolute().parents:
            _check_owner(folder, folder.lstat(), {0, owner})
        return file.read()


def _check_owner(path: Path, status: os.stat_result, owners: set[int]) -> None:
    # In a folder with the sticky bit others may add names, but not take ours away.
    shared = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
    if status.st_uid not in owners or shared or stat.S_ISLNK(status.st_mode):
        raise BadPolicy(
            f"{path} could have been written by others than root; nothing is run until:"
            f" chown root {path} && chmod go-w {path}"
        )


def _where(error: Any) -> str:
    return f"{'.'.join(str(part) for part in error['loc']) or 'the file'}: {error['msg']}"
