"""Carry one message to people's channels: a process of its own that can reach only what it may.

apprise opens connections through many libraries, resolves names itself and asks nobody.  So it
runs here, behind an audit hook that sees the address of every connection of this interpreter
before it is made, and cannot be taken out again.  Errands come on standard input, for an address
of apprise is a secret; the outcome leaves on standard output.
"""

import ipaddress
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from forewarn_collector.egress import Network, refusal

PATIENCE_SECONDS = 60
_MEMORY = 1 << 30
# What could leave this process by another way than a socket of its own.
_NEVER = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "os.forkpty")
_SPOKEN = ("socket.connect", "socket.sendto", "socket.sendmsg")


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be told, and where to.  `tone` is info, success, warning or failure."""

    address: str
    title: str
    text: str
    tone: str
    allow_networks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return nothing of the address: it holds passwords."""
        return f"Errand(title={self.title!r})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an errand; `status` is HTTP's last, `mail_status` SMTP's worst, 0 for none."""

    sent: bool = False
    status: int = 0
    retry_after: str = ""
    mail_status: int = 0
    forbidden: str = ""
    trouble: str = ""


class Forbidden(RuntimeError):
    """This is not a place the errand may reach."""


def send_herald(errand: Errand) -> Outcome:
    """Run an errand in a process of its own; never raises for what becomes of it there."""
    command = [sys.executable, "-I", "-m", __name__]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(asdict(errand)).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # apprise's log may hold addresses
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return Outcome(**json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return Outcome(trouble=f"the service took more than {PATIENCE_SECONDS} seconds")
    except (OSError, ValueError, TypeError) as failure:
        return Outcome(trouble=f"apprise ended without an answer ({type(failure).__name__})")


def proclaim(errand: Errand) -> Outcome:
    """Tell by apprise in this very process, unguarded."""
    from apprise import Apprise, AppriseAsset, PersistentStoreMode

    asset = AppriseAsset(http_redirects=False, storage_mode=PersistentStoreMode.MEMORY)
    service = Apprise.instantiate(errand.address, asset=asset)
    if service is None:
        return Outcome(forbidden="apprise knows no service for the address in secret_file")
    if not service.verify_certificate:
        return Outcome(forbidden="verify=no is not taken; certificates are always verified")
    service.redirects = False  # whatever the address says
    crier = Apprise(asset=asset)
    crier.add(service)
    with _watched() as seen:
        try:
            sent = crier.notify(title=errand.title, body=errand.text, notify_type=errand.tone)
        except Forbidden as forbidden:
            return Outcome(forbidden=str(forbidden))
        # Whatever a library of a service raises: the errand failed, and may be run again.
        except Exception as failure:  # noqa: BLE001
            return replace(seen.outcome, trouble=type(failure).__name__)
    return replace(seen.outcome, sent=bool(sent))


# -- watching ------------------------------------------------------------------------------------


class _Seen:
    """What the libraries below apprise were answered; apprise itself only says yes or no."""

    def __init__(self) -> None:
        self.outcome = Outcome()


@contextmanager
def _watched() -> Iterator[_Seen]:
    """Note what HTTP and SMTP answer while this lasts."""
    import smtplib

    import requests

    seen = _Seen()
    send, reply = requests.adapters.HTTPAdapter.send, smtplib.SMTP.getreply

    def watched_send(adapter: Any, request: Any, **options: Any) -> Any:
        global _plain
        _plain = str(request.url).lower().startswith("http:")
        answer = send(adapter, request, **options)
        seen.outcome = replace(
            seen.outcome,
            status=answer.status_code,
            retry_after=answer.headers.get("retry-after", ""),
        )
        return answer

    def watched_reply(mail: Any) -> Any:
        code, text = reply(mail)
        # The worst one: after a refusal comes a friendly goodbye.
        worst = max(seen.outcome.mail_status, int(code))
        seen.outcome = replace(seen.outcome, mail_status=worst)
        return code, text

    requests.adapters.HTTPAdapter.send = watched_send  # type: ignore[method-assign, assignment]
    smtplib.SMTP.getreply = watched_reply  # type: ignore[method-assign, assignment]
    try:
        yield seen
    finally:
        requests.adapters.HTTPAdapter.send = send  # type: ignore[method-assign]
        smtplib.SMTP.getreply = reply  # type: ignore[method-assign]


# -- guarding ------------------------------------------------------------------------------------

_plain = False  # whether the request under way is plain HTTP


def _guard(allow_networks: Sequence[Network], refused: list[str]) -> None:
    """Let this process connect to nothing else, for good."""

    def judge(event: str, arguments: tuple[Any, ...]) -> None:
        reason = ""
        if event in _NEVER or event.startswith("syslog."):
            reason = "a service of this machine is no place for tickets"
        elif event in _SPOKEN:
            reason = _judged(arguments[1], allow_networks)
        if reason:
            refused.append(reason)
            raise Forbidden(reason)

    sys.addaudithook(judge)


def _judged(place: Any, allow_networks: Sequence[Network]) -> str:
    """Return why a socket may not go there, "" if it may."""
    if place is None:
        return ""  # a socket that is connected already
    if not isinstance(place, tuple):
        return "a service of this machine is no place for tickets"
    try:
        address = ipaddress.ip_address(str(place[0]).partition("%")[0])
    except ValueError:
        return f"{str(place[0])[:100]} was not looked up before it was called"
    reason = refusal(address, allow_networks)
    if reason:
        return f"{address} {reason}"
    if _plain and not any(
        address in net for net in allow_networks if net.version == address.version
    ):
        return f"{address}: plain http leaves our networks; write the address with an s"
    return ""


def main() -> None:
    """Run the errand on standard input."""
    import resource

    errand = Errand(**json.loads(sys.stdin.buffer.read()))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    out, sys.stdout = sys.stdout, sys.stderr  # what a service prints is no answer
    refused: list[str] = []
    _guard([ipaddress.ip_network(one) for one in errand.allow_networks], refused)
    outcome = proclaim(errand)
    if refused and not outcome.sent:
        outcome = replace(outcome, forbidden=refused[0])
    json.dump(asdict(outcome), out)
    out.flush()


if __name__ == "__main__":
    main()
