"""One collector's folder: made by `init`, opened by every other command.

DIR/                 for its owner only (0700)
    collector.toml   settings; rules.d/ holds what pages save
    ca.pem  ca.key   the collector's own certificate authority
    leaf.pem  leaf.key
    secrets/         what no database holds
    state.sqlite     hosts, alerts, tickets, outbox, people, audit
    samples/         readings
    control.sock     where a running `serve` takes questions from other commands

InstanceError        the folder is missing, unsafe, in use or already made
"""

import fcntl
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import insert, select

from forewarn_collector import certificates, clock, config
from forewarn_collector.agent_config import AgentSettings
from forewarn_collector.config import CollectorConfig, SecondFactor, split_address
from forewarn_collector.rules.book import RuleBook
from forewarn_collector.sample_config import sample_config
from forewarn_collector.samples import SampleStore
from forewarn_collector.state.database import Database, open_sqlite
from forewarn_collector.state.hosts import Hosts
from forewarn_collector.state.migrations import migrate
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import about
from forewarn_collector.ticket_config import InboundTable

DEFAULT_DIRECTORY = Path("/var/lib/forewarn")
DEFAULT_AGENTS = "0.0.0.0:8440"
DEFAULT_OPERATORS = "127.0.0.1:8441"


class InstanceError(Exception):
    """The instance cannot be used; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one reading of the files gave: the configuration, its rules, who is told, and what."""

    config: CollectorConfig
    book: RuleBook
    telling: Telling
    agents: AgentSettings


@dataclass(slots=True)
class Live:
    """The settings in force; a reload puts whole new ones in their place."""

    settings: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """A running collector, as its parts see it.  `now` gives an aware UTC datetime."""

    directory: Path
    id: str
    database: Database
    store: SampleStore
    hosts: Hosts
    live: Live
    started_at: datetime
    now: Callable[[], datetime] = field(default=clock.now)

    @property
    def config(self) -> CollectorConfig:
        """The configuration in force."""
        return self.live.settings.config

    @property
    def book(self) -> RuleBook:
        """The rules in force."""
        return self.live.settings.book

    @property
    def agents_url(self) -> str:
        """Where agents reach this collector, "" when nobody said."""
        return self.config.url

    @property
    def inbound(self) -> Mapping[str, InboundTable]:
        """Who may open tickets by signed calls."""
        return self.config.inbound

    @property
    def second_factor(self) -> SecondFactor:
        """Who is asked for a second factor, and when."""
        return self.config.second_factor

    @property
    def telling(self) -> Telling:
        """Whom changes of tickets are told to."""
        return self.live.settings.telling


def state_path(directory: Path) -> Path:
    """Return where the state database of an instance lies."""
    return directory / "state.sqlite"


def read_settings(directory: Path) -> Settings:
    """Return what the files of an instance say now.  Raises ConfigError."""
    loaded = config.load(directory)
    names = tuple(entry.name for entry in loaded.destinations)
    policies, routing = config.promises_of(loaded, clock.now())
    telling = Telling(
        names, loaded.ticket_url, policies, routing, new_per_hour=loaded.tickets.new_per_hour
    )
    return Settings(loaded, config.book_of(loaded), telling, config.agent_settings_of(loaded))


def create(directory: Path, *, agents: str, operators: str, url: str, now: datetime) -> str:
    """Make an instance and return its id.  `url` "" is made from the machine's name.

    Raises InstanceError when there is one already, and ValueError for an address that is none.
    """
    for address in (agents, operators):
        split_address(address)
    url = url or f"https://{socket.gethostname()}:{split_address(agents)[1]}"
    if not urlsplit(url).hostname or urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{url!r} is no address of a collector; write https://NAME:PORT")
    if (directory / config.FILE).exists():
        raise InstanceError(f"{directory} holds a collector already; choose another --dir")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    for name in ("secrets", "samples", "rules.d"):
        (directory / name).mkdir(mode=0o700, exist_ok=True)
    certificates.write_private(directory / "secrets" / "pepper", secrets.token_bytes(32))
    files = certificates.Files(directory)
    names = names_of(url)
    certificates.make_authority(files, names[0], now)
    certificates.make_leaf(files, names, now)
    collector_id = _make_state(directory, now)
    settings = sample_config(url=url, agents=agents, operators=operators)
    # Last, because it is what says that the instance is whole.
    certificates.write_private(directory / config.FILE, settings.encode())
    config.load(directory)
    return collector_id


def names_of(url: str) -> tuple[str, ...]:
    """Return every name the listeners answer to: the address's, the machine's, and loopback."""
    stated = urlsplit(url).hostname or ""
    names = (stated, socket.gethostname(), "localhost", "127.0.0.1", "::1")
    return tuple(dict.fromkeys(name for name in names if name and name.isascii()))


def find(directory: Path) -> Path:
    """Return the folder of an instance, absolute, once it is safe to use.

    Raises InstanceError when there is none, or when others may look into it.
    """
    directory = directory.absolute()
    try:
        mode = directory.stat().st_mode
        made = (directory / config.FILE).exists()
    except (FileNotFoundError, NotADirectoryError):
        made, mode = False, 0o700
    except PermissionError:
        raise InstanceError(
            f"{directory} may not be read by this user; run as its owner, e.g. with sudo -u"
        ) from None
    if not made:
        raise InstanceError(
            f"{directory} holds no collector; make one with forewarn-collector init --dir"
            f" {directory}, or name the right folder with --dir or FOREWARN_DIR"
        )
    if mode & 0o077:
        raise InstanceError(f"{directory} is open to others; run: chmod 700 {directory}")
    return directory


@contextmanager
def opened_state(directory: Path) -> Iterator[Database]:
    """Give the state database of an instance, at the newest step, and close it in the end."""
    path = state_path(directory)
    database = open_sqlite(path)
    try:
        migrate(database, path, clock.now())
        yield database
    finally:
        database.close()


def read_pepper(directory: Path) -> bytes:
    """Return the key of the token hashes.  Raises InstanceError when it is gone."""
    path = directory / "secrets" / "pepper"
    try:
        pepper = path.read_bytes()
    except FileNotFoundError:
        pepper = b""
    if len(pepper) < 32:
        raise InstanceError(f"{path} is missing or cut short; restore it from a backup")
    return pepper


def collector_id(database: Database) -> str:
    """Return the id that agents sign their requests for."""
    with database.read() as connection:
        held = connection.execute(select(about.c.value).where(about.c.name == "collector_id"))
        return str(held.scalar_one())


def enrolment_string(directory: Path, url: str, token: str) -> str:
    """Return what an agent is given: where to go, what lets it in, and whom to trust there."""
    fingerprint = certificates.fingerprint(certificates.Files(directory))
    return f"fw1.{url}.{token}.{fingerprint}"


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold an instance for this process alone.  Raises InstanceError when another holds it."""
    handle = os.open(directory / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InstanceError(
                f"a collector is already running on {directory}; stop it, or ask it: "
                "forewarn-collector doctor"
            ) from None
        yield
    finally:
        os.close(handle)


def _make_state(directory: Path, now: datetime) -> str:
    path = state_path(directory)
    path.touch(mode=0o600)
    made = clock.uuid7(now)
    with opened_state(directory) as database, database.write() as connection:
        connection.execute(insert(about).values(name="collector_id", value=made))
    return made
