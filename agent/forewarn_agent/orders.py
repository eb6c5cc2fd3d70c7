"""Fetch what operators signed for this host, have the helper judge and run it, send the answer.

The agent has no say in this: it carries sealed letters.  What the helper signed goes into the
spool's results lane and is offered until the collector holds it.
"""

import base64
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx

from forewarn_agent import clock, paths
from forewarn_agent.asking import Identity, signed_get
from forewarn_agent.clock import Moment
from forewarn_agent.helper import framing
from forewarn_checks.base import Outcome, Run
from forewarn_scripts.envelope import RESULT, BadEnvelope, Envelope, parse
from forewarn_scripts.keys import key_id

log = logging.getLogger(__name__)

PATH: Final = "/v1/orders"
STREAM: Final = "orders"
POLL_SECONDS: Final = 50
_MOST_ANSWER: Final = 8 * 1024 * 1024
_PIECE: Final = 4000  # characters of one text on the wire
_SAME_AGAIN_SECONDS: Final = 120.0
_STATUS_SECONDS: Final = 300.0
_REST_SECONDS: Final = 5.0
_TROUBLE_SECONDS: Final = 60.0
Json = dict[str, object]


class NoHelper(Exception):
    """The helper is not there, or did not answer."""


AskHelper = Callable[[Json, float], Json]
"""Sends one request to the helper and returns its answer.  Raises NoHelper."""


def helper_at(socket_path: Path) -> AskHelper:
    """Return how the helper behind a local socket is asked."""

    def ask(told: Json, timeout_seconds: float) -> Json:
        try:
            with paths.connect_local(socket_path, timeout_seconds) as connection:
                framing.send(connection, told)
                return framing.receive(connection, framing.ANSWER_BYTES)
        except (OSError, ValueError) as failure:
            raise NoHelper(f"{socket_path}: {failure}") from failure

    return ask


@dataclass(frozen=True, slots=True)
class Letter:
    """One order as it was handed over, unopened."""

    envelope: str
    script: str
    occurrence: str = ""  # of a standing order, as the collector has it


