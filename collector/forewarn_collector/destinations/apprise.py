"""Tell people where they are: mail, Slack, Teams, ntfy, Matrix and whatever else apprise knows.

One address of apprise is one destination.  It holds passwords and tokens, so all of it is a secret.
Sending is done by a process of its own, see `_herald`: what apprise opens, and where to, is judged
there at every connection, whichever of its services and libraries opens it.

What cannot be kept as it is for webhooks: that a service other than one of HTTP encrypts on its
way to a public address (write the address with the s: mailtos, not mailto); and that a message
whose answer was lost is not told twice, for people's channels know no keys.
"""

import importlib.util
import re
from collections.abc import Callable, Mapping
from functools import partial

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from forewarn_collector import egress
from forewarn_collector.destinations._answers import trouble
from forewarn_collector.destinations._herald import Errand, Outcome, send_herald
from forewarn_collector.destinations._words import spoken
from forewarn_collector.tickets import (
    Delivered,
    Delivery,
    Destination,
    Message,
    Refused,
    TryAgain,
)

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]{1,30})://\S{1,2000}", re.IGNORECASE)


class Config(BaseModel):
    """Mail, Slack, Teams, ntfy, Matrix and more through apprise; needs the extra ``notify``.

    One address is one destination.  Each message starts a process (about half a second) that can
    connect to nothing but what `allow_networks` and the rules of egress let it.  Whether a service
    that is not HTTP encrypts is up to its address: write mailtos, not mailto.  A message whose
    answer was lost is told again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: SecretStr = Field(
        description="The text of secret_file: one address of apprise, such as "
        "mailtos://user:password@example.com?to=oncall@example.com or ntfys://host/topic."
    )

    @field_validator("secret")
    @classmethod
    def _address(cls, secret: SecretStr) -> SecretStr:
        if _ADDRESS.fullmatch(secret.get_secret_value().strip()) is None:
            raise ValueError("secret_file must hold one address of apprise: service://…")
        if importlib.util.find_spec("apprise") is None:
            raise ValueError("apprise is not installed; install forewarn[collector,notify]")
        return secret


def deliver(
    config: Config,
    message: Message,
    http: httpx.Client,
    at: float,
    *,
    send: Callable[[Errand], Outcome] = send_herald,
) -> Delivery:
    """Tell once.  `http` says which networks may be reached and is not used otherwise."""
    title, text, tone = spoken(message)
    networks = http.allow_networks if isinstance(http, egress.Client) else ()
    outcome = send(
        Errand(
            address=config.secret.get_secret_value().strip(),
            title=title,
            text=text,
            tone=tone,
            allow_networks=tuple(str(network) for network in networks),
        )
    )
    return _read(outcome, at)


def describe(config: Config) -> Mapping[str, str]:
    """Return what may be shown: the name of the service, nothing else of the address."""
    return {"service": config.secret.get_secret_value().strip().partition("://")[0].lower()}


def _read(outcome: Outcome, at: float) -> Delivery:
    """Return what became of an errand."""
    if outcome.forbidden:
        return Refused(outcome.forbidden)
    if outcome.sent:
        return Delivered()
    if outcome.status:
        headers = {"retry-after": outcome.retry_after} if outcome.retry_after else {}
        return trouble(httpx.Response(outcome.status, headers=headers), at) or TryAgain(
            f"status {outcome.status}, and yet the service did not take it"
        )
    if outcome.mail_status >= 500:
        return Refused(f"the mail server refused it: {outcome.mail_status}")
    return TryAgain(outcome.trouble or "the service did not take it")


DESTINATION = Destination(
    kind="apprise", config=Config, deliver=partial(deliver), describe=describe
)
