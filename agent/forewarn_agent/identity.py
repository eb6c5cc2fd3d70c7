"""Who this agent is to its collector: host id, key, the CA it trusts, and its request counters.

<directory>/identity.json     host id, collector, address, the name of the key file
<directory>/<host id>.key     the seed of the Ed25519 key, base64
<directory>/ca.pem            the one authority that may vouch for the collector
<directory>/counters.json     per stream, up to which number requests may have been counted

NotEnrolled      there is no identity here; its text says how to get one
BrokenIdentity   there is one, but it cannot be used
"""

import base64
import json
import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from nacl.signing import SigningKey

from forewarn_agent.files import write_private

log = logging.getLogger(__name__)

_BLOCK = 1000
"""How many numbers are taken at once, so that a request costs no write."""


class NotEnrolled(Exception):
    """This host has not been enrolled."""


class BrokenIdentity(Exception):
    """The identity on disk is not whole."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a collector answered when this host enrolled, and where it was asked."""

    host_id: str
    collector_id: str
    client: str
    site: str
    url: str
    ca_pem: str


class Identity:
    """An enrolled host, ready to sign.  Safe to use from several threads."""

    def __init__(self, enrolment: Enrolment, key: SigningKey, counters: Path) -> None:
        self._enrolment = enrolment
        self._key = key
        self._counters = counters
        self._lock = threading.Lock()
        self._next: dict[str, int] = {}
        self._reserved = _load_counters(counters)

    @property
    def host_id(self) -> str:
        """The id the collector gave this host."""
        return self._enrolment.host_id

    @property
    def collector_id(self) -> str:
        """The collector that every request names as its audience."""
        return self._enrolment.collector_id

    @property
    def url(self) -> str:
        """The collector's address for agents, without a slash at its end."""
        return self._enrolment.url

    @property
    def client(self) -> str:
        """The client the host was enrolled for."""
        return self._enrolment.client

    @property
    def site(self) -> str:
        """The site the host was enrolled for."""
        return self._enrolment.site

    @property
    def public(self) -> bytes:
        """The 32 bytes of this host's public key."""
        return bytes(self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `message`."""
        return self._key.sign(message).signature

    def next_seq(self, stream: str) -> int:
        """Return a number never used before on `stream`, higher than all before it.

        After a crash the rest of the block is skipped.  Should the disk refuse, counting goes on:
        a number used twice is only "already seen" to the collector.
        """
        with self._lock:
            following = self._next.get(stream, self._reserved.get(stream, 0) + 1)
            if following > self._reserved.get(stream, 0):
                self._reserved[stream] = following + _BLOCK - 1
                self._save_counters()
            self._next[stream] = following + 1
            return following

    def tls(self) -> ssl.SSLContext:
        """Return a context that trusts the collector's own authority and nobody else."""
        return trusting_only(self._enrolment.ca_pem)

    def __repr__(self) -> str:
        return f"Identity({self.host_id})"

    def _save_counters(self) -> None:
        try:
            write_private(self._counters, json.dumps(self._reserved).encode())
        except OSError as failure:
            log.warning("%s could not be written (%s); counting on", self._counters, failure)


# X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python has no name for.  A host whose clock is years
# off must still be heard, and there the dates of a certificate say nothing: who vouches for the
# collector, and for which name, is checked all the same, and its key outlives every certificate.
_NO_CHECK_TIME = 0x200000


def trusting_only(ca_pem: str) -> ssl.SSLContext:
    """Return a client context with `ca_pem` as the only authority; names are checked."""
    context = ssl.create_default_context(cadata=ca_pem)  # with cadata the system's are not loaded
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= _NO_CHECK_TIME
    return context


def is_enrolled(directory: Path) -> bool:
    """Say whether `directory` holds an identity.  Raises PermissionError if it may not look."""
    try:
        (directory / "identity.json").stat()
    except FileNotFoundError:
        return False
    return True


def load(directory: Path) -> Identity:
    """Return the identity kept in `directory`.

    Raises NotEnrolled, BrokenIdentity, or PermissionError for whoever may not read it.
    """
    if not is_enrolled(directory):
        raise NotEnrolled(
            f"{directory} holds no identity; enrol this host first: "
            "forewarn-agent enrol STRING (the collector's `token create` prints the string)"
        )
    try:
        kept = json.loads((directory / "identity.json").read_bytes())
        enrolment = Enrolment(
            host_id=str(kept["host_id"]),
            collector_id=str(kept["collector_id"]),
            client=str(kept["client"]),
            site=str(kept["site"]),
            url=str(kept["url"]),
            ca_pem=(directory / "ca.pem").read_text(),
        )
        key = SigningKey(base64.b64decode((directory / kept["key_file"]).read_bytes()))
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise BrokenIdentity(
            f"the identity in {directory} cannot be used ({type(failure).__name__}); restore the "
            "folder from a backup, or enrol anew: forewarn-agent enrol --force STRING"
        ) from failure
    return Identity(enrolment, key, directory / "counters.json")


def save(directory: Path, enrolment: Enrolment, key: SigningKey) -> None:
    """Keep an identity.  Until its last step an older one stays valid.  Raises OSError."""
    key_file = f"{enrolment.host_id}.key"
    write_private(directory / key_file, base64.b64encode(bytes(key)))
    write_private(directory / "ca.pem", enrolment.ca_pem.encode())
    kept = {
        "host_id": enrolment.host_id,
        "collector_id": enrolment.collector_id,
        "client": enrolment.client,
        "site": enrolment.site,
        "url": enrolment.url,
        "key_file": key_file,
    }
    write_private(directory / "identity.json", json.dumps(kept, indent=2).encode())
    for old in directory.glob("*.key"):
        if old.name != key_file:
            old.unlink(missing_ok=True)


def _load_counters(path: Path) -> dict[str, int]:
    try:
        kept = json.loads(path.read_bytes())
        return {str(stream): int(reserved) for stream, reserved in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
