"""What the collector answers, as far as the operator's command shows it.

What is not known here is ignored, so that the command may be older than its collector.
"""

from collections.abc import Mapping
from datetime import date, datetime

from pydantic import BaseModel, ConfigDict, JsonValue


class Answer(BaseModel):
    """Something the collector said."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Me(Answer):
    """Who one is; no `clients` means all."""

    name: str
    role: str
    clients: tuple[str, ...] | None


class LoginKey(Answer):
    """A new key."""

    key: str
    expires_at: datetime


class HostLine(Answer):
    """One host in a list."""

    id: str
    name: str
    client: str
    site: str
    host_class: str
    system: str
    tags: tuple[str, ...]
    health: str
    firing: int
    last_seen: datetime | None


class Page(Answer):
    """Some rows of a list, and where the next ones begin."""

    next: str | None


class HostPage(Page):
    """Some hosts."""

    hosts: tuple[HostLine, ...]


class Fact(Answer):
    """One slow-changing thing about a host."""

    name: str
    value: JsonValue


class CheckOutcome(Answer):
    """How the latest run of a check went."""

    check: str
    outcome: str
    error: str
    at: datetime


class Reading(Answer):
    """The latest value of one series."""

    metric: str
    labels: Mapping[str, str]
    value: float | None
    at: datetime


class Alert(Answer):
    """One rule on one component."""

    rule: str
    component: str
    state: str
    severity: str
    data: str
    since: datetime
    ticket: int | None


class Host(HostLine):
    """One host whole."""

    agent_version: str
    enrolled_at: datetime
    clock_ahead_seconds: float | None = None
    facts: tuple[Fact, ...]
    checks: tuple[CheckOutcome, ...]
    readings: tuple[Reading, ...]
    alerts: tuple[Alert, ...]
    asset: Mapping[str, str] = {}


class AssetChange(Answer):
    """How something about a host changed; `by` is "" for what the host told."""

    at: datetime
    name: str
    before: JsonValue
    after: JsonValue
    by: str


class AssetChanges(Page):
    """How a host changed, newest first."""

    changes: tuple[AssetChange, ...]


class LineChange(Answer):
    """What a line of a table changes."""

    line: int
    host_id: str
    host: str
    name: str
    before: str | None
    after: str | None


class LineTrouble(Answer):
    """Why a line is not taken."""

    line: int
    text: str


class Imported(Answer):
    """What the lines of a table change, or changed."""

    applied: bool
    changes: tuple[LineChange, ...]
    troubles: tuple[LineTrouble, ...]


class Event(Answer):
    """One line of a ticket's history."""

    at: datetime
    actor: str
    kind: str
    data: Mapping[str, JsonValue]


class Episode(Answer):
    """One firing that a ticket carries."""

    rule: str
    host: str = ""
    component: str
    severity: str
    opened_at: datetime
    closed_at: datetime | None
    evidence: Mapping[str, JsonValue]


class ClockShown(Answer):
    """How one clock of a ticket stands; negative remaining seconds are those overrun."""

    pace: str
    remaining_seconds: float
    due_at: datetime | None


class Sla(Answer):
    """What was promised about a ticket."""

    policy: str
    response: ClockShown | None
    resolution: ClockShown | None


class Ticket(Answer):
    """One ticket; events and episodes only when it was asked for alone."""

    number: int
    title: str
    state: str
    condition: str
    severity: str
    priority: str
    assignee: str | None
    team: str | None = None
    waiting_for: str | None = None
    description: str = ""
    sla: Sla | None = None
    client: str
    site: str
    host: str | None
    component: str
    opened_at: datetime
    resolved_at: datetime | None
    closed_at: datetime | None
    events: tuple[Event, ...] = ()
    episodes: tuple[Episode, ...] = ()


class TicketPage(Page):
    """Some tickets."""

    tickets: tuple[Ticket, ...]


class TargetLine(Answer):
    """A host by the fingerprint of its key."""

    id: str
    name: str
    client: str
    site: str
    system: str
    fingerprint: str


