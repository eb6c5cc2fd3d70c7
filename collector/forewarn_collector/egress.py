"""Reach only what a destination may reach: every address is checked, then exactly it is dialled.

Destinations are an administrator's text, but names are resolved by others.  So a name is looked up
once, every answer is judged, and the connection goes to the judged address under the name's TLS
identity: a name that answers differently the second time gains nothing.

    Forbidden     the address is not one this destination may reach; trying again is no use
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Sequence

import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a name, as literals.  Raises OSError when there are none."""

TIMEOUT_SECONDS = 15.0
LONGEST_ANSWER = 64 * 1024

# Cloud metadata that is neither link-local nor private by any table.
_METADATA = frozenset(
    {
        ipaddress.ip_address("100.100.100.200"),
        ipaddress.ip_address("168.63.129.16"),
        ipaddress.ip_address("192.0.0.192"),
        ipaddress.ip_address("fd00:ec2::254"),
    }
)
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


class Forbidden(httpx.UnsupportedProtocol):
    """The destination may not reach this address; the text says what would allow it."""


class Client(httpx.Client):
    """The client of one destination, which also says what it may reach."""

    allow_networks: tuple[Network, ...] = ()


def client(allow_networks: Iterable[Network], resolve: Resolve | None = None) -> Client:
    """Return the client of one destination: no redirects, no proxy of the environment, bounds."""
    networks = tuple(allow_networks)
    made = Client(
        transport=GuardedTransport(httpx.HTTPTransport(), networks, resolve or look_up),
        timeout=TIMEOUT_SECONDS,
        follow_redirects=False,
        trust_env=False,
        # What is not asked for compressed cannot unfold to gigabytes.
        headers={"user-agent": "forewarn", "accept-encoding": "identity"},
    )
    made.allow_networks = networks
    return made


def look_up(name: str, port: int) -> Sequence[str]:
    """Return what the system resolves a name to."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def refusal(address: Address, allow_networks: Iterable[Network]) -> str:
    """Return why an address may not be reached, "" if it may.

    Only an explicit network of `allow_networks` opens what is not public; link-local, metadata,
    multicast and unspecified addresses stay shut.
    """
    inner = unwrap(address)
    if inner in _METADATA or inner.is_link_local or inner.is_multicast or inner.is_unspecified:
        return "is never a place for tickets (link-local, metadata, multicast or unspecified)"
    if any(inner in network for network in allow_networks if network.version == inner.version):
        return ""
    site_local = isinstance(inner, ipaddress.IPv6Address) and inner.is_site_local
    if not inner.is_global or inner.is_reserved or site_local:
        return "is not public; name its network in allow_networks if it is yours"
    return ""


def unwrap(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address only carries (mapped, 6to4, Teredo, NAT64)."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    carried = address.ipv4_mapped or address.sixtofour
    if carried is None and address.teredo is not None:
        carried = address.teredo[1]
    if carried is None and any(address in network for network in _NAT64):
        carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return carried or address


class GuardedTransport(httpx.BaseTransport):
    """Judges where a request goes, pins it there, and bounds what comes back."""

    def __init__(
        self, inner: httpx.BaseTransport, allow_networks: Iterable[Network], resolve: Resolve
    ) -> None:
        self._inner = inner
        self._allowed = tuple(allow_networks)
        self._resolve = resolve

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to a checked address.

        Raises Forbidden for a place it may not reach and httpx.ConnectError for an unknown name.
        """
        name = request.url.host
        address = self._judged(name, request.url)
        pinned = httpx.Request(
            method=request.method,
            url=request.url.copy_with(host=str(address)),
            headers=request.headers,  # the name stays in Host
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": name},
        )
        answer = self._inner.handle_request(pinned)
        return _bounded(answer)

    def close(self) -> None:
        """Close what is kept open."""
        self._inner.close()

    def _judged(self, name: str, url: httpx.URL) -> Address:
        if url.scheme not in ("http", "https"):
            raise Forbidden(f"{url.scheme}: is not spoken; write https")
        try:
            found = self._resolve(name, url.port or (443 if url.scheme == "https" else 80))
        except (OSError, UnicodeError):
            raise httpx.ConnectError(f"{name} has no address") from None
        addresses = [ipaddress.ip_address(one) for one in found]
        if not addresses:
            raise httpx.ConnectError(f"{name} has no address")
        for address in addresses:
            reason = refusal(address, self._allowed)
            if reason:
                raise Forbidden(f"{name} is at {address}, which {reason}")
            if url.scheme == "http" and not self._is_ours(address):
                raise Forbidden(f"{name}: plain http leaves our networks; write https")
        return addresses[0]

    def _is_ours(self, address: Address) -> bool:
        inner = unwrap(address)
        return any(
            inner in network for network in self._allowed if network.version == inner.version
        )


def _bounded(answer: httpx.Response) -> httpx.Response:
    """Read at most 64 kB, for at most the timeout; what is longer is cut, not awaited."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    read = bytearray()
    stream = answer.stream
    assert isinstance(stream, httpx.SyncByteStream)
    try:
        for chunk in stream:
            read += chunk
            if len(read) >= LONGEST_ANSWER:
                break
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the answer did not end")
    finally:
        answer.close()
    # The length is ours now, and nothing is decompressed.
    dropped = {b"content-encoding", b"content-length", b"transfer-encoding"}
    headers = [(name, value) for name, value in answer.headers.raw if name.lower() not in dropped]
    return httpx.Response(answer.status_code, headers=headers, content=bytes(read[:LONGEST_ANSWER]))
