"""What can be set in agent.toml: declared here once; read, checked and documented from that.

ConfigError      the file cannot be used; one line for each thing to mend
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from forewarn_agent import paths
from forewarn_checks.base import Check, Options
from forewarn_checks.base.catalog import all_checks
from forewarn_checks.base.durations import parse_duration, write_duration

_SHORTEST = timedelta(seconds=1)
_SHORTEST_REMOTE = timedelta(seconds=10)  # a hacked collector must not wear hosts out
_LONGEST = timedelta(days=7)
_MOST_WORDS, _MOST_LETTERS = 200, 256
_MIB = 2**20


class ConfigError(Exception):
    """agent.toml cannot be used.  `problems` say where, what and how to mend it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is said of one key in the sample file, and the least it may be."""

    help: str
    least: object = None


@dataclass(frozen=True, slots=True)
class Sending:
    """How batches leave.  Table [sending]."""

    settle: timedelta = field(
        default=timedelta(seconds=2),
        metadata={"setting": Setting("How long a batch waits for more runs after the first.")},
    )
    every: timedelta = field(
        default=timedelta(seconds=10),
        metadata={"setting": Setting("Least time between two batches when nothing changed.")},
    )
    timeout: timedelta = field(
        default=timedelta(seconds=30),
        metadata={"setting": Setting("How long the collector may take to answer.", _SHORTEST)},
    )
    live_for: timedelta = field(
        default=timedelta(minutes=5),
        metadata={"setting": Setting("Runs that could not leave for so long no longer go first.")},
    )


@dataclass(frozen=True, slots=True)
class SpoolBounds:
    """How much may wait on disk while the collector is away.  Table [spool]."""

    megabytes: int = field(
        default=64,
        metadata={"setting": Setting("Most disk space, in MiB; the oldest runs go first.", 4)},
    )
    keep_for: timedelta = field(
        default=timedelta(days=7),
        metadata={"setting": Setting("Runs older than this are dropped and counted.", _SHORTEST)},
    )
    leave_free_megabytes: int = field(
        default=256,
        metadata={"setting": Setting("Write nothing more when the disk has less free, in MiB.", 0)},
    )


@dataclass(frozen=True, slots=True)
class Logging:
    """What is written to stderr.  Table [log]."""

    level: str = field(
        default="info", metadata={"setting": Setting("debug, info, warning or error.")}
    )


@dataclass(frozen=True, slots=True)
class CheckConfig:
    """How one check runs.  Table [checks.NAME]."""

    every: timedelta
    enabled: bool = True
    options: Options = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckChange:
    """What the collector wants otherwise of one check.  None: as it is."""

    every: timedelta | None = None
    enabled: bool | None = None
    options: Options = field(default_factory=dict)


Remote = Mapping[str, CheckChange]


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """All of agent.toml, defaults filled in."""

    sending: Sending
    spool: SpoolBounds
    log: Logging
    checks: Mapping[str, CheckConfig]

    def enabled(self) -> dict[str, timedelta]:
        """Return the interval of each enabled check that its options give something to do."""
        known = all_checks()
        return {
            name: check.every
            for name, check in self.checks.items()
            if check.enabled and known[name].has_work(check.options)
        }


_TABLES: dict[str, type[Sending] | type[SpoolBounds] | type[Logging]] = {
    "sending": Sending,
    "spool": SpoolBounds,
    "log": Logging,
}
_LEVELS = ("debug", "info", "warning", "error")


def find(directory: Path) -> Path | None:
    """Return the agent.toml that counts, None when there is none.

    A folder that may not be looked into holds none for us: `once` runs as anybody.
    """
    for path in paths.config_files(directory):
        try:
            with path.open("rb"):
                return path
        except OSError:
            continue
    return None


def load(path: Path | None, remote: Remote | None = None) -> AgentConfig:
    """Return what `path` sets over what the collector wants over the defaults.

    Raises ConfigError, naming everything that is wrong at once, or OSError.
    """
    if path is None:
        return read("", "defaults", remote)
    return read(path.read_text(encoding="utf-8", errors="replace"), str(path), remote)


def read(text: str, name: str, remote: Remote | None = None) -> AgentConfig:
    """Return what the TOML `text` sets; `name` is what errors call it.  Raises ConfigError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        raise ConfigError([f"{name}: this is no TOML: {failure}"]) from failure
    problems: list[str] = []
    sections = _Section(name, "", document, problems)
    sections.refuse_unknown([*_TABLES, "checks"])
    config = AgentConfig(
        sending=_table(Sending, sections.table("sending")),
        spool=_table(SpoolBounds, sections.table("spool")),
        log=_table(Logging, sections.table("log")),
        checks=_checks(sections.table("checks"), remote or {}),
    )
    if config.log.level not in _LEVELS:
        problems.append(f"{name}: log.level is {config.log.level!r}; use one of {_join(_LEVELS)}")
    if problems:
        raise ConfigError(problems)
    return config


