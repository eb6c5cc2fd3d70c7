"""The one signature profile of requests, ``fw-sig-1``: RFC 9421 with nothing left to choose.

Exactly one signature, labelled ``fw1``, Ed25519, over a fixed, ordered list of components, so
that there is no agility to attack.  Host and scheme are not covered: proxies rewrite them;
``fw-collector`` plays the audience.  `created` is advice only: a host with a wrong clock is still
heard, and freshness comes from ``fw-seq`` and from ingest being idempotent.

    BadSignature      the headers are malformed, or the signature does not hold
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LABEL = "fw1"
COMPONENTS = (
    "@method",
    "@path",
    "@query",
    "content-digest",
    "content-encoding",
    "fw-collector",
    "fw-stream",
    "fw-seq",
)
_HEADERS = COMPONENTS[3:]
_LIST = " ".join(f'"{component}"' for component in COMPONENTS)
_INPUT = re.compile(
    rf"{LABEL}=(?P<parameters>\({re.escape(_LIST)}\);created=(?P<created>\d{{1,12}});"
    r'keyid="(?P<key_id>[0-9a-f-]{36})";alg="ed25519";tag="fw1")'
)
_SIGNATURE = re.compile(rf"{LABEL}=:(?P<value>[A-Za-z0-9+/]{{86}}==):")
_SEQ = re.compile(r"\d{1,18}")
_VISIBLE = re.compile(r"[\x21-\x7e]{1,200}")


class BadSignature(Exception):
    """The request is not signed as the profile asks; the text says which part, never a secret."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A parsed, not yet verified signature: who claims to have signed what."""

    key_id: str
    base: bytes
    signature: bytes
    digest: str
    collector: str
    stream: str
    seq: int


def content_digest(body: bytes) -> str:
    """Return the ``Content-Digest`` of a body as sent, e.g. ``sha-256=:…:`` (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def sign(
    *,
    method: str,
    path: str,
    query: str,
    body: bytes,
    content_encoding: str,
    collector: str,
    stream: str,
    seq: int,
    key_id: str,
    created: int,
    key: Callable[[bytes], bytes],
) -> dict[str, str]:
    """Return the headers that sign one request.

    `query` is what follows ``?`` (without it), `key` makes a 64-byte Ed25519 signature,
    `created` is unix seconds, `key_id` the host id.
    """
    headers = {
        "content-digest": content_digest(body),
        "content-encoding": content_encoding,
        "fw-collector": collector,
        "fw-stream": stream,
        "fw-seq": str(seq),
    }
    parameters = f'({_LIST});created={created};keyid="{key_id}";alg="ed25519";tag="fw1"'
    signature = key(_base(method, path, query, headers, parameters))
    return headers | {
        "signature-input": f"{LABEL}={parameters}",
        "signature": f"{LABEL}=:{base64.b64encode(signature).decode()}:",
    }


def parse(method: str, path: str, query: str, headers: Mapping[str, str]) -> Signed:
    """Return what the headers of a request claim.  Raises BadSignature when they are malformed.

    `headers` are by lower-case name; one that was sent twice must be missing or joined by commas.
    """
    stated = _INPUT.fullmatch(headers.get("signature-input", ""))
    if stated is None:
        raise BadSignature("signature-input is missing or not of profile fw-sig-1")
    value = _SIGNATURE.fullmatch(headers.get("signature", ""))
    if value is None:
        raise BadSignature("signature is missing or not 64 bytes of base64")
    for name in _HEADERS:
        if not _VISIBLE.fullmatch(headers.get(name, "")):
            raise BadSignature(f"{name} is missing or not plain text")
    if not _SEQ.fullmatch(headers["fw-seq"]):
        raise BadSignature("fw-seq is no number")
    return Signed(
        key_id=stated["key_id"],
        base=_base(method, path, query, headers, stated["parameters"]),
        signature=base64.b64decode(value["value"]),
        digest=headers["content-digest"],
        collector=headers["fw-collector"],
        stream=headers["fw-stream"],
        seq=int(headers["fw-seq"]),
    )


def _base(method: str, path: str, query: str, headers: Mapping[str, str], parameters: str) -> bytes:
    """Return the signature base of RFC 9421, 2.5."""
    values = (method, path, f"?{query}", *(headers[name] for name in _HEADERS))
    lines = [f'"{name}": {value}' for name, value in zip(COMPONENTS, values, strict=True)]
    lines.append(f'"@signature-params": {parameters}')
    return "\n".join(lines).encode("utf-8", "surrogateescape")
