"""Read what another system answers: taken, try again, or a matter for a person."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from pydantic import SecretStr

from forewarn_collector.tickets import Refused, TryAgain

# Conditions that pass by themselves; every other 4xx is a matter for a person.
_PASSING = frozenset({408, 409, 425, 429})
_LONGEST_WAIT = 86_400.0


def trouble(answer: httpx.Response, at: float) -> TryAgain | Refused | None:
    """Return what an answer that is no 2xx means, None for one that is.

    `at` is the moment of the attempt in unix seconds; a ``Retry-After`` counts from it.
    """
    status = f"status {answer.status_code}"
    if answer.is_success:
        return None
    if answer.is_server_error or answer.status_code in _PASSING:
        return TryAgain(status, _wait(answer.headers.get("retry-after", ""), at))
    if answer.status_code == 410:
        return Refused(f"{status}: the address is gone", gone=True)
    if answer.is_redirect:
        return Refused(f"{status}: redirects are not followed; put the new address in url")
    return Refused(status)


def broken(failure: httpx.TransportError) -> TryAgain | Refused:
    """Return what a request without an answer means."""
    if isinstance(failure, httpx.UnsupportedProtocol):
        return Refused(str(failure))
    # Its text may hold the address, and the address a token.
    return TryAgain(type(failure).__name__)


def web_address(url: SecretStr) -> SecretStr:
    """Return `url` if it is one we can post to.  Raises ValueError that does not show it."""
    try:
        parsed = httpx.URL(url.get_secret_value())
    except httpx.InvalidURL:
        raise ValueError("url is no address; write https://host/path") from None
    if parsed.scheme not in ("https", "http") or not parsed.host:
        raise ValueError("url is no web address; write https://host/path")
    if parsed.userinfo:
        raise ValueError("url holds a name and password; put a token in its path instead")
    return url


def shown_address(url: SecretStr) -> str:
    """Return as much of an address as may be shown: the host, never the path."""
    parsed = httpx.URL(url.get_secret_value())
    return f"{parsed.scheme}://{parsed.host}" + (f":{parsed.port}" if parsed.port else "")


def _wait(text: str, at: float) -> float | None:
    """Return the seconds a ``Retry-After`` asks for, None if it asks for none that we can read."""
    if text.strip().isascii() and text.strip().isdigit():
        return min(float(text.strip()[:9]), _LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - datetime.fromtimestamp(at, UTC)).total_seconds(), 0.0), _LONGEST_WAIT)
