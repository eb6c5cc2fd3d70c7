"""Where an operator's key lies: one small file that only they can read.

NotLoggedIn     there is no key, or the file of it cannot be used
"""

import json
import os
import ssl
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

VARIABLE = "FOREWARN_CREDENTIALS"


class NotLoggedIn(Exception):
    """There is no usable key; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Which collector, and the key to it.

    `ca` is the PEM of the only authority trusted for it; "" trusts those of the system.
    """

    url: str
    name: str
    key: Annotated[str, Field(repr=False)]
    expires_at: datetime
    ca: str = ""

    def __repr__(self) -> str:
        return f"Credentials(url={self.url!r}, name={self.name!r})"


_FORM = TypeAdapter(Credentials)


def place() -> Path:
    """Return where the file lies: $FOREWARN_CREDENTIALS, or in the user's configuration."""
    if stated := os.environ.get(VARIABLE):
        return Path(stated)
    home = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA")
    return (Path(home) if home else Path.home() / ".config") / "forewarn" / "credentials.json"


def load(path: Path) -> Credentials:
    """Return what `save` kept.  Raises NotLoggedIn."""
    login = "log in with: forewarn login https://HOST:PORT"
    try:
        return _FORM.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotLoggedIn(f"not logged in ({path} does not exist); {login}") from None
    except (OSError, ValidationError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else "it is not what login writes"
        raise NotLoggedIn(f"cannot use {path}: {reason}; {login}") from None


def save(path: Path, credentials: Credentials) -> None:
    """Keep credentials for this user alone, whole or not at all.  Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    written = asdict(credentials) | {"expires_at": credentials.expires_at.isoformat()}
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(written, file)
    new.replace(path)


def trusting(ca: str) -> ssl.SSLContext:
    """Return a TLS context that believes this authority alone, or with "" the system's."""
    if not ca:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca)
    return context
