"""What agents talk to: enrol, send batches, fetch the authority's certificate.

Everything a host sends is taken for hostile.  The cheap checks come first and touch no disk: who
claims to have signed, how long the body is, whether the signature holds.  Then the body is read.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus

import structlog
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forewarn_checks.base import Batch, Lane, Receipt, signing
from forewarn_checks.base.wire import to_json
from forewarn_collector.agent_config import AgentSettings, Document
from forewarn_collector.doubles import Answer, Doubles
from forewarn_collector.enrolment import Refused, enrol, parse_request
from forewarn_collector.gate import Gate
from forewarn_collector.http.arrivals import Arrivals, Failures
from forewarn_collector.http.downloads import download_routes
from forewarn_collector.http.limits import BODY_BYTES, is_odd, refuse
from forewarn_collector.http.orders import Counter
from forewarn_collector.ingest import BadBatch, Busy, Ingest, decode
from forewarn_collector.metrics import AGENT_REQUESTS
from forewarn_collector.packages import Offer
from forewarn_collector.samples import SampleStore
from forewarn_collector.state import doubles as state_of_doubles
from forewarn_collector.state.database import Database
from forewarn_collector.state.hosts import Hosts, KnownHost
from forewarn_collector.waiting import Board

ENROL_BYTES = 16 * 1024
IN_FLIGHT = 1024
STREAM = "batches"
ORDERS_STREAM = "orders"
CONFIG_STREAM = "config"
_HEAVY_BYTES = 64 * 1024  # a body that takes more than a moment to decode
_BUSY_SECONDS = 5
_WAIT_SECONDS = 45
_TWO = (
    "two machines use the identity of this host; on the one that is the copy run:"
    " forewarn-agent enrol --force STRING"
)

log = structlog.get_logger("forewarn.agents")


class _Answered(Exception):
    """The request is not taken; carries the answer."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


def _stop(status: int, text: str, *, close: bool = False, after: int | None = None) -> _Answered:
    return _Answered(refuse(status, text, close=close, after=after))


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSide:
    """What the routes need."""

    collector_id: str
    hosts: Hosts
    database: Database
    store: SampleStore
    ingest: Ingest
    authority: bytes  # the authority's certificate, PEM
    pepper: bytes = field(repr=False)
    now: Callable[[], datetime]
    offer: Offer = field(default_factory=Offer)
    settings: Callable[[KnownHost], Document] = AgentSettings({}, {}).document
    checkpoint: Callable[[], str] = str
    gate: Gate = field(default_factory=Gate)
    doubles: Doubles = field(default_factory=Doubles)


