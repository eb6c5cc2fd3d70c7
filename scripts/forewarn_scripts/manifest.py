"""What a maintenance script says of itself, and how its arguments are checked before signing.

    help = "Restart one service, and see that it stays up."
    risk = "disrupts"
    timeout = "5m"
    helps_with = ["ServiceFailed"]
    [[arguments]]
    name = "service"
    kind = "word"
    pattern = "[A-Za-z0-9@._-]{1,100}"
    help = "Its name."

A script is always called with every argument that has a value, in the order of the manifest and
written ``--name=value``, and after them the flags that are set: what is signed hides no default,
and an endpoint's policy can describe it position by position.

    BadManifest     manifest.toml cannot be used; the text says where
    BadArgument     an argument is not taken; the text says what is
"""

import re
import tomllib
from abc import abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

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
from forewarn_scripts.order import Account


class BadManifest(ValueError):
    """manifest.toml cannot be used."""


class BadArgument(ValueError):
    """An argument is not taken."""


class Risk(StrEnum):
    """What a script can do to people's work."""

    LOOKS = "looks"  # changes nothing
    CHANGES = "changes"  # changes the host; nobody at work on it should notice
    DISRUPTS = "disrupts"  # may interrupt work: a service, or the whole host, goes away for a while


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


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


Help = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class _Argument(_Form):
    """One argument.  `default` is its value when none is given; None: it must be given."""

    name: Name
    help: Help
    default: str | None = None

    @abstractmethod
    def shape(self) -> str:
        """Return a regular expression for all of a value that is taken."""

    @abstractmethod
    def takes(self) -> str:
        """Return in words which values are taken."""

    def refuses(self, value: str) -> bool:
        """Say whether `value` is no such argument."""
        return re.fullmatch(self.shape(), value) is None

    def checked(self, value: str) -> str:
        """Return `value`.  Raises BadArgument."""
        if self.refuses(value):
            raise BadArgument(f"--{self.name}={value!r}: it takes {self.takes()}")
        return value

    @model_validator(mode="after")
    def _default_is_taken(self) -> Self:
        if self.default is not None:
            self.checked(self.default)
        return self


class Word(_Argument):
    """A text of a certain form."""

    kind: Literal["word"]
    pattern: Annotated[str, AfterValidator(_pattern)]

    def shape(self) -> str:
        """Return the pattern."""
        return self.pattern

    def takes(self) -> str:
        """Return the pattern in words."""
        return f"what matches {self.pattern}"


class Number(_Argument):
    """A whole number within bounds."""

    kind: Literal["number"]
    least: int = Field(ge=0)
    most: int = Field(le=10**9)

    def shape(self) -> str:
        """Return a pattern for its digits; the bounds are `refuses`'s."""
        return f"[0-9]{{1,{len(str(self.most))}}}"

    def takes(self) -> str:
        """Return the bounds in words."""
        return f"{self.least} to {self.most}"

    def refuses(self, value: str) -> bool:
        """Say whether `value` is no whole number within the bounds, in plain digits."""
        return super().refuses(value) or not self.least <= int(value) <= self.most


class Choice(_Argument):
    """One of a few words."""

    kind: Literal["choice"]
    choices: Annotated[tuple[Name, ...], BeforeValidator(_tuple), Field(min_length=2)]

    def shape(self) -> str:
        """Return the words as a pattern."""
        return "|".join(re.escape(one) for one in self.choices)

    def takes(self) -> str:
        """Return the words."""
        return ", ".join(self.choices)


class Flag(_Form):
    """Something that is asked for, or not: ``--name``, without a value."""

    kind: Literal["flag"]
    name: Name
    help: Help

    def takes(self) -> str:
        """Return that it has no value."""
        return "no value"


Argument = Annotated[Word | Number | Choice | Flag, Field(discriminator="kind")]


class Manifest(_Form):
    """One maintenance script, apart from its bodies."""

    help: Help
    risk: Annotated[Risk, Field(strict=False)]
    timeout: Annotated[timedelta, BeforeValidator(_duration)]
    run_as: Account = "root"
    helps_with: Annotated[tuple[str, ...], BeforeValidator(_tuple)] = ()
    arguments: Annotated[tuple[Argument, ...], BeforeValidator(_tuple)] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [one.name for one in self.arguments]
        if len(set(names)) != len(names):
            raise ValueError("an argument is declared twice")
        return self

    def argv(self, given: Sequence[str]) -> tuple[str, ...]:
        """Return what the script is called with when a person gave these words.

        ``--name value`` is taken for ``--name=value``.  Raises BadArgument.
        """
        values = self._values(given)
        argv: list[str] = []
        for one in self.arguments:
            if isinstance(one, Flag):
                continue
            value = values.get(one.name, one.default)
            if value is None:
                raise BadArgument(f"--{one.name} must be given: {one.help}")
            argv.append(f"--{one.name}={one.checked(value)}")
        flags = [one.name for one in self.arguments if isinstance(one, Flag)]
        return (*argv, *(f"--{name}" for name in flags if name in values))

    def shapes(self, given: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Return name and pattern of each word of the `argv` of these words, for a policy.

        Arguments that were given are bound to their values, the others to their forms.  Raises
        BadArgument.
        """
        values = self._values(given)
        found: list[tuple[str, str]] = []
        for one in self.arguments:
            if isinstance(one, Flag):
                continue
            value = values.get(one.name)
            form = one.shape() if value is None else re.escape(one.checked(value))
            found.append((one.name, f"--{one.name}=(?:{form})"))
        flags = [one.name for one in self.arguments if isinstance(one, Flag)]
        return (*found, *((name, f"--{name}") for name in flags if name in values))

    def _values(self, given: Sequence[str]) -> dict[str, str]:
        known = {one.name: one for one in self.arguments}
        values: dict[str, str] = {}
        words = iter(given)
        for word in words:
            name, has_value, value = word.removeprefix("--").partition("=")
            if not word.startswith("--") or name not in known:
                raise BadArgument(f"{word!r}: {self._taken()}")
            if name in values:
                raise BadArgument(f"--{name} is given twice")
            if isinstance(known[name], Flag):
                if has_value:
                    raise BadArgument(f"--{name} takes no value")
            elif not has_value:
                try:
                    value = next(words)
                except StopIteration:
                    raise BadArgument(f"--{name} needs a value: --{name}=…") from None
            values[name] = value
        return values

    def _taken(self) -> str:
        if not self.arguments:
            return "it takes no arguments"
        return f"it takes {', '.join(f'--{one.name}' for one in self.arguments)}"


def parse(text: str, name: str = "manifest.toml") -> Manifest:
    """Return the manifest that `text` states.  Raises BadManifest."""
    try:
        return Manifest.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as bad:
        raise BadManifest(f"{name}: {bad}") from None
    except ValidationError as bad:
        first = bad.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadManifest(f"{name}: {where}: {first['msg']}") from None
