"""Ask the collector, as a person with a key.

AskError            the collector gave no answer that helps; its text is for people
  NotReached        nobody answered, or not the collector that is trusted
  NotAllowed        the key has ended, or its role does not reach
    NeedsCode       a code of one's authenticator has to come along
  NotFound          no such thing, or not for this person
  Conflict          the thing is not in a state that allows it
  BadRequest        what was asked makes no sense to the collector
"""

import hashlib
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import JsonValue, ValidationError

from forewarn_scripts.answers import Answer
from forewarn_scripts.credentials import Credentials, trusting

_TIMEOUT = httpx.Timeout(30, connect=10)
_CA_BYTES = 64 * 1024
_FACTOR = "Forewarn-Second-Factor"

A = TypeVar("A", bound=Answer)
Params = Mapping[str, str | int]


class AskError(Exception):
    """The collector gave no answer that helps."""


class NotReached(AskError):
    """Nobody answered, or not the collector that is trusted."""


class NotAllowed(AskError):
    """The key has ended, or its role does not reach."""


class NeedsCode(NotAllowed):
    """A code of one's authenticator has to come along."""


class NotFound(AskError):
    """There is no such thing, or not for this person."""


class Conflict(AskError):
    """The thing is not in a state that allows what was asked."""


class BadRequest(AskError):
    """What was asked makes no sense to the collector."""


_KINDS: Mapping[int, type[AskError]] = {
    400: BadRequest,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    413: BadRequest,
    415: BadRequest,
    422: BadRequest,
}


class Collector:
    """One collector, asked over one kept-alive connection.  Use it in a `with` block."""

    def __init__(
        self, credentials: Credentials, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._url = credentials.url
        headers = {"Authorization": f"Bearer {credentials.key}"} if credentials.key else {}
        self._http = httpx.Client(
            base_url=credentials.url,
            headers=headers,
            verify=trusting(credentials.ca) if transport is None else True,
            transport=transport,
            timeout=_TIMEOUT,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, **params: str | int) -> bytes:
        """Return the body of an answer, which is JSON.  Raises AskError."""
        return self._ask("GET", path, params=params)

    def page(self, path: str, **params: str | int) -> bytes:
        """Return a page or file that people can open, too.  Raises AskError."""
        return self._ask("GET", path, params=params, prefix="")

    def post(self, path: str, **body: JsonValue) -> bytes:
        """Send a change and return what it led to.  Raises AskError."""
        return self._ask("POST", path, json=body or None)

    def post_with_code(self, path: str, code: str, **body: JsonValue) -> bytes:
        """Send a change that needs a second factor.  Raises AskError."""
        return self._ask("POST", path, json=body or None, code=code)

    def patch(self, path: str, body: Mapping[str, JsonValue]) -> bytes:
        """Send a change and return what it led to.  Raises AskError."""
        return self._ask("PATCH", path, json=body)

    def delete(self, path: str, code: str = "") -> None:
        """Take something away.  Raises AskError."""
        self._ask("DELETE", path, code=code)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Mapping[str, JsonValue] | None = None,
        prefix: str = "/api/v1",
        code: str = "",
    ) -> bytes:
        address, sent = f"{prefix}{path}", {_FACTOR: code} if code else {}
        try:
            answer = self._http.request(method, address, params=params, json=json, headers=sent)
        except httpx.HTTPError as failure:
            raise _not_reached(self._url, failure) from None
        if answer.is_success:
            return answer.content
        kind = _KINDS.get(answer.status_code, AskError)
        if answer.headers.get(_FACTOR) == "code":
            kind = NeedsCode
        raise kind(_told(answer, self._url))


def read(form: type[A], body: bytes) -> A:
    """Return the answer in `body`.  Raises AskError when it is not what a collector says."""
    try:
        return form.model_validate_json(body)
    except ValidationError as failure:
        where = failure.errors()[0]["loc"]
        raise AskError(
            f"the answer is not a collector's (at {'.'.join(map(str, where)) or 'its start'});"
            " is the address right, and the command not older than the collector?"
        ) from None


# -- trust ---------------------------------------------------------------------------------------


def check_address(url: str) -> str:
    """Return `url` without a trailing slash.  Raises ValueError unless it is safe to send a
    password to: https, or http to this very machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError(f"{url!r} is no address of a collector; write https://HOST:PORT")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError(f"{url!r} would send the password in clear; write https://…")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"{url!r} has more than an address; write https://HOST:PORT")
    return f"{parts.scheme}://{parts.netloc}"


def system_trusts(url: str) -> bool:
    """Say whether the authorities of this system vouch for the collector.

    Raises NotReached when nobody answers at all.
    """
    try:
        httpx.get(f"{url}/healthz", timeout=_TIMEOUT, trust_env=False, verify=trusting(""))
    except httpx.HTTPError as failure:
        if isinstance(_cause(failure), ssl.SSLCertVerificationError):
            return False
        raise _not_reached(url, failure) from None
    return True


def offered_authority(url: str) -> str:
    """Return the PEM of the authority the collector says is its own; it proves nothing yet.

    Whoever calls compares `fingerprint` with one got another way, or asks a person to.
    Raises NotReached.
    """
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # the fingerprint is the check
    try:
        with httpx.Client(verify=unverified, timeout=_TIMEOUT, trust_env=False) as client:
            answer = client.get(f"{url}/ca.pem")
    except httpx.HTTPError as failure:
        raise _not_reached(url, failure) from None
    if not answer.is_success or len(answer.content) > _CA_BYTES:
        raise NotReached(f"{url} does not show its authority; give it with --ca FILE")
    return answer.text


def fingerprint(pem: str) -> str:
    """Return the SHA-256 of a PEM certificate, in hex as the collector prints it.

    Raises ValueError when it is none.
    """
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.strip())).hexdigest()


def _not_reached(url: str, failure: httpx.HTTPError) -> NotReached:
    cause = _cause(failure)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return NotReached(
            f"{url} shows a certificate that the authority trusted at login does not vouch for"
            f" ({cause.verify_message}); if the collector was set up anew, log in again"
        )
    if url.startswith("http://") and isinstance(failure, httpx.RemoteProtocolError):
        return NotReached(f"{url} takes no plain HTTP; write https://{url.removeprefix('http://')}")
    reason = str(failure) or type(failure).__name__
    return NotReached(f"cannot reach {url}: {reason}; is the collector running, the address right?")


def _cause(failure: BaseException) -> BaseException | None:
    """Return the error at the bottom of a chain, TLS ones first."""
    found: BaseException | None = failure
    while found is not None and not isinstance(found, ssl.SSLError):
        found = found.__cause__ or found.__context__
    return found


def _told(answer: httpx.Response, url: str) -> str:
    try:
        text = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return f"{url} answered with status {answer.status_code}; is it a collector?"
    if answer.status_code == httpx.codes.UNAUTHORIZED and not answer.url.path.endswith("/login"):
        return f"the key has ended or was revoked; log in again: forewarn login {url}"
    return str(text)