class _Routes:
    def __init__(self, side: AgentSide) -> None:
        self._side = side
        self._arrivals = Arrivals()
        self._failures = Failures()
        self._in_flight = 0
        self._heavy = asyncio.Semaphore(2)
        self._board = Board(side.database, side.now)
        self._counter = Counter(side.database, self._board, side.gate, side.now)

    # -- enrolment -------------------------------------------------------------------------------

    async def enrol(self, request: Request) -> Response:
        """Let a new host in."""
        now = self._side.now()
        address = _from(request)
        if self._failures.too_many(address, now):
            raise _stop(429, "too many failed enrolments from this address", after=60)
        body = await _body(request, _length(request, ENROL_BYTES))
        try:
            wanted = parse_request(body)
            side = self._side
            enrolled = await asyncio.to_thread(
                enrol, side.database, side.hosts, side.pepper, wanted, now
            )
        except Refused as refused:
            self._failures.add(address, now)
            log.warning("enrolment refused", address=address, reason=str(refused))
            raise _stop(refused.status, str(refused)) from None
        host = enrolled.host
        log.info(
            "host enrolled" if not enrolled.repeated else "host told again who it is",
            host=host.id,
            name=host.name,
            client=host.client,
            site=host.site,
            address=address,
        )
        return JSONResponse(
            {
                "host_id": host.id,
                "collector_id": self._side.collector_id,
                "client": host.client,
                "site": host.site,
            }
        )

    async def authority(self, _request: Request) -> Response:
        """Return the authority's certificate: fetched, compared with the fingerprint, trusted."""
        return Response(self._side.authority, media_type="application/x-pem-file")

    # -- batches ---------------------------------------------------------------------------------

    async def batches(self, request: Request) -> Response:
        """Take one batch; answer once it is durable."""
        signed, host = self._authenticate(request)
        length = _length(request, BODY_BYTES)
        self._verify(signed, host)
        now = self._side.now()
        wait = self._arrivals.wait_seconds(host.id, STREAM, now)
        if wait:
            raise _stop(429, "this host sends too often", after=math.ceil(wait))
        if self._in_flight >= IN_FLIGHT:
            raise _stop(503, "too many batches are being taken", after=_BUSY_SECONDS)
        self._in_flight += 1
        try:
            body = await _body(request, length)
            if signing.content_digest(body) != signed.digest:
                raise _stop(400, "the body is not the one that was signed")
            encoding = request.headers["content-encoding"]
            if length <= _HEAVY_BYTES:
                return await self._take(decode(body, encoding), host, signed.seq, _from(request))
            async with self._heavy:
                batch = await asyncio.to_thread(decode, body, encoding)
                return await self._take(batch, host, signed.seq, _from(request))
        except BadBatch as bad:
            log.warning("batch refused", host=host.id, status=bad.status, reason=str(bad))
            raise _stop(bad.status, str(bad)) from None
        except Busy as busy:
            raise _stop(503, str(busy), after=busy.retry_after_seconds) from None
        finally:
            self._in_flight -= 1

    # -- orders ----------------------------------------------------------------------------------

    async def orders(self, request: Request) -> Response:
        """Hand over what operators signed for this host."""
        signed, host = self._authenticate(request, ORDERS_STREAM)
        wait = self._counter.wait_asked(request.scope["query_string"].decode("latin-1"))
        self._verify(signed, host)
        if wait is None or signed.digest != signing.content_digest(b""):
            raise _stop(400, "ask with ?wait=SECONDS and without a body")
        if self._side.doubles.is_doubled(host.id):
            raise _stop(409, _TWO)  # an order is for one machine, and here are two
        if pause := self._arrivals.wait_seconds(host.id, ORDERS_STREAM, self._side.now()):
            raise _stop(429, "this host asks too often", after=math.ceil(pause))
        return JSONResponse(await self._counter.serve(host, wait))

    # -- settings --------------------------------------------------------------------------------

    async def config(self, request: Request) -> Response:
        """Return how this host is to run its checks."""
        signed, host = self._authenticate(request, CONFIG_STREAM)
        self._verify(signed, host)
        if signed.digest != signing.content_digest(b""):
            raise _stop(400, "ask without a body")
        if pause := self._arrivals.wait_seconds(host.id, CONFIG_STREAM, self._side.now()):
            raise _stop(429, "this host asks too often", after=math.ceil(pause))
        return Response(self._side.settings(host).body, media_type="application/json")

    # -- who asks --------------------------------------------------------------------------------

    def _authenticate(
        self, request: Request, stream: str = STREAM
    ) -> tuple[signing.Signed, KnownHost]:
        """Return whose request this claims to be.  Nothing is read or computed for strangers."""
        try:
            signed = signing.parse(
                request.method,
                request.scope["raw_path"].decode("ascii"),
                request.scope["query_string"].decode("latin-1"),
                _single(request),
            )
        except signing.BadSignature as bad:
            raise _stop(401, str(bad)) from None
        if signed.collector != self._side.collector_id:
            raise _stop(401, "signed for another collector")
        if signed.stream != stream:
            raise _stop(401, "signed for another stream")
        host = self._side.hosts.get(signed.key_id)
        if host is None:
            raise _stop(401, "no such host")
        if host.revoked:
            raise _stop(403, "this host was revoked")
        return signed, host

    def _verify(self, signed: signing.Signed, host: KnownHost) -> None:
        try:
            VerifyKey(host.public_key).verify(signed.base, signed.signature)
        except BadSignatureError:
            raise _stop(401, "the signature does not hold") from None

    async def _take(self, batch: Batch, host: KnownHost, seq: int, address: str) -> Response:
        if batch.host != host.id:
            raise _stop(409, "the batch is of another host than the one that signed it")
        now = self._side.now()
        doubles = self._side.doubles
        answer = doubles.heard(host.number, host.id, batch, address, now)
        if doubles.news:
            await self._keep_doubles()
        if answer is not Answer.TAKE:
            raise _turned_away(answer)
        if self._arrivals.overtaken(host.id, STREAM, seq, now):
            return self._told(self._marks(batch, host), host)
        finding = doubles.finding(host.id, now)
        return self._told(await self._side.ingest.accept(batch, host, now, finding), host)

    async def _keep_doubles(self) -> None:
        news = self._side.doubles.take_news()

        def write() -> None:
            with self._side.database.write() as connection:
                state_of_doubles.keep(connection, news)

        for one in news:
            log.warning(
                "two machines use one identity" if one.settled_at is None else "settled",
                host=one.host_id,
                **one.labels,
            )
        await asyncio.to_thread(write)

    def _told(self, receipt: Receipt, host: KnownHost) -> Response:
        version, waits = self._side.settings(host).version, self._board.waits(host.id)
        told = replace(
            receipt,
            config_version=version,
            orders_waiting=waits,
            audit_checkpoint=self._side.checkpoint(),
        )
        return JSONResponse(to_json(told))

    def _marks(self, batch: Batch, host: KnownHost) -> Receipt:
        """Return what is held of the batch's spool, for a request that came too late."""
        store = self._side.store
        held = {lane: store.mark(host.number, batch.spool, lane) for lane in Lane}
        return Receipt({lane: mark for lane, mark in held.items() if mark >= 0})


