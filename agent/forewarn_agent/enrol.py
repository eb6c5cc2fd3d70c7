"""Make this host known to a collector, by one string that proves each to the other.

``fw1.<url>.<token>.<CA fingerprint>``: the token proves us to the collector, the fingerprint proves
the collector to us.  The CA certificate is fetched without trust, compared with the fingerprint,
and from then on it is the only one trusted.

    CannotEnrol            what went wrong and what to do, fit to be shown
        BadString          the string is not one, or was cut
        AlreadyEnrolled    this host has an identity, and nobody asked for a new one
        NotTheCollector    whoever answered is not whom the string names
        Refused            the collector said no
"""

import base64
import hashlib
import hmac
import ipaddress
import json
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from nacl.signing import SigningKey

from forewarn_agent import identity
from forewarn_agent.files import make_private, write_private
from forewarn_agent.identity import Enrolment

_FORM = re.compile(r"(?P<token>fwe_[A-Za-z0-9_-]{16,128})\.(?P<fingerprint>[0-9a-f]{64})")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PENDING = "enrolling.json"
_LONGEST_CA = 64 * 1024


class CannotEnrol(Exception):
    """This host could not be enrolled."""


class BadString(CannotEnrol):
    """The enrolment string cannot be read.  Its text never repeats the string: it is a secret."""


class AlreadyEnrolled(CannotEnrol):
    """This host has an identity."""


class NotTheCollector(CannotEnrol):
    """The certificate does not bear the fingerprint of the string."""


