"""What collector.toml may change of a rule, at every host or at some."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from forewarn_checks.base import Severity
from forewarn_checks.base.durations import parse_duration


def duration(value: object) -> timedelta:
    """Return the duration that a value of a file names.  Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError('write a duration in quotes: "30s", "5m", "6h" or "7d"')
    return parse_duration(value)


Duration = Annotated[timedelta, BeforeValidator(duration)]
"""``"30s"``, ``"5m"``, ``"6h"`` or ``"7d"``."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class _Table(BaseModel):
    """A TOML table: what it does not know is a mistake worth telling."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ConditionChange(_Table):
    """The second condition, ``and = {metric = "disk_free_bytes", below = 5e9}``."""

    metric: str = Field(description="Another metric of the same check.")
    above: Number | None = Field(default=None, description="Holds from here up.")
    below: Number | None = Field(default=None, description="Holds from here down.")


class IncreaseChange(_Table):
    """A clause of a growth rule, ``{metric = "smart_pending_sectors", by = 2}``."""

    metric: str = Field(description="A counter of the same check.")
    by: Number = Field(description="It must have grown by so much.")
    and_: "IncreaseChange | None" = Field(
        default=None, alias="and", description="A second counter that must have grown, too."
    )
    within: Duration | None = Field(
        default=None, description="Raise only for growth in so short a time."
    )


class LevelChange(_Table):
    """One level of a threshold rule, ``[rules.NAME.levels.critical]``."""

    enabled: StrictBool = Field(default=True, description="false takes the level away.")
    above: Number | None = Field(default=None, description="The level is reached from here up.")
    below: Number | None = Field(default=None, description="The level is reached from here down.")
    clear_at: Number | None = Field(default=None, description="Back here, the level falls.")
    within: Duration | None = Field(default=None, description="So little time is left.")
    and_: ConditionChange | Literal[False] | None = Field(
        default=None, alias="and", description="Must hold, too; false takes it away."
    )


class Adjustment(_Table):
    """The fields of a rule that may be changed.  What is left out stays as the check says."""

    enabled: StrictBool | None = Field(default=None, description="false: not judged at all.")
    severity: Severity | None = Field(default=None, description="info, warning, high or critical.")
    above: Number | None = Field(default=None, description="Raise from here up.")
    below: Number | None = Field(default=None, description="Raise from here down.")
    when: Number | None = Field(default=None, description="Raise while the metric equals this.")
    clear_at: Number | None = Field(default=None, description="Clear once the metric is back here.")
    hold_for: Duration | None = Field(default=None, description="Raise only after this long.")
    clear_for: Duration | None = Field(default=None, description="Clear only after this long.")
    after: Duration | None = Field(default=None, description="Silent for this long.")
    within: Duration | None = Field(default=None, description="Forecast for no later than this.")
    window: Duration | None = Field(default=None, description="How far back growth counts.")
    any_of: tuple[IncreaseChange, ...] = Field(
        default=(), description="Counters, any of which grew enough; replaces all of the rule's."
    )
    and_: ConditionChange | Literal[False] | None = Field(
        default=None, alias="and", description="Must hold, too; false takes it away."
    )
    levels: Mapping[Severity, LevelChange] = Field(
        default_factory=dict, description="Where the rule becomes more severe."
    )


class ScopeChange(Adjustment):
    """An adjustment for some hosts, ``[[rules.NAME.scopes]]``."""

    select: str | None = Field(default=None, description='Which hosts: "client:acme class:server".')
    group: str | None = Field(default=None, description="Or the name of a group of this file.")


class RuleChange(Adjustment):
    """All that is changed of one rule, ``[rules.NAME]``."""

    scopes: tuple[ScopeChange, ...] = Field(
        default=(), description="Other values for some hosts; the most specific scope wins."
    )
