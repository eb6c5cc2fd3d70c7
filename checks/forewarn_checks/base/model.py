"""What a check declares: metrics, how they are read, how they are judged and shown."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from forewarn_checks.base.wire import FactValue, Sample


@dataclass(frozen=True, slots=True)
class Fact:
    """One slow-changing thing about the host, e.g. ``os_name`` or the table ``disks``."""

    name: str
    value: FactValue


OptionValue = str | int | float | bool | tuple[str, ...]
Options = Mapping[str, OptionValue]
Reading = Sample | Fact
Reader = Callable[[Options], Iterable[Reading]]
"""Reads the host once.  What it yielded before it raised is kept."""


class NothingToRead(Exception):
    """The host has nothing of this kind; the run is `nothing`, not `failed`.

    Its text says what is missing and what to install or grant, if that would help.
    """


class CannotRead(Exception):
    """Reading was refused or made no sense; the run is `failed` and the text says what to do."""


class WrongSystem(Exception):
    """A reader was called on a system it is not for; also lets mypy skip its body there."""


class Unit(StrEnum):
    """Base units only; pages and messages scale them."""

    BYTES = "bytes"
    RATIO = "ratio"  # 0 to 1
    SECONDS = "seconds"
    CELSIUS = "celsius"
    COUNT = "count"  # names of counts are bare


class Severity(StrEnum):
    """How bad, lowest first."""

    INFO = "info"
    WARNING = "warning"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info to 3 for critical."""
        return _RANKS[self]