class TargetPage(Page):
    """Some hosts, and the id of the collector that knows them."""

    collector: str
    targets: tuple[TargetLine, ...]


class ScriptLine(Answer):
    """A script that is kept."""

    sha256: str
    name: str
    client: str
    size: int
    created_by: str
    created_at: datetime


class ScriptList(Answer):
    """The scripts that are kept."""

    scripts: tuple[ScriptLine, ...]


class OrderLine(Answer):
    """An order in a list."""

    id: str
    client: str
    kind: str
    script_sha256: str
    reason: str
    not_after: datetime
    needs: int
    signatures: int
    created_by: str
    created_at: datetime
    cancelled_at: datetime | None
    script_name: str = ""


class OrderList(Answer):
    """Orders, newest first."""

    orders: tuple[OrderLine, ...]


class OrderTarget(Answer):
    """How an order stands on one host, as the collector says; results are what counts."""

    host: str
    name: str
    fingerprint: str
    public_key: str
    offered_at: datetime | None
    ended_at: datetime | None
    ended: str
    well: bool


class OrderWhole(Answer):
    """An order as it was signed, its script, and its hosts."""

    order: OrderLine
    envelope: str
    script: str
    targets: tuple[OrderTarget, ...]


class HostResult(Answer):
    """What one host signed."""

    host: str
    occurrence: str
    envelope: str


class ResultList(Answer):
    """What hosts answered."""

    results: tuple[HostResult, ...]


class Kept(Answer):
    """The name under which something was kept."""

    id: str


class WindowLine(Answer):
    """One maintenance window; `starts` to `settled` are of what runs, or comes next."""

    id: str
    select: str
    group: str
    reason: str
    author: str
    state: str
    starts: datetime | None
    ends: datetime | None
    settled: datetime | None
    repeat: str
    at: str
    zone: str


class WindowList(Answer):
    """Maintenance windows."""

    windows: tuple[WindowLine, ...]


class HeldAlert(Answer):
    """An alert that nobody was told of."""

    title: str
    rule: str
    severity: str
    since: datetime
    outcome: str | None


class HostVerdict(Answer):
    """What was found on one host after its maintenance."""

    host: str
    findings: tuple[str, ...]
    ticket: int | None


class Happened(Answer):
    """A window that began."""

    starts: datetime
    ends: datetime
    ended_by: str | None
    decided_at: datetime | None
    hosts: int
    rebooted: int
    wrong: int
    verdicts: tuple[HostVerdict, ...]
    held: tuple[HeldAlert, ...]


class WindowDetail(Answer):
    """One window whole."""

    window: WindowLine
    happened: tuple[Happened, ...]


class SilenceLine(Answer):
    """One silence."""

    id: str
    select: str
    group: str
    rule: str
    component: str
    reason: str
    author: str
    state: str
    expires_at: datetime


class SilenceList(Answer):
    """Silences."""

    silences: tuple[SilenceLine, ...]


class Prevented(Answer):
    """A ticket that was seen to before the level that was forecast was reached."""

    number: int
    title: str
    host: str
    forecast_due: str
    days_bought: float | None


class PromiseKept(Answer):
    """How often a promise was kept."""

    met: int
    breached: int
    share: float | None


class PeriodReport(Answer):
    """What was done over some days."""

    client: str
    first: date
    last: date
    zone: str
    hosts: int
    opened: int
    closed: int
    open_now: int
    false_alarms: int
    raised_by_rule: Mapping[str, int]
    forecast: int
    reached: int
    prevented: tuple[Prevented, ...]
    prevented_count: int
    days_bought: float
    response: PromiseKept
    resolution: PromiseKept
    labour_minutes: int
    parts_cost: tuple[str, ...]
    patch_hosts_now: int


class Absence(Answer):
    """Somebody who is, or will be, away."""

    person: str
    since: datetime
    until: datetime


class Absences(Answer):
    """Who is away."""

    absences: tuple[Absence, ...]
