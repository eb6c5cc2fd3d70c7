"""How the host is guarded: firewall, antivirus, disk encryption, and who administers it."""

import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from forewarn_checks.base import (
    Check,
    Component,
    Fact,
    Growth,
    Increase,
    Metric,
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
    from forewarn_checks._posture_seen import Posture

FIREWALL = Metric(
    "posture_firewall_on",
    Unit.COUNT,
    "1 when a firewall is on (on Windows for every kind of network), else 0; its rules are not "
    "looked at.",
    ("system",),
)
ANTIVIRUS = Metric(
    "posture_antivirus_on",
    Unit.COUNT,
    "1 when an antivirus guards, 0 when it is off or, on Windows, knows nothing new; read where "
    "one is installed.",
)
SIGNATURES = Metric(
    "posture_signatures_age_seconds",
    Unit.SECONDS,
    "Time since the antivirus last learned something new (ClamAV).",
)
ENCRYPTED = Metric(
    "posture_disk_encrypted",
    Unit.COUNT,
    "1 when the system's disk is encrypted (dm-crypt, BitLocker), else 0; read where it is told.",
)
PORTABLE = Metric(
    "posture_portable_unencrypted",
    Unit.COUNT,
    "1 when the host can be carried away and its disk is not encrypted, else 0.",
)
ADMINISTRATORS = Metric(
    "posture_administrators", Unit.COUNT, "How many are root or administrator, or may become it."
)
CHANGES = Metric(
    "posture_administrator_changes",
    Unit.COUNT,
    "How often a run found others than the run before it: a counter.",
)

MEMORY_NAME = "posture-seen.json"
_MOST_NAMES = 200


def read_linux(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read what can be told without root."""
    if sys.platform == "win32":
        raise WrongSystem
    from forewarn_checks._process import execute
    from forewarn_checks.linux.guards import read_posture

    yield from readings(read_posture(execute), "linux", _memory())


def read_windows(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Ask registry, Security Center, shell and the group Administrators."""
    if sys.platform != "win32":
        raise WrongSystem
    from forewarn_checks.windows.guards import read_posture

    yield from readings(read_posture(), "windows", _memory())


def _memory() -> Path | None:
    directory = os.environ.get("FOREWARN_AGENT_DIR")
    return Path(directory) / MEMORY_NAME if directory else None


def readings(posture: "Posture", system: str, memory: Path | None) -> Iterator[Reading]:
    """Yield what is known; `memory` is the file that keeps who the administrators were."""
    from forewarn_checks._posture_seen import recall, remember

    if posture.firewall is not None:
        yield FIREWALL.sample(posture.firewall, system=system)
        yield Fact("firewall", posture.firewall_by)
    if posture.antivirus is not None:
        yield ANTIVIRUS.sample(posture.antivirus)
        yield Fact("antivirus", posture.antivirus_by)
    if posture.signatures_age_seconds is not None:
        yield SIGNATURES.sample(posture.signatures_age_seconds)
    if posture.encrypted is not None:
        yield ENCRYPTED.sample(posture.encrypted)
        yield PORTABLE.sample(posture.portable and not posture.encrypted)
    if posture.administrators is not None:
        known = recall(memory).after(posture.administrators)
        remember(memory, known)
        yield ADMINISTRATORS.sample(len(posture.administrators))
        yield CHANGES.sample(known.changes)
        yield Fact("administrators", list(posture.administrators[:_MOST_NAMES]))


CHECK = Check(
    name="posture",
    help="How the host is guarded: firewall, antivirus, disk encryption, and who administers it.",
    every=timedelta(hours=1),
    timeout=timedelta(seconds=60),
    metrics=(FIREWALL, ANTIVIRUS, SIGNATURES, ENCRYPTED, PORTABLE, ADMINISTRATORS, CHANGES),
    component=Component("posture"),
    read_linux=read_linux,
    read_windows=read_windows,
    in_child=True,
    rules=(
        State(
            name="FirewallOff",
            metric=FIREWALL,
            severity=Severity.WARNING,
            when=0,
            where={"system": "windows"},
            hold_for=timedelta(hours=2),
            hold_readings=2,
            title="The firewall of {host} is off",
            advice=(
                "The host's facts (firewall) say for which networks. Switch it on: "
                "Set-NetFirewallProfile -All -Enabled True. If a policy or another product "
                "switched it off on purpose, see that the other one is there and on. Whatever "
                "stopped working lately may be why somebody switched it off: give that a rule."
            ),
        ),
        State(
            name="FirewallMissing",
            metric=FIREWALL,
            severity=Severity.INFO,
            when=0,
            where={"system": "linux"},
            hold_for=timedelta(hours=2),
            hold_readings=2,
            title="No firewall is on on {host}",
            advice=(
                "None of firewalld, ufw, nftables and others that are known is on; rules that a "
                "program sets by itself are root's to see: nft list ruleset. Behind a network's "
                "own firewall this may be meant. Else: ufw allow ssh, then ufw enable; or dnf "
                "install firewalld."
            ),
        ),
        State(
            name="AntivirusOff",
            metric=ANTIVIRUS,
            severity=Severity.WARNING,
            when=0,
            hold_for=timedelta(hours=2),
            hold_readings=2,
            title="The antivirus of {host} does not guard it",
            advice=(
                "It is installed, but off, or its signatures are old; the host's facts "
                "(antivirus) name it. A licence that ended and an update that failed are most "
                "often why; malware that switched it off is the other reason, so look at what "
                "else changed. Start it and let it scan all."
            ),
        ),
        Threshold(
            name="AntivirusOld",
            metric=SIGNATURES,
            severity=Severity.WARNING,
            above=timedelta(days=7).total_seconds(),
            clear_at=timedelta(days=2).total_seconds(),
            title="The antivirus of {host} learned nothing new for {value}",
            advice=(
                "Signatures come daily. See why they do not: systemctl status clamav-freshclam, "
                "/var/log/clamav/freshclam.log. A mirror that refuses old versions, a proxy or a "
                "full disk are usual."
            ),
        ),
        State(
            name="PortableUnencrypted",
            metric=PORTABLE,
            severity=Severity.WARNING,
            when=1,
            hold_for=timedelta(hours=2),
            hold_readings=2,
            title="{host} can be carried away and its disk is not encrypted",
            advice=(
                "Whoever finds or steals it reads all that is on it. Windows: switch BitLocker "
                "on (manage-bde -on C: -RecoveryPassword), and keep the key in the directory. "
                "Linux: LUKS wants a new installation, or cryptsetup reencrypt after a backup. A "
                "drive that encrypts itself is not seen here: then turn the rule off for it."
            ),
        ),
        Growth(
            name="AdministratorsChanged",
            severity=Severity.WARNING,
            any_of=(Increase(metric=CHANGES, by=1),),
            window=timedelta(days=1),
            title="The administrators of {host} have changed",
            advice=(
                "The host's facts (administrators) have who they are now, their history who they "
                "were. Ask whoever was added, or did it, which ticket it belongs to. Nobody "
                "knows of it: take the right away, change passwords, and look at what the "
                "account did since. The ticket closes a day after the change."
            ),
        ),
    ),
    panels=(
        Panel(FIREWALL, drawn_as="state"),
        Panel(ANTIVIRUS, drawn_as="state"),
        Panel(SIGNATURES),
        Panel(ENCRYPTED, drawn_as="state"),
        Panel(ADMINISTRATORS),
        Panel(CHANGES),
        Panel(PORTABLE, drawn_as="state"),
    ),
)
