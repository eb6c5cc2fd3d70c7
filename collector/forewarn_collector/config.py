"""Read collector.toml: addresses, destinations, changed rules.  Whole and valid, or not at all."""

import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails

from forewarn_checks.base import Forecast
from forewarn_checks.base.durations import write_duration
from forewarn_collector import clock, selector
from forewarn_collector.agent_config import AgentSettings, CheckScopeTable, CheckTable
from forewarn_collector.destinations import all_destinations, secrets_of
from forewarn_collector.mistakes import in_words
from forewarn_collector.routing import Routing
from forewarn_collector.rules.book import BadRule, RuleBook, declared
from forewarn_collector.rules.change import (
    Adjustment,
    ConditionChange,
    Duration,
    LevelChange,
    RuleChange,
    ScopeChange,
)
from forewarn_collector.rules.forecast import HISTORY_DAYS
from forewarn_collector.scopes import BadScope, meant
from forewarn_collector.sla.policy import Policies
from forewarn_collector.ticket_config import (
    BadTickets,
    CalendarTable,
    InboundTable,
    RouteTable,
    SlaTable,
    StepTable,
    TargetTable,
    TeamTable,
    TicketsTable,
    calendars_of,
    policies_of,
    routing_of,
)
from forewarn_collector.toml_place import line_of, resolves, write_path

FILE = "collector.toml"
PAGE_FILE = "page.toml"  # in rules.d; what a page saved, read last, so it wins
_RULE_TABLES = frozenset({"rules", "groups"})


