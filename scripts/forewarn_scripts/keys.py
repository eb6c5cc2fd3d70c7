"""Signing keys: their ids, which are sound, and the file in which an operator keeps one.

A key's id is made from its bytes, so that one key cannot stand under two names.

    BadKey          bytes that are no key of ours, or a file that holds none
    WrongPassphrase the passphrase does not open the file
"""

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from nacl import pwhash, secret, utils
from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey

PUBLIC_BYTES = 32
_FORM = "forewarn-key-v1"
_MOST_FILE_BYTES = 16 * 1024
# Argon2id with these takes about a second and 256 MiB: slow for whoever steals the file.
_OPS, _MEMORY = pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE
_MOST_OPS, _MOST_MEMORY = 20, 2**30


class BadKey(ValueError):
    """This is no key to be trusted; the text says why."""


class WrongPassphrase(BadKey):
    """The passphrase does not open the key file."""


@dataclass(frozen=True, slots=True)
class Cost:
    """How hard a passphrase is to guess: passes of Argon2id, and bytes of memory."""

    passes: int = _OPS
    memory_bytes: int = _MEMORY


def key_id(public: bytes) -> str:
    """Return the name of a public key: ``sha256:`` and 64 hex digits of its bytes."""
    return f"sha256:{hashlib.sha256(public).hexdigest()}"


def is_sound(public: bytes) -> bool:
    """Say whether these bytes are a public key that only its owner can sign for.

    A key of low order would verify signatures that anybody can make.
    """
    return len(public) == PUBLIC_BYTES and crypto_core_ed25519_is_valid_point(public)


def check_sound(public: bytes) -> bytes:
    """Return `public`.  Raises BadKey when it is not sound."""
    if not is_sound(public):
        raise BadKey("these are no 32 bytes of a sound Ed25519 public key")
    return public


def public_text(public: bytes) -> str:
    """Return a public key as people hand it on, in one line."""
    return f"fwp_{base64.b64encode(public).decode()}"


def read_public(text: str) -> bytes:
    """Return the key that `public_text` wrote.  Raises BadKey."""
    form, _, encoded = text.strip().partition("_")
    try:
        public = base64.b64decode(encoded, validate=True)
    except ValueError:
        public = b""
    if form != "fwp":
        raise BadKey("a public key begins with fwp_; `forewarn keys show` prints yours")
    return check_sound(public)


def write_key(path: Path, name: str, key: SigningKey, passphrase: str, cost: Cost = Cost()) -> None:
    """Keep a signing key for this user alone, locked by a passphrase.

    Raises FileExistsError rather than write over another key, and OSError.
    """
    salt = utils.random(pwhash.argon2id.SALTBYTES)
    locked = secret.SecretBox(_stretch(passphrase, salt, cost)).encrypt(bytes(key))
    told = {
        "form": _FORM,
        "name": name,
        "public": public_text(bytes(key.verify_key)),
        "passes": cost.passes,
        "memory_bytes": cost.memory_bytes,
        "salt": base64.b64encode(salt).decode(),
        "locked": base64.b64encode(bytes(locked)).decode(),
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(told, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def read_public_of(path: Path) -> tuple[str, bytes]:
    """Return the name and the public key of a key file, which needs no passphrase.

    Raises BadKey.
    """
    told = _read(path)
    return str(told["name"]), read_public(str(told["public"]))


def open_key(path: Path, passphrase: str) -> SigningKey:
    """Return the signing key of a file.  Raises WrongPassphrase or BadKey."""
    told = _read(path)
    try:
        cost = Cost(int(told["passes"]), int(told["memory_bytes"]))
        salt = base64.b64decode(told["salt"], validate=True)
        locked = base64.b64decode(told["locked"], validate=True)
        if not 1 <= cost.passes <= _MOST_OPS or not 8192 <= cost.memory_bytes <= _MOST_MEMORY:
            raise BadKey(f"{path}: it asks for an unreasonable effort to open it")
        seed = secret.SecretBox(_stretch(passphrase, salt, cost)).decrypt(locked)
        key = SigningKey(seed)
    except CryptoError:
        raise WrongPassphrase(f"{path}: the passphrase does not open it") from None
    except BadKey:
        raise
    except (KeyError, ValueError, TypeError):
        raise BadKey(f"{path}: not what `forewarn keys new` writes") from None
    if public_text(bytes(key.verify_key)) != told["public"]:
        raise BadKey(f"{path}: the public key beside the locked one is another; do not use it")
    return key


def _stretch(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    stretched: bytes = pwhash.argon2id.kdf(
        secret.SecretBox.KEY_SIZE, passphrase.encode(), salt, cost.passes, cost.memory_bytes
    )
    return stretched


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(_MOST_FILE_BYTES))
        if not isinstance(told, dict) or told.get("form") != _FORM:
            raise BadKey(f"{path}: not what `forewarn keys new` writes")
        return told
    except FileNotFoundError:
        raise BadKey(f"{path} does not exist; make a key: forewarn keys new") from None
    except (OSError, ValueError) as failure:
        if isinstance(failure, BadKey):
            raise
        raise BadKey(f"{path} cannot be read ({type(failure).__name__})") from None