def _join(words: tuple[str, ...]) -> str:
    return ", ".join(words)


T = TypeVar("T", Sending, SpoolBounds, Logging)


def _table(kind: type[T], section: "_Section") -> T:
    """Return the dataclass `kind` as `section` sets it."""
    declared = {each.name: each for each in fields(kind)}
    section.refuse_unknown(list(declared))
    values = {
        name: section.value(name, each.default, each.metadata["setting"].least)
        for name, each in declared.items()
    }
    return kind(**values)


def read_remote(document: object) -> tuple[Remote, tuple[str, ...]]:
    """Return what a document of the collector wants, and what in it this agent does not know.

    ``{"checks": {NAME: {"every": "5m", "enabled": true, "options": {…}}}}``.  Only what is plain
    data can be set.  Raises ConfigError for anything else.
    """
    problems: list[str] = []
    sections = _Section("the collector", "", document, problems)
    sections.refuse_unknown(["version", "checks"])
    known, changes, skipped = all_checks(), {}, []
    checks = sections.table("checks")
    for name in checks.names():
        if name not in known:
            skipped.append(name)  # a newer collector's
            continue
        changes[name] = _change(known[name], checks.table(name), skipped)
    if problems:
        raise ConfigError(problems)
    return changes, tuple(skipped)


def _change(check: Check, section: "_Section", skipped: list[str]) -> CheckChange:
    section.refuse_unknown(["every", "enabled", "options"])
    options = section.table("options")
    values: dict[str, Any] = {}
    for name in options.names():
        option = next((one for one in check.options if one.name == name), None)
        if option is None:
            skipped.append(f"{check.name}.{name}")
        elif not option.remote:
            options.complain(name, "can be set in this host's own agent.toml alone")
        else:
            values[name] = options.value(name, option.default, None)
            if not _is_plain(values[name]):
                options.complain(name, f"is longer than {_MOST_WORDS} plain short texts")
    every = section.value("every", None, _SHORTEST_REMOTE, like=check.every)
    if every is not None and every > _LONGEST:
        section.complain("every", f"is more than {write_duration(_LONGEST)}; make it shorter")
    return CheckChange(every, section.value("enabled", None, None, like=True), values)


def _is_plain(value: object) -> bool:
    words = value if isinstance(value, tuple) else (value,)
    return len(words) <= _MOST_WORDS and all(
        len(str(word)) <= _MOST_LETTERS and str(word).isprintable() for word in words
    )


def _checks(section: "_Section", remote: Remote) -> dict[str, CheckConfig]:
    known = all_checks()
    section.refuse_unknown(list(known))
    return {
        name: _check(check, section.table(name), remote.get(name, CheckChange()))
        for name, check in known.items()
    }


def _check(check: Check, section: "_Section", wanted: CheckChange) -> CheckConfig:
    section.refuse_unknown(["every", "enabled", "options"])
    options = section.table("options")
    options.refuse_unknown([option.name for option in check.options])
    every = section.value("every", wanted.every or check.every, _SHORTEST)
    if every > _LONGEST:
        section.complain("every", f"is more than {write_duration(_LONGEST)}; make it shorter")
    return CheckConfig(
        every=every,
        enabled=section.value("enabled", wanted.enabled is not False, None),
        options={
            option.name: options.value(
                option.name, wanted.options.get(option.name, option.default), None
            )
            for option in check.options
        },
    )