class ConfigError(Exception):
    """A file is not what it should be: the text names file, line, key and mend."""


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` or ``[::1]:PORT``.  Raises ValueError."""
    form = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]]+)):(\d{1,5})", text)
    if form is None or int(form[3]) > 65535:
        raise ValueError(f'{text!r} is no address to listen on; write "0.0.0.0:8440"')
    return form[1] or form[2], int(form[3])


def _address(text: str) -> str:
    split_address(text)
    return text


def _url(text: str) -> str:
    if text and not re.fullmatch(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?", text):
        raise ValueError('write an address such as "https://monitor.example.com:8440"')
    return text.rstrip("/")


def _selector(text: str) -> str:
    if selector.parse(text).asks_health:
        raise ValueError("health is what rules decide; a group cannot depend on it")
    return text


Address = Annotated[str, AfterValidator(_address)]
Url = Annotated[str, AfterValidator(_url)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Retention(_Table):
    """How long readings are kept, ``[retention]``."""

    raw: Duration = Field(default=timedelta(days=30), description="Every reading.")
    hourly: Duration = Field(default=timedelta(days=396), description="One value an hour.")
    daily: Duration = Field(default=timedelta(days=1826), description="One value a day.")


class SecondFactor(_Table):
    """When people are asked for a code of their authenticator, ``[second_factor]``."""

    required: bool = Field(
        default=True,
        description="Nobody without one signs for many hosts, or for dangerous or standing orders.",
    )
    bulk_hosts: int = Field(
        default=25, ge=1, description="An order for more hosts than that is for many."
    )


class Proxy(_Table):
    """A reverse proxy in front of the listeners, ``[proxy]``."""

    addresses: tuple[IPv4Address | IPv6Address, ...] = Field(
        default=(), description="Where it asks from; only from there X-Forwarded-For is believed."
    )
    plain_http: bool = Field(
        default=False,
        description="It speaks plain HTTP to us; only where agents and operators are loopback.",
    )


class Group(_Table):
    """Some hosts under one name, ``[groups.NAME]``."""

    select: Annotated[str, AfterValidator(_selector)] = Field(
        description='Which hosts, e.g. "client:acme tag:db".'
    )


class DestinationEntry(_Table):
    """One place tickets go, ``[[destinations]]``.  `config` is what its kind asks for besides."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$", description="Its name, yours to choose.")
    kind: str = Field(description="What it is, e.g. webhook.")
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="Networks of ours it may be in, e.g. 10.0.0.0/8; else public only."
    )
    config: SerializeAsAny[BaseModel] = Field(description="The fields of its kind.")


class _Written(_Table):
    """What collector.toml holds besides destinations."""

    url: Url = Field(default="", description="Where agents reach this collector.")
    agents: Address = Field(default="0.0.0.0:8440", description="Where to listen for agents.")
    operators: Address = Field(default="127.0.0.1:8441", description="Where to listen for people.")
    pages_url: Url = Field(
        default="", description="Where people reach the pages; made from operators when empty."
    )
    retention: Retention = Field(default_factory=lambda: Retention())
    proxy: Proxy = Field(default_factory=lambda: Proxy())
    second_factor: SecondFactor = Field(default_factory=lambda: SecondFactor())
    tickets: TicketsTable = Field(default_factory=lambda: TicketsTable())
    calendars: Mapping[str, CalendarTable] = Field(default_factory=dict)
    sla: Mapping[str, SlaTable] = Field(default_factory=dict)
    teams: Mapping[str, TeamTable] = Field(default_factory=dict)
    routes: tuple[RouteTable, ...] = ()
    rules: Mapping[str, RuleChange] = Field(default_factory=dict)
    groups: Mapping[str, Group] = Field(default_factory=dict)
    checks: Mapping[str, CheckTable] = Field(default_factory=dict)


class CollectorConfig(_Written):
    """All of collector.toml with what rules.d changes.

    `agents` and `operators` are ``HOST:PORT`` to listen on, `url` is where agents find us and
    `pages_url` where people do.  `warnings` are sentences for the log.
    """

    destinations: tuple[DestinationEntry, ...] = ()
    inbound: Mapping[str, InboundTable] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def agents_address(self) -> tuple[str, int]:
        """Host and port to listen on for agents."""
        return split_address(self.agents)

    @property
    def operators_address(self) -> tuple[str, int]:
        """Host and port to listen on for people."""
        return split_address(self.operators)

    @property
    def ticket_url(self) -> str:
        """Return what the address of a ticket begins with, up to its number."""
        return f"{self.pages_url or f'https://{self.operators}'}/tickets/"


def book_of(config: CollectorConfig) -> RuleBook:
    """Return the rule book of a configuration.  Raises BadRule, which `load` has ruled out."""
    groups = {name: group.select for name, group in config.groups.items()}
    return RuleBook(declared(), config.rules, groups)


def agent_settings_of(config: CollectorConfig) -> AgentSettings:
    """Return what agents are told to do otherwise.  Raises BadScope, which `load` has ruled out."""
    groups = {name: group.select for name, group in config.groups.items()}
    return AgentSettings(config.checks, groups)


def promises_of(config: CollectorConfig, now: datetime) -> tuple[Policies, Routing]:
    """Return what is promised to whom, and who gets which tickets.

    Holidays are those of the years around `now`.  Raises BadTickets, which `load` has ruled out.
    """
    calendars = calendars_of(config.calendars, now)
    return (
        policies_of(config.sla, calendars),
        routing_of(config.routes, config.teams, calendars),
    )


def load(directory: Path) -> CollectorConfig:
    """Return what the files of an instance say.

    Reads ``collector.toml`` and ``rules.d/*.toml`` (rules and groups only; ``page.toml`` last).
    Raises ConfigError for the first mistake; nothing is taken by halves.
    """
    sources = _Sources([_read(path) for path in _files(directory)])
    table = sources.merged()
    try:
        entries = _destinations(table.pop("destinations", []), directory, sources)
        inbound = _inbound(table.pop("inbound", {}), directory, sources)
        _check_answers(inbound, [entry.name for entry, _ in entries], sources)
        written = _Written.model_validate(table)
    except ValidationError as invalid:
        raise sources.error_of(invalid) from None
    config = CollectorConfig.model_construct(
        **{name: getattr(written, name) for name in _Written.model_fields},
        destinations=tuple(entry for entry, _ in entries),
        inbound={name: entry for name, (entry, _) in inbound.items()},
    )
    try:
        book = book_of(config)
        promises_of(config, clock.now())
        agent_settings_of(config)
    except (BadRule, BadTickets, BadScope) as bad:
        raise sources.error(bad.path, str(bad)) from None
    told = (warning for _, warning in (*entries, *inbound.values()))
    loose = tuple(warning for warning in told if warning)
    warnings = (*loose, *book.warnings, *_short_histories(config, book))
    return config.model_copy(update={"warnings": warnings})


def _short_histories(config: CollectorConfig, book: RuleBook) -> Iterator[str]:
    """Yield the forecasts that look further back than readings are kept."""
    wanted = timedelta(days=HISTORY_DAYS)
    if config.retention.raw >= wanted:
        return
    for name in book.names():
        if isinstance(book.variants(name)[0].rule, Forecast):
            yield (
                f"retention.raw is {write_duration(config.retention.raw)}, but {name} looks "
                f"{write_duration(wanted)} back: it will say that it knows too little; write "
                f"{write_duration(wanted)} or more, or rules.{name}.enabled = false"
            )


# -- files ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Source:
    """One file: where it is, its text, and what the text says."""

    path: Path
    text: str
    table: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Sources:
    """The files of an instance, the weightiest last."""

    files: list[_Source]

    def merged(self) -> dict[str, Any]:
        """Return one table; of a key written twice the later file's value holds."""
        table: dict[str, Any] = {}
        for source in self.files:
            _merge(table, source.table)
        return table

    def error(self, path: Sequence[str | int], text: str) -> ConfigError:
        """Return the error that says where in which file `path` stands."""
        where = tuple(path)
        source = self._source_of(where)
        line = line_of(source.text, where)
        return ConfigError(f"{source.path}, line {line}: {write_path(where)}: {text}")

    def error_of(self, invalid: ValidationError, under: Sequence[str | int] = ()) -> ConfigError:
        """Return the first error of a validation as one of ours."""
        first = invalid.errors(include_url=False, include_input=False)[0]
        path: tuple[str | int, ...] = tuple(under)
        table = self.merged()
        for part in first["loc"]:
            # Pydantic also names the branches of unions, which no file holds.
            if resolves(table, (*path, part)):
                path = (*path, part)
        if first["type"] == "missing":
            path = (*path, first["loc"][-1])
        return self.error(path, _say(first, str(first["loc"][-1])))

    def _source_of(self, path: tuple[str | int, ...]) -> _Source:
        for length in range(len(path), 0, -1):
            for source in reversed(self.files):
                if resolves(source.table, path[:length]):
                    return source
        return self.files[0]


def _files(directory: Path) -> list[Path]:
    extra = sorted((directory / "rules.d").glob("*.toml"), key=lambda p: (p.name == PAGE_FILE, p))
    return [directory / FILE, *extra]


def _read(path: Path) -> _Source:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file; make an instance with "
            f"forewarn-collector init --dir {path.parent}"
        ) from None
    except (OSError, UnicodeDecodeError) as failure:
        raise ConfigError(f"{path}: cannot be read: {failure}") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as bad:
        place = re.search(r"\(at line (\d+)", str(bad))
        line = int(place[1]) if place else len(text.splitlines())
        raise ConfigError(f"{path}, line {line}: {bad}; mend the TOML there") from None
    source = _Source(path, text, table)
    foreign = [key for key in table if path.name != FILE and key not in _RULE_TABLES]
    if foreign:
        raise _Sources([source]).error((foreign[0],), f"belongs into {FILE}, not here")
    return source


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            held = into.get(key)
            into[key] = dict(held) if isinstance(held, dict) else {}
            _merge(into[key], value)
        else:
            into[key] = value


# -- destinations --------------------------------------------------------------------------------


def _destinations(
    tables: object, directory: Path, sources: _Sources
) -> list[tuple[DestinationEntry, str]]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise sources.error(("destinations",), "write each as a table: [[destinations]]")
    entries = []
    names: set[str] = set()
    for index, table in enumerate(tables):
        entry, warning = _destination(dict(table), directory, ("destinations", index), sources)
        if entry.name in names:
            raise sources.error(
                ("destinations", index, "name"), f"{entry.name} is there twice; rename one"
            )
        names.add(entry.name)
        entries.append((entry, warning))
    return entries


def _destination(
    table: dict[str, Any], directory: Path, path: tuple[str | int, ...], sources: _Sources
) -> tuple[DestinationEntry, str]:
    kinds = all_destinations()
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise sources.error(
            (*path, "kind"),
            f"{kind!r} is no kind of destination{meant(str(kind), kinds)}; "
            f"there are {', '.join(kinds)}",
        )
    common = {key: table.pop(key) for key in ("name", "kind", "allow_networks") if key in table}
    networks = common.get("allow_networks", [])
    try:
        common["allow_networks"] = TypeAdapter(tuple[IPvAnyNetwork, ...]).validate_python(networks)
    except ValidationError as invalid:
        raise sources.error_of(invalid, (*path, "allow_networks")) from None
    warnings = []
    secrets = secrets_of(kinds[kind].config)
    for secret in secrets:
        key = f"{secret}_file"
        if secret in table:
            raise sources.error((*path, secret), f"belongs into a file of its own; write {key}")
        if key in table:
            table[secret], warning = _secret(table.pop(key), directory, (*path, key), sources)
            warnings.append(warning)
    try:
        config = kinds[kind].config.model_validate(table)
        entry = DestinationEntry.model_validate({**common, "config": config})
        return entry, "; ".join(filter(None, warnings))
    except ValidationError as invalid:
        first = invalid.errors(include_input=False)[0]
        if first["loc"] and first["loc"][0] in secrets:
            message = _say(first, "")
            if first["type"] == "missing":
                message = "is missing; name a file that holds the secret, readable by us alone"
            raise sources.error((*path, f"{first['loc'][0]}_file"), message) from None
        raise sources.error_of(invalid, path) from None


def _inbound(
    tables: object, directory: Path, sources: _Sources
) -> dict[str, tuple[InboundTable, str]]:
    """Return who may call, by the name in the address, each with a warning or ""."""
    if not isinstance(tables, dict) or not all(isinstance(one, dict) for one in tables.values()):
        raise sources.error(("inbound",), "write each as a table: [inbound.NAME]")
    found = {}
    for name, table in tables.items():
        path, fields, warning = ("inbound", name), dict(table), ""
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name):
            raise sources.error(path, "a name is of letters, digits, dots and dashes; rename it")
        if "secret" in fields:
            raise sources.error((*path, "secret"), "belongs into a file; write secret_file")
        if "secret_file" not in fields:
            raise sources.error((*path, "secret_file"), "is missing; name a file with the secret")
        where = (*path, "secret_file")
        fields["secret"], warning = _secret(fields.pop("secret_file"), directory, where, sources)
        try:
            found[name] = (InboundTable.model_validate(fields), warning)
        except ValidationError as invalid:
            first = invalid.errors(include_input=False)[0]
            if first["loc"] == ("secret",):
                raise sources.error(where, _say(first, "")) from None
            raise sources.error_of(invalid, path) from None
    return found


def _check_answers(
    inbound: Mapping[str, tuple[InboundTable, str]], names: Sequence[str], sources: _Sources
) -> None:
    """Refuse answers of a destination that is not there."""
    for name, (entry, _) in inbound.items():
        if entry.destination and entry.destination not in names:
            raise sources.error(
                ("inbound", name, "destination"),
                f"there is no destination {entry.destination!r}; there are "
                f"{', '.join(names) or 'none'}",
            )


def _secret(
    name: object, directory: Path, where: tuple[str | int, ...], sources: _Sources
) -> tuple[SecretStr, str]:
    """Return the secret of a file, and a warning when others may read it, too."""
    if not isinstance(name, str):
        raise sources.error(where, "write the name of a file in quotes")
    file = directory / name
    try:
        mode = file.stat().st_mode
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise sources.error(where, f"cannot be read: {failure}") from None
    warning = ""
    if stat.S_IMODE(mode) & 0o077:
        warning = f"{file} can be read by others; run: chmod 600 {file}"
    return SecretStr(text.strip()), warning


# -- words ---------------------------------------------------------------------------------------


_KEYS = sorted(
    {
        field.alias or name
        for model in (
            CollectorConfig,
            Retention,
            TicketsTable,
            Proxy,
            Group,
            CalendarTable,
            InboundTable,
            SlaTable,
            TargetTable,
            StepTable,
            TeamTable,
            RouteTable,
            DestinationEntry,
            Adjustment,
            ScopeChange,
            RuleChange,
            LevelChange,
            ConditionChange,
            CheckTable,
            CheckScopeTable,
        )
        for name, field in model.model_fields.items()
    }
    | {"url", "secret_file"}
)


def _say(first: ErrorDetails, key: str) -> str:
    """Return a validation error in our words, with what to do."""
    if first["type"] == "extra_forbidden":
        known = [known for known in _KEYS if known != key]
        return f"is not known here{meant(key, known)}; take it out"
    return in_words(first["type"], first["msg"], first.get("ctx"))