# Asked for several times a reading: a look-up, not a search.
_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing we measure.

    `name` is check, thing, unit: ``disk_free_bytes``.  It is public: renaming one is a decision.
    """

    name: str
    unit: Unit
    help: str
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.unit is not Unit.COUNT and not self.name.endswith(f"_{self.unit}"):
            raise ValueError(f"{self.name} must end in its unit, _{self.unit}")

    def sample(self, value: float, **labels: str) -> Sample:
        """Return one reading of this metric, carrying exactly its declared labels."""
        if set(labels) != set(self.labels):
            raise ValueError(f"{self.name} takes labels {self.labels}, got {tuple(labels)}")
        return Sample(metric=self.name, value=float(value), labels=labels)


@dataclass(frozen=True, slots=True)
class Component:
    """The part of a host a check speaks of; its rules share one ticket per component.

    `labels` are those that stay the same for the life of the part (a mountpoint, a serial; never
    a device letter).  Without labels there is one such part on a host.
    """

    kind: str
    labels: tuple[str, ...] = ()

    def name(self, labels: Mapping[str, str]) -> str:
        """Return ``filesystem:/srv`` or, without labels, ``memory``."""
        if not self.labels:
            return self.kind
        return f"{self.kind}:{','.join(labels.get(label, '') for label in self.labels)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A second metric of the same run and component that must also be past its mark."""

    metric: Metric
    above: float | None = None
    below: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Where a threshold rule becomes more severe, and where it falls back."""

    above: float | None = None
    below: float | None = None
    clear_at: float
    and_: Condition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Fires while a metric stays at or past `above` (or `below`) for `hold_for`.

    It clears once the metric is back at `clear_at` for `clear_for`, or once `and_` has stopped
    holding for as long.  `levels` raise the severity at once and lower it only through their own
    `clear_at`.  `where` picks series by label value.  `title` and `advice` may name labels,
    ``{host}`` and ``{value}``.
    """

    name: str
    metric: Metric
    severity: Severity
    above: float | None = None
    below: float | None = None
    clear_at: float
    hold_for: timedelta = timedelta(0)
    clear_for: timedelta = timedelta(0)
    and_: Condition | None = None
    levels: Mapping[Severity, Level] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    title: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Fires while a metric equals `when` for `hold_for`; clears when it has not for `clear_for`.

    `hold_readings` asks for that many readings in a row besides.
    """

    name: str
    metric: Metric
    severity: Severity
    when: float
    hold_for: timedelta = timedelta(0)
    hold_readings: int = 1
    clear_for: timedelta = timedelta(0)
    where: Mapping[str, str] = field(default_factory=dict)
    title: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Increase:
    """A counter that grew by at least `by` inside its rule's window.

    `and_` is a second counter of the same component that must have grown as well.  `within` asks
    for it in a shorter time than the window: growth in a burst raises, and counts for the whole
    window once the rule stands.
    """

    metric: Metric
    by: float
    and_: "Increase | None" = None
    within: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Fires when any counter of `any_of` grew enough within `window`.

    Growth is the sum of positive increments.  A drop is a new baseline and counts nothing: the
    part was swapped or its firmware reset.  The first value ever seen is a baseline, too.
    ``{value}`` in `title` and `advice` says which counters grew and by how much.
    """

    name: str
    severity: Severity
    any_of: tuple[Increase, ...]
    window: timedelta
    where: Mapping[str, str] = field(default_factory=dict)
    title: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Fires when `metric`, growing, is forecast to reach `reaches` within `within`.

    `levels` raise the severity as time runs out.  A change of `restarts_on`, e.g. the size of a
    filesystem, by more than a hundredth makes what was before no ground for a forecast; it is a
    metric of the same check with the same labels.  `title` and `advice` may also name ``{due}``,
    ``{earliest}`` and ``{latest}``.
    """

    name: str
    metric: Metric
    severity: Severity
    reaches: float
    within: timedelta
    levels: Mapping[Severity, timedelta] = field(default_factory=dict)
    restarts_on: Metric | None = None
    hold_for: timedelta = timedelta(hours=1)
    clear_for: timedelta = timedelta(hours=6)
    title: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """Fires when what is used up in steps is forecast to reach `reaches` within `within`.

    `metric` only rises, e.g. by whole percents; a drop is a new beginning.  Too few steps carry no
    date.  `levels` raise the severity as time runs out; `where` picks series by label value;
    `title` and `advice` may also name ``{due}``, ``{earliest}`` and ``{latest}``.
    """

    name: str
    metric: Metric
    severity: Severity
    reaches: float
    within: timedelta
    levels: Mapping[Severity, timedelta] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    hold_for: timedelta = timedelta(0)
    clear_for: timedelta = timedelta(days=2)
    title: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Fires when nothing was received for `after` (the collector's own downtime not counted)."""

    name: str
    severity: Severity
    after: timedelta
    title: str
    advice: str


Rule = Threshold | State | Growth | Forecast | Wear | Absence


@dataclass(frozen=True, slots=True)
class Panel:
    """How pages draw a metric: ``line``, ``bar`` (a share of a whole) or ``state`` (0 or 1)."""

    metric: Metric
    drawn_as: str = "line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A setting of one check, ``[checks.NAME.options]`` in agent.toml.

    One that is `remote` may be set by the collector, too: plain data, never what is run, read from
    or connected to.
    """

    name: str
    default: OptionValue
    help: str
    remote: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing forewarn watches: what is read, how, how often and what it means.

    A reader is None on a system the check does not know.  `in_child` readers run in a short-lived
    process that can be killed and gives its memory back.  `works_on` are the options that name
    what to look at: a check that has some is scheduled only once one of them is set.
    """

    name: str
    help: str
    every: timedelta
    timeout: timedelta
    metrics: tuple[Metric, ...]
    component: Component
    read_linux: Reader | None
    read_windows: Reader | None
    rules: tuple[Rule, ...] = ()
    panels: tuple[Panel, ...] = ()
    options: tuple[Option, ...] = ()
    works_on: tuple[Option, ...] = ()
    in_child: bool = False

    def has_work(self, options: Options) -> bool:
        """Whether there is anything to look at with these options."""
        return not self.works_on or any(
            options.get(option.name, option.default) for option in self.works_on
        )