@dataclass(frozen=True, slots=True)
class _Section:
    """One table of the file, and where to complain about it."""

    file: str
    key: str
    content: object
    problems: list[str]

    def complain(self, name: str, text: str) -> None:
        self.problems.append(f"{self.file}: {self._full(name)} {text}")

    def refuse_unknown(self, known: list[str]) -> None:
        if not isinstance(self.content, dict):
            self.problems.append(f"{self.file}: {self.key} must be a table, [{self.key}]")
            return
        for name in self.content:
            if name not in known:
                self.complain(name, _unknown(name, known))

    def table(self, name: str) -> "_Section":
        content = self.content.get(name, {}) if isinstance(self.content, dict) else {}
        return _Section(self.file, self._full(name), content, self.problems)

    def names(self) -> list[str]:
        """Return the keys of the table; complain when it is none."""
        self.refuse_unknown(list(self.content) if isinstance(self.content, dict) else [])
        return list(self.content) if isinstance(self.content, dict) else []

    def value(self, name: str, default: Any, least: Any, *, like: Any = None) -> Any:
        """Return what is set for `name`, of the type of `like`, or of `default`.

        `default` stands in on complaint.
        """
        if not isinstance(self.content, dict) or name not in self.content:
            return default
        stated = self.content[name]
        try:
            value = _as_kind(stated, default if like is None else like)
        except ValueError as failure:
            self.complain(name, f"is {stated!r}; {failure}")
            return default
        if least is not None and value < least:
            shown = write_duration(least) if isinstance(least, timedelta) else least
            self.complain(name, f"is {stated!r}; the least is {shown}")
            return default
        return value

    def _full(self, name: str) -> str:
        return f"{self.key}.{name}" if self.key else name


def _as_kind(stated: Any, default: Any) -> Any:
    """Return a TOML value in the type of `default`.  Raises ValueError with the mend."""
    if isinstance(default, timedelta):
        if not isinstance(stated, str):
            raise ValueError('write a duration in quotes, e.g. "30s", "5m", "6h" or "7d"')
        return parse_duration(stated)
    if isinstance(default, tuple):
        if not isinstance(stated, list) or not all(isinstance(word, str) for word in stated):
            raise ValueError('write a list of texts, e.g. ["one", "two"]')
        return tuple(stated)
    if isinstance(default, float) and isinstance(stated, int) and not isinstance(stated, bool):
        return float(stated)
    if type(stated) is not type(default):
        raise ValueError(f"write {_KINDS[type(default)]}")
    return stated


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotes"}


def _unknown(name: str, known: list[str]) -> str:
    import difflib  # only a mistake is worth its memory

    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"is not known; did you mean {near[0]}?"
    if not known:
        return "is not known; nothing can be set here: remove it"
    return f"is not known; remove it, or use one of {', '.join(known)}"


def sample_config() -> str:
    """Return an agent.toml that states every option with its description and default."""
    return "\n".join(_sample_lines()) + "\n"


def _sample_lines() -> Iterator[str]:
    yield "# Settings of the agent.  Everything is optional; what stands here are the defaults."
    yield '# Durations are "30s", "5m", "6h" or "7d".  Checked by: forewarn-agent config check'
    for name, kind in _TABLES.items():
        yield ""
        yield f"# {(kind.__doc__ or '').partition('  ')[0]}"
        yield f"[{name}]"
        for each in fields(kind):
            yield f"# {each.metadata['setting'].help}"
            yield f"{each.name} = {_write(each.default)}"
    for check in all_checks().values():
        yield ""
        yield f"# {check.help}"
        yield f"[checks.{check.name}]"
        yield f"every = {_write(check.every)}"
        yield "enabled = true"
        if check.options:
            yield f"[checks.{check.name}.options]"
        for option in check.options:
            yield f"# {option.help}"
            yield f"{option.name} = {_write(option.default)}"


def _write(value: object) -> str:
    if isinstance(value, timedelta):
        return f'"{write_duration(value)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_write(word) for word in value) + "]"
    return str(value)
