"""Ask the collector for something in this host's name: a signed GET whose answer is bounded."""

from datetime import UTC, datetime
from typing import Protocol

import httpx

from forewarn_checks.base import signing


class Identity(Protocol):
    """What is needed to know of who this host is."""

    @property
    def host_id(self) -> str: ...
    @property
    def collector_id(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def public(self) -> bytes: ...
    def sign(self, message: bytes) -> bytes: ...
    def next_seq(self, stream: str) -> int: ...


def signed_get(
    client: httpx.Client,
    who: Identity,
    path: str,
    *,
    stream: str,
    query: str = "",
    timeout_seconds: float,
    most_bytes: int,
) -> bytes:
    """Return the body of the answer.

    Raises httpx errors, also for a status that is no success, and ValueError when the answer is
    longer than `most_bytes`.
    """
    headers = signing.sign(
        method="GET",
        path=path,
        query=query,
        body=b"",
        content_encoding="identity",
        collector=who.collector_id,
        stream=stream,
        seq=who.next_seq(stream),
        key_id=who.host_id,
        created=int(datetime.now(UTC).timestamp()),
        key=who.sign,
    ) | {"accept-encoding": "identity"}
    url = f"{who.url}{path}" + (f"?{query}" if query else "")
    body = bytearray()
    with client.stream("GET", url, headers=headers, timeout=timeout_seconds) as answer:
        answer.raise_for_status()
        for part in answer.iter_bytes():
            body += part
            if len(body) > most_bytes:
                raise ValueError("the answer does not end")
    return bytes(body)
