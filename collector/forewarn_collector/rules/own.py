"""The collector's own rules: what it knows of hosts without any check measuring it."""

from dataclasses import dataclass
from datetime import timedelta

from forewarn_checks.base import (
    Absence,
    Component,
    Metric,
    Rule,
    Severity,
    State,
    Threshold,
    Unit,
)

CHECK_FAILED = Metric(
    "check_failed",
    Unit.COUNT,
    "1 while the latest run of a check failed or timed out.",
    ("check",),
)
AHEAD, BEHIND = "ahead", "behind"
CLOCK_ERROR = Metric(
    "clock_error_seconds",
    Unit.SECONDS,
    "How far the host's clock is from the collector's, and which way.",
    ("direction",),
)
HOST_CLONED = Metric(
    "host_cloned",
    Unit.COUNT,
    "1 while two machines use one identity, 0 once that is over; who is kept, and who is the copy.",
    ("kept", "copy"),
)
COLLECTOR = "collector"
"""What stands for a check in rules that no check declares."""
OWN_METRICS = (CHECK_FAILED, CLOCK_ERROR, HOST_CLONED)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRule:
    """A rule of the collector.  `off_for` is a selector of hosts it does not judge by itself."""

    rule: Rule
    component: Component
    every: timedelta
    off_for: str = ""


OWN_RULES = (
    OwnRule(
        rule=Absence(
            name="HostSilent",
            severity=Severity.HIGH,
            after=timedelta(minutes=10),
            title="{host} {silence}",
            advice="Nothing came from {host} for {value}. Is it switched on and on the network? "
            "If so, look there at: forewarn-agent status.",
        ),
        component=Component("host"),
        every=timedelta(minutes=1),
        # People switch these off; only what is theirs to keep running is missed.
        off_for="class:workstation,roaming",
    ),
    OwnRule(
        # Instead of HostSilent, for hosts that fell silent together: five or more of a site, or
        # all there are of two or more.  They share one ticket.
        rule=Absence(
            name="SiteSilent",
            severity=Severity.HIGH,
            after=timedelta(minutes=10),
            title="{host} {silence} with others of its site",
            advice="Nothing came from {host} for {value}, nor from others of its site that were "
            "last heard at the same time. Look at the site first: power, line, firewall.",
        ),
        component=Component("host"),
        every=timedelta(minutes=1),
        off_for="class:workstation,roaming",
    ),
    OwnRule(
        rule=State(
            name="CheckFailing",
            metric=CHECK_FAILED,
            severity=Severity.WARNING,
            when=1.0,
            hold_readings=3,
            title="Check {check} fails on {host}",
            advice="The last runs of {check} on {host} failed, so nothing it watches is known. "
            "Run there: forewarn-agent once --check {check}",
        ),
        component=Component("check", ("check",)),
        # The longest interval of any check: a gap is judged by the slowest of them.
        every=timedelta(hours=6),
    ),
    OwnRule(
        rule=Threshold(
            name="ClockWrong",
            metric=CLOCK_ERROR,
            severity=Severity.WARNING,
            # Two minutes are more than any batch takes; at five, sign-ins by Kerberos fail.
            above=120.0,
            clear_at=60.0,
            hold_for=timedelta(minutes=10),
            clear_for=timedelta(minutes=10),
            title="The clock of {host} is {value} {direction}",
            advice="Its clock is {value} {direction} of the collector's. Readings are dated by "
            "their age and none is lost, but sign-ins and certificates on {host} may fail. Look "
            "there at: timedatectl (Linux) or w32tm /query /status (Windows), and turn time "
            "synchronisation on. If many hosts say so at once, it is the collector's clock.",
        ),
        component=Component("clock"),
        every=timedelta(minutes=5),
    ),
    OwnRule(
        rule=State(
            name="HostCloned",
            metric=HOST_CLONED,
            severity=Severity.HIGH,
            when=1.0,
            title="Two machines report as {host}: {kept} and {copy}",
            advice="Both use the identity that was given to {host}. Of {kept}, heard first, "
            "readings are taken; {copy} is turned away, and no orders are handed out to either. "
            "On the copy run: forewarn-agent enrol --force STRING, with a new string of "
            "forewarn-collector token create. Three hours later this ends by itself, or at once "
            "with: forewarn-collector host settle ID.",
        ),
        component=Component("host"),
        every=timedelta(minutes=5),
    ),
)
