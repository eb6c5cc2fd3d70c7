"""Whether named web addresses answer as they should, how fast, and how long they may be trusted."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from forewarn_checks._named import nothing_named, read_entries
from forewarn_checks.base import (
    Check,
    Component,
    Fact,
    Level,
    Metric,
    Option,
    Options,
    Panel,
    Reading,
    Severity,
    State,
    Threshold,
    Unit,
    WrongSystem,
)

if TYPE_CHECKING:
    from forewarn_checks._at_once import AtOnce
    from forewarn_checks._http_probe import Answer, Target

UP = Metric("http_up", Unit.COUNT, "1 when the answer is as it should be, else 0.", ("target",))
TOTAL = Metric(
    "http_seconds",
    Unit.SECONDS,
    "Time from the look-up of the name to the end of the answer; not read without one.",
    ("target",),
)
PHASE = Metric(
    "http_phase_seconds",
    Unit.SECONDS,
    "The parts of it: lookup, connect, tls, wait (to the first byte) and receive.",
    ("target", "phase"),
)
STATUS = Metric("http_status", Unit.COUNT, "Status code of the answer.", ("target",))
LEFT = Metric(
    "http_certificate_left_seconds",
    Unit.SECONDS,
    "Time until the certificate expires, below 0 after that, whoever signed it.",
    ("target",),
)
TRUSTED = Metric(
    "http_certificate_trusted",
    Unit.COUNT,
    "1 when this host's authorities vouch for the certificate and it names the target, else 0.",
    ("target",),
)

TARGETS = Option(
    name="targets",
    default=(),
    help="What to fetch and what must come back, e.g. ['shop = https://shop.acme.example/health "
    "status 200 contains ok', 'mail = tls://mail.acme.example:465'].",
)

_MOST = 40
_LONGEST_SECONDS = 50.0


def read_linux(options: Options) -> Iterator[Reading]:
    """Fetch every target at once."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from _read(options)


def read_windows(options: Options) -> Iterator[Reading]:
    """Fetch every target at once."""
    yield from _read(options)


def _read(options: Options) -> Iterator[Reading]:
    from forewarn_checks._at_once import AtOnce
    from forewarn_checks._http_probe import fetch

    yield from readings(options, AtOnce(fetch, width=12), datetime.now(UTC))


def readings(
    options: Options, at_once: "AtOnce[Target, Answer]", now: datetime
) -> Iterator[Reading]:
    """Yield what came of each target; CannotRead at the end names entries that make no sense."""
    from forewarn_checks._http_probe import Answer, parse_target

    entries = read_entries(options, TARGETS, parse_target, check="http", most=_MOST)
    if not entries.good and not entries.bad:
        raise nothing_named(TARGETS, "http", "shop = https://shop.acme.example/health")
    late = Answer(trouble=f"no end within {_LONGEST_SECONDS:g} s")
    answers = dict(at_once([each.thing for each in entries], _LONGEST_SECONDS))
    troubles: list[str] = []
    for each in entries:
        answer = answers[each.thing] or late
        yield from _samples(each.name, answer, now)
        if answer.trouble:
            troubles.append(f"{each.name}: {answer.trouble}")
    yield Fact("http_troubles", troubles)
    entries.complain()


def _samples(name: str, answer: "Answer", now: datetime) -> Iterator[Reading]:
    yield UP.sample(not answer.trouble, target=name)
    if not answer.trouble:
        yield TOTAL.sample(sum(answer.phases.values()), target=name)
    for phase, seconds in answer.phases.items():
        yield PHASE.sample(seconds, target=name, phase=phase)
    if answer.status is not None:
        yield STATUS.sample(answer.status, target=name)
    if answer.expires is not None:
        yield LEFT.sample((answer.expires - now).total_seconds(), target=name)
    if answer.trusted is not None:
        yield TRUSTED.sample(answer.trusted, target=name)


_DAY = timedelta(days=1).total_seconds()

CHECK = Check(
    name="http",
    help="Whether named web addresses answer as they should, how fast, and for how long their "
    "certificates hold.",
    every=timedelta(minutes=5),
    timeout=timedelta(seconds=60),
    metrics=(UP, TOTAL, PHASE, STATUS, LEFT, TRUSTED),
    component=Component("site", ("target",)),
    read_linux=read_linux,
    read_windows=read_windows,
    options=(TARGETS,),
    works_on=(TARGETS,),
    in_child=True,
    rules=(
        State(
            name="HttpFailing",
            metric=UP,
            severity=Severity.HIGH,
            when=0,
            hold_for=timedelta(minutes=4),
            hold_readings=2,
            clear_for=timedelta(minutes=4),
            title="{target} does not answer {host} as it should",
            advice=(
                "The host's facts (http_troubles) say how: no connection, no trust, a status, a "
                "missing text. Try it from {host}: curl -v. A status from 500 up is the program "
                "behind it: read its log. No connection: service, firewall or route. If the "
                "status or text changed on purpose, change the check's option."
            ),
        ),
        Threshold(
            name="HttpSlow",
            metric=TOTAL,
            severity=Severity.WARNING,
            above=5.0,
            clear_at=3.0,
            hold_for=timedelta(minutes=15),
            clear_for=timedelta(minutes=15),
            title="{target} answers {host} after {value}",
            advice=(
                "http_phase_seconds says where the time goes: lookup is DNS, connect the network, "
                "tls the server's processor, wait the program behind it, receive the line. Look "
                "there for what changed when it began: load, a slow query, a full disk."
            ),
        ),
        Threshold(
            name="CertificateExpiring",
            metric=LEFT,
            severity=Severity.WARNING,
            below=14 * _DAY,
            clear_at=15 * _DAY,
            levels={
                Severity.HIGH: Level(below=5 * _DAY, clear_at=6 * _DAY),
                Severity.CRITICAL: Level(below=0, clear_at=_DAY),
            },
            title="The certificate of {target}, seen from {host}, holds for {value}",
            advice=(
                "Renew it and load it into the service. Where it renews itself, that has failed "
                "for days: read the log of certbot, acme.sh, win-acme or cert-manager; most often "
                "port 80 or a DNS token is closed to it, or the service was not reloaded. After "
                "the date browsers and programs refuse {target}."
            ),
        ),
        State(
            name="CertificateUntrusted",
            metric=TRUSTED,
            severity=Severity.WARNING,
            when=0,
            hold_for=timedelta(minutes=4),
            clear_for=timedelta(minutes=4),
            title="{host} cannot trust the certificate of {target}",
            advice=(
                "The host's facts (http_troubles) say why: expired, another name, an unknown "
                "authority, an intermediate certificate that the server does not send (openssl "
                "s_client -showcerts shows what it sends). An authority of your own belongs into "
                "this host's store: update-ca-certificates, update-ca-trust, certutil -addstore."
            ),
        ),
    ),
    panels=(
        Panel(UP, drawn_as="state"),
        Panel(TOTAL),
        Panel(PHASE),
        Panel(LEFT),
        Panel(TRUSTED, drawn_as="state"),
    ),
)