class Orders:
    """One thread that fetches and carries.  `keep` takes a run for the results lane."""

    def __init__(
        self,
        client: httpx.Client,
        who: Identity,
        ask_helper: AskHelper,
        keep: Callable[[Run], None],
        now: Callable[[], Moment] = clock.now,
    ) -> None:
        self._client = client
        self._who = who
        self._ask = ask_helper
        self._keep = keep
        self._now = now
        self._wake = threading.Event()
        self._stopping = False
        self._polls = False
        self._asked_status = float("-inf")
        self._hinted = False
        self._sent: dict[str, float] = {}
        self._thread = threading.Thread(target=self._loop, name="orders", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def waiting(self) -> None:
        """Take note that a receipt says orders wait."""
        self._hinted = True
        self._wake.set()

    def stop(self) -> None:
        """Fetch nothing more.  A script that runs is the helper's concern."""
        self._stopping = True
        self._wake.set()

    def _loop(self) -> None:
        while not self._stopping:
            self._look_at_policy()
            if not self._polls and not self._wake.wait(_STATUS_SECONDS):
                continue
            self._wake.clear()
            if self._stopping:
                return
            began = time.monotonic()
            try:
                found = self.fetch(POLL_SECONDS if self._polls else 0)
                # A poll that ends at once was not granted; what was just answered is on its way.
                soon = time.monotonic() - began < 1.0
                rest = _REST_SECONDS if found or soon else 0.0
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as failure:
                log.info("orders not fetched: %s", failure)
                rest = _TROUBLE_SECONDS
            if rest and not self._stopping:
                time.sleep(rest)

    def _look_at_policy(self) -> None:
        """Wait for orders only where some could run: every poll costs the collector memory."""
        # Orders that wait may be the first since the policy was written: more may follow soon.
        # Not at once, though: a receipt is only what the collector says.
        rest = _TROUBLE_SECONDS if self._hinted else _STATUS_SECONDS
        if time.monotonic() - self._asked_status < rest:
            return
        self._asked_status, self._hinted = time.monotonic(), False
        try:
            told = self._ask({"do": "policy-status"}, 30.0)
        except NoHelper:
            self._polls = False
            return
        self._polls = told.get("mode") in ("allowlist", "signed") and not told.get("locked")

    def fetch(self, wait_seconds: int) -> int:
        """Ask once for orders and have each carried out; return how many there were.

        Raises httpx errors, and ValueError, KeyError or TypeError for an answer that is none.
        """
        query = f"wait={wait_seconds}" if wait_seconds else ""
        body = signed_get(
            self._client,
            self._who,
            PATH,
            stream=STREAM,
            query=query,
            timeout_seconds=wait_seconds + 20.0,
            most_bytes=_MOST_ANSWER,
        )
        told: Mapping[str, list[dict[str, str]]] = json.loads(body)
        letters = [
            Letter(str(one["envelope"]), str(one["script"]), str(one.get("occurrence", "")))
            for one in told["orders"]
        ]
        keyrings = [str(one) for one in told["keyrings"]]
        for letter in letters:
            self._carry(letter, keyrings)
        return len(letters)

    def _carry(self, letter: Letter, keyrings: list[str]) -> None:
        digest = hashlib.sha256(f"{letter.occurrence}\0{letter.envelope}".encode()).hexdigest()
        if time.monotonic() - self._sent.get(digest, float("-inf")) < _SAME_AGAIN_SECONDS:
            return  # its answer is on its way
        began = self._now()
        request: Json = {
            "do": "run",
            "order": base64.b64encode(letter.envelope.encode()).decode(),
            "script": letter.script,
            "occurrence": letter.occurrence[:100],
            "keyrings": [base64.b64encode(one.encode()).decode() for one in keyrings],
        }
        try:
            # A script may take a day; the helper ends it when its own time is up.
            told = self._ask(request, 86_400.0 + 60.0)
            result = told.get("result")
            if not isinstance(result, str):
                raise NoHelper(str(told.get("error", "an answer without a result")))
        except NoHelper as failure:
            log.error("an order waits, but the helper does not answer: %s", failure)
            result = _without_helper(letter, self._who)
        self._keep(run_of(result, began, self._now()))
        self._sent = {
            key: at for key, at in self._sent.items() if time.monotonic() - at < _SAME_AGAIN_SECONDS
        } | {digest: time.monotonic()}


def run_of(result: str, began: Moment, ended: Moment) -> Run:
    """Return the run that carries a signed result, in pieces that fit the wire."""
    pieces = [result[at : at + _PIECE] for at in range(0, len(result), _PIECE)]
    return Run(
        sequence=0,
        check="orders",
        started_at=began.wall,
        boot=began.boot,
        boottime_seconds=began.boottime_seconds,
        duration_seconds=max(0.0, ended.boottime_seconds - began.boottime_seconds),
        outcome=Outcome.OK,
        facts={"result": pieces},
    )


def _without_helper(letter: Letter, who: Identity) -> str:
    """Return a signed refusal: nobody here could have run it."""
    order = ""
    try:
        told = json.loads(parse(letter.envelope.encode()).payload)
        order = str(told["id"])[:36]
    except (BadEnvelope, ValueError, KeyError, TypeError):
        log.warning("the order that waits cannot be read")
    told = {
        "order": order,
        "occurrence": letter.occurrence[:100],
        "host": key_id(who.public),
        "script_sha256": "",
        "ended": "refused",
        "reason": "no-helper: this host has no helper that could run anything",
        "started_at": "",
        "ended_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "exit_code": None,
        "output_sha256": "",
        "output_bytes": 0,
        "truncated": False,
        "output": "",
    }
    payload = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    return Envelope(RESULT, payload).signed(who.public, who.sign).to_bytes().decode()