def _turned_away(answer: Answer) -> _Answered:
    if answer is Answer.WAIT:
        return _stop(503, "another machine spoke for this host a moment ago", after=_WAIT_SECONDS)
    if answer is Answer.RENEW:
        return _stop(409, "another machine sends runs of this spool; go on as a new spool")
    return _stop(409, _TWO)


def _from(request: Request) -> str:
    return request.client.host if request.client else ""


def agents_app(side: AgentSide) -> ASGIApp:
    """Return the application of the agents' listener."""
    routes = _Routes(side)
    app = Starlette(
        routes=[
            Route("/v1/enrol", routes.enrol, methods=["POST"]),
            Route("/v1/batches", routes.batches, methods=["POST"]),
            Route("/v1/orders", routes.orders, methods=["GET"]),
            Route("/v1/config", routes.config, methods=["GET"]),
            Route("/v1/ca.pem", routes.authority, methods=["GET"]),
            *download_routes(side.offer),
        ],
        exception_handlers={
            _Answered: _answer,
            HTTPException: _http,
            ClientDisconnect: _gone,
            Exception: _our_fault,
        },
    )
    # "/v1/batches/" is no path of ours, not a way to be sent to one.
    app.router.redirect_slashes = False
    return _counted(app)


def _counted(app: ASGIApp) -> ASGIApp:
    """Hand on requests with a plain path, and count every answer."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                AGENT_REQUESTS.labels(str(message["status"])).inc()
            await send(message)

        odd = scope["type"] == "http" and is_odd(scope)
        await (refuse(404, "no such path") if odd else app)(scope, receive, sending)

    return counted


def _answer(_request: Request, error: Exception) -> Response:
    assert isinstance(error, _Answered)
    return error.answer


def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refuse(error.status_code, HTTPStatus(error.status_code).phrase.lower())


def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody is left to read it


def _our_fault(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, trouble=repr(error))
    return refuse(503, "the collector is in trouble; it has not stored this", after=30)


def _single(request: Request) -> dict[str, str]:
    """Return the headers by lower-case name; those sent twice are joined, which none of ours is."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _length(request: Request, most: int) -> int:
    """Return how long the body says it is, if that may be read at all."""
    stated = request.headers.get("content-length", "")
    if not stated.isascii() or not stated.isdigit():
        raise _stop(411, "say the content-length", close=True)
    if len(stated) > 12 or int(stated) > most:
        raise _stop(413, f"the body is larger than {most} bytes", close=True)
    return int(stated)


async def _body(request: Request, length: int) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > length:
            raise _stop(413, "the body is longer than it said", close=True)
    return bytes(body)
