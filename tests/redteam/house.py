"""One endpoint with a real helper, its owner's keys, and an attacker who owns the collector."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from forewarn_agent.helper.desk import Desk, Surroundings
from forewarn_agent.helper.frames import RunRequest
from forewarn_scripts import envelope as dsse
from forewarn_scripts.decide import Asked, Endpoint
from forewarn_scripts.envelope import Envelope
from forewarn_scripts.keyring import KeyringText, NamedKey
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import (
    Calendar,
    Document,
    Order,
    Result,
    Revocation,
    StandingOrder,
    parse,
    script_hash,
    write_moment,
)

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
COLLECTOR = "01234567-89ab-7def-8123-456789abcdef"
OTHER = "0193ffff-0000-7000-8000-000000000000"


def key(number: int) -> SigningKey:
    return SigningKey(bytes([number]) * 32)


def public(signing: SigningKey) -> bytes:
    return bytes(signing.verify_key)


def named(signing: SigningKey, name: str) -> NamedKey:
    return NamedKey(name=name, public=base64.b64encode(public(signing)).decode())


ANN, BEN, EVE, RECOVERY, HOST, CLONE = (key(number) for number in (1, 2, 3, 4, 5, 6))


def order_id(number: int) -> str:
    return f"0193aaaa-0000-7000-8000-{number:012x}"


@dataclass
class House:
    """Everything of one host, below `place`; `wall` is its wall clock."""

    place: Path
    wall: datetime = NOW
    marker: Path = field(init=False)
    script: bytes = field(init=False)
    desk: Desk | None = None
    number: int = 0

    def __post_init__(self) -> None:
        self.marker = self.place / "marker"
        self.script = f'echo "$1" >> {self.marker}; echo ran "$@"\n'.encode()
        self.policy_file.parent.mkdir(parents=True)
        self.keyring_file.write_bytes(self.keyring().to_bytes())
        self.permit()

    @property
    def policy_file(self) -> Path:
        return self.place / "etc" / "policy.toml"

    @property
    def keyring_file(self) -> Path:
        return self.place / "etc" / "keyring.json"

    def permit(self, text: str | None = None, **changes: Any) -> None:
        """Write the policy; by default Ann alone may run sh here."""
        ids = json.dumps([key_id(public(ANN)), key_id(public(BEN))])
        self.policy_file.write_text(
            text
            if text is not None
            else f'''mode = "signed"
[trust]
keyring = "{self.keyring_file}"
[limits]
max_timeout = "{changes.get("max_timeout", "10m")}"
max_runs_per_hour = {changes.get("per_hour", 100)}
[[class]]
name = "care"
threshold = {changes.get("threshold", 1)}
keys = {ids}
run_as = ["self"]
max_hosts = {changes.get("max_hosts", 10)}
standing = {str(changes.get("standing", True)).lower()}
'''
        )

    def keyring(self, *, by: tuple[SigningKey, ...] = (ANN,), **changes: Any) -> Envelope:
        values: dict[str, Any] = {
            "collector": COLLECTOR,
            "version": 1,
            "threshold": 1,
            "expires": write_moment(NOW + timedelta(days=365)),
            "keys": (named(ANN, "ann"), named(BEN, "ben")),
            "recovery": named(RECOVERY, "r").public,
        }
        envelope = Envelope(dsse.KEYRING, KeyringText(**(values | changes)).to_bytes())
        for one in by:
            envelope = envelope.signed_by(one)
        return envelope

    def values(self, **changes: Any) -> dict[str, Any]:
        self.number += 1
        return {
            "id": order_id(self.number),
            "client": "acme",
            "collector": COLLECTOR,
            "script_sha256": script_hash(self.script),
            "interpreter": "/bin/sh",
            "argv": ("once",),
            "targets": (key_id(public(HOST)),),
            "max_hosts": 1,
            "not_before": write_moment(NOW),
            "not_after": write_moment(NOW + timedelta(hours=1)),
            "reason": "T-1",
            "run_as": "self",
            "timeout_seconds": 10,
            "keyring_version": 1,
        } | changes

    def order(self, *by: SigningKey, **changes: Any) -> Envelope:
        return sealed(Order(**self.values(**changes)), *(by or (ANN,)))

    def standing(self, *by: SigningKey, **changes: Any) -> Envelope:
        nightly = Calendar(
            weekdays=(1, 2, 3, 4, 5, 6, 7), at="08:00", zone="UTC", window_minutes=60
        )
        more = {
            "not_after": write_moment(NOW + timedelta(days=60)),
            "max_runs_a_day": 1,
            "calendar": nightly,
        }
        return sealed(StandingOrder(**self.values(**(more | changes))), *(by or (ANN,)))

    def revocation(self, *by: SigningKey, **changes: Any) -> Envelope:
        values: dict[str, Any] = {
            "id": OTHER,
            "client": "acme",
            "collector": COLLECTOR,
            "issued_at": write_moment(self.wall),
            "reason": "stop",
        } | changes
        return sealed(Revocation(**values), *(by or (ANN,)))

    # -- the helper ------------------------------------------------------------------------------

    def begin(self, host: SigningKey = HOST, client: str = "acme") -> Desk:
        if self.desk is None:
            around = Surroundings(
                directory=self.place / "helper",
                policy=self.policy_file,
                host=Endpoint(key_id(public(host)), client, COLLECTOR),
                public=public(host),
                sign=lambda message: host.sign(message).signature,
                owner=os.geteuid(),
            )
            self.desk = Desk(around, lambda: self.wall)
        return self.desk

    def restart(self) -> None:
        if self.desk is not None:
            self.desk.close()
        self.desk = None

    def ask(
        self,
        envelope: Envelope | bytes,
        script: bytes | None = None,
        occurrence: str = "",
        keyrings: tuple[bytes, ...] = (),
    ) -> Result:
        data = envelope if isinstance(envelope, bytes) else envelope.to_bytes()
        asked = Asked(data, self.script if script is None else script, occurrence)
        answer = dsse.parse(self.begin().run(RunRequest(asked, keyrings)))
        assert dsse.signers(answer, {key_id(public(HOST)): public(HOST)})
        return parse(Result, answer.payload)

    def journal(self) -> list[dict[str, str]]:
        lines = (self.place / "helper" / "journal").read_text().splitlines()
        return [json.loads(line.partition(" ")[2]) for line in lines]

    def refusals(self) -> list[str]:
        return [entry["reason"] for entry in self.journal() if entry["event"] == "refused"]

    def runs(self) -> int:
        return len(self.marker.read_text().splitlines()) if self.marker.exists() else 0


def sealed(document: Document, *by: SigningKey) -> Envelope:
    envelope = Envelope(document.KIND, document.to_bytes())
    for one in by:
        envelope = envelope.signed_by(one)
    return envelope


def altered(envelope: Envelope, **changes: Any) -> Envelope:
    """Change the payload and keep the signatures, as an attacker would."""
    told = json.loads(envelope.payload) | changes
    return replace(envelope, payload=json.dumps(told, separators=(",", ":")).encode())