class Refused(CannotEnrol):
    """The collector answered, and the answer was no; `final` when asking again would not help."""

    def __init__(self, text: str, *, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


@dataclass(frozen=True, slots=True)
class Invitation:
    """An enrolment string taken apart."""

    url: str
    token: str = field(repr=False)
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a host says of itself when it enrols."""

    hostname: str
    system: str
    agent_version: str


def parse(string: str) -> Invitation:
    """Return what an enrolment string says, read from its right end: only the URL holds dots.

    Raises BadString.
    """
    start, _, rest = string.strip().partition(".")
    if start != "fw1":
        raise BadString("the enrolment string must begin with fw1. ; copy it whole")
    parts = rest.rsplit(".", 2)
    if len(parts) != 3 or not (form := _FORM.fullmatch(f"{parts[1]}.{parts[2]}")):
        raise BadString(
            "the enrolment string does not end in a token (fwe_…) and a fingerprint of 64 hex "
            "digits; it was probably cut: copy it whole"
        )
    return Invitation(_checked_url(parts[0]), form["token"], form["fingerprint"])


def enrol(
    directory: Path, invitation: Invitation, introduction: Introduction, *, force: bool = False
) -> Enrolment:
    """Enrol this host and keep its identity in `directory`.

    Asking again with the same string after the answer was lost gives the same identity.  A host
    that is enrolled is refused unless `force`, which makes a new identity.  Raises CannotEnrol.
    """
    if identity.is_enrolled(directory) and not force:
        raise AlreadyEnrolled(
            f"this host is enrolled already (see forewarn-agent status --dir {directory}); "
            "--force gives it a new identity, under which it appears as a new host"
        )
    make_private(directory)
    key = _pending_key(directory, invitation.token)
    ca_pem = fetch_authority(invitation)
    try:
        with httpx.Client(
            verify=identity.trusting_only(ca_pem), timeout=30, trust_env=False
        ) as client:
            enrolment = ask(client, invitation, introduction, key, ca_pem)
    except Refused as refused:
        if refused.final:
            (directory / _PENDING).unlink(missing_ok=True)
        raise
    identity.save(directory, enrolment, key)
    (directory / _PENDING).unlink(missing_ok=True)
    return enrolment


def fetch_authority(invitation: Invitation) -> str:
    """Return the CA certificate (PEM) that bears the fingerprint of `invitation`.

    Raises NotTheCollector, or CannotEnrol when nobody answers.
    """
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # the fingerprint is the check
    url = f"{invitation.url}/v1/ca.pem"
    try:
        with (
            httpx.Client(verify=unverified, timeout=30, trust_env=False) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code != 200:
                raise CannotEnrol(f"{url} answered {answer.status_code}; is this a collector?")
            content = b""
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > _LONGEST_CA:
                    raise NotTheCollector(f"{url} sent more than any certificate has; trusted not")
    except httpx.HTTPError as failure:
        raise _unreachable(url, failure) from failure
    return matching_certificate(content, invitation)


def matching_certificate(content: bytes, invitation: Invitation) -> str:
    """Return the certificate of a PEM file that bears the fingerprint.  Raises NotTheCollector."""
    blocks = re.findall(
        r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----",
        content.decode("ascii", "replace"),
        re.DOTALL,
    )
    for block in blocks:
        try:
            der = ssl.PEM_cert_to_DER_cert(block)
        except ValueError:
            continue
        if hmac.compare_digest(hashlib.sha256(der).hexdigest(), invitation.fingerprint):
            return str(block) + "\n"
    raise NotTheCollector(
        f"the certificate of {invitation.url} does not bear the fingerprint of the enrolment "
        "string: either the string is of another collector, or somebody stands in between; "
        "nothing was sent"
    )


def ask(
    client: httpx.Client,
    invitation: Invitation,
    introduction: Introduction,
    key: SigningKey,
    ca_pem: str,
) -> Enrolment:
    """Present token and key and return what the collector answered.  Raises CannotEnrol."""
    public_key = base64.b64encode(bytes(key.verify_key)).decode()
    url = f"{invitation.url}/v1/enrol"
    request = {
        "token": invitation.token,
        "public_key": public_key,
        "proof": base64.b64encode(
            key.sign(proven(invitation.token, public_key)).signature
        ).decode(),
        "hostname": re.sub(r"[^\w.-]", "-", introduction.hostname)[:253] or "unnamed",
        "system": introduction.system,
        "agent_version": introduction.agent_version,
    }
    try:
        answer = client.post(url, json=request)
    except httpx.HTTPError as failure:
        raise _unreachable(url, failure) from failure
    if answer.status_code != 200:
        raise Refused(
            f"{url} answered {answer.status_code}: {_reason(answer)}",
            final=answer.status_code in (403, 409, 422),
        )
    try:
        told = answer.json()
        if not _ID.fullmatch(told["host_id"]):  # it becomes a file's name
            raise ValueError("host_id is no UUID")
        return Enrolment(
            host_id=told["host_id"],
            collector_id=str(told["collector_id"]),
            client=str(told["client"]),
            site=str(told["site"]),
            url=invitation.url,
            ca_pem=ca_pem,
        )
    except (ValueError, KeyError, TypeError) as failure:
        raise Refused(f"{url} answered something that is no enrolment") from failure


def proven(token: str, public_key: str) -> bytes:
    """Return what the new key signs to prove that we hold it and know the token."""
    hashed = hashlib.sha256(token.encode()).hexdigest()
    return f"forewarn-enrol-v1\n{hashed}\n{public_key}".encode()


def _pending_key(directory: Path, token: str) -> SigningKey:
    """Return the key made for `token`, kept before anything is sent so that a retry has it."""
    hashed = hashlib.sha256(token.encode()).hexdigest()
    path = directory / _PENDING
    try:
        kept = json.loads(path.read_bytes())
        if hmac.compare_digest(str(kept["token_sha256"]), hashed):
            return SigningKey(base64.b64decode(kept["key"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or of another string: make one
    key = SigningKey.generate()
    kept = {"token_sha256": hashed, "key": base64.b64encode(bytes(key)).decode()}
    write_private(path, json.dumps(kept).encode())
    return key


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise BadString(f"{url!r} in the enrolment string is no address") from None
    plain = parts.username is None and parts.password is None
    if (
        not host
        or not plain
        or parts.scheme not in ("https", "http")
        or parts.path.rstrip("/")
        or parts.query
    ):
        raise BadString(f"{url!r} in the enrolment string is not of the form https://NAME:PORT")
    if parts.scheme == "http" and not _is_loopback(host):
        raise BadString(f"{url} is not encrypted; plain HTTP is for this very machine alone")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unreachable(url: str, failure: httpx.HTTPError) -> CannotEnrol:
    return CannotEnrol(
        f"{url} cannot be reached: {failure or type(failure).__name__}; "
        "check the address, the port and any firewall between, then enrol again"
    )


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])[:500]
    except (ValueError, KeyError, TypeError):
        return "without a reason"
