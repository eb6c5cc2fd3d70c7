"""The collector's own authority, taken by OpenSSL as any other, renewed without a new key."""

import hashlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from forewarn_collector.certificates import (
    Files,
    authority_ends,
    fingerprint,
    leaf_ends,
    make_authority,
    make_leaf,
    renew_leaf,
    server_context,
)

NAMES = ("monitor.example", "localhost", "127.0.0.1", "::1")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    now = datetime.now(UTC)
    files = Files(tmp_path)
    make_authority(files, "monitor.example", now)
    make_leaf(files, NAMES, now)
    return files


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_authority_accepts_every_name(files: Files, name: str) -> None:
    """With the strictest checks OpenSSL has, and with no other authority."""
    context = _client(files)
    assert _handshake(server_context(files), context, name) == "TLSv1.3"


def test_a_client_refuses_another_name(files: Files) -> None:
    """The leaf stands for its names alone."""
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(server_context(files), _client(files), "evil.example")


def test_keys_are_for_their_owner_only(files: Files) -> None:
    """Nobody else on the machine may speak for the collector."""
    for path in (files.ca_key, files.leaf_key):
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_authority_is_never_replaced(files: Files) -> None:
    """Every agent would stop trusting us."""
    with pytest.raises(FileExistsError):
        make_authority(files, "again", datetime.now(UTC))


def test_the_fingerprint_is_of_the_certificate_itself(files: Files) -> None:
    """SHA-256 of the DER, as any tool shows it."""
    der = x509.load_pem_x509_certificate(files.ca.read_bytes()).public_bytes(Encoding.DER)
    assert fingerprint(files) == hashlib.sha256(der).hexdigest()


def test_lives(files: Files) -> None:
    """Ten years and 90 days."""
    now = datetime.now(UTC)
    assert (authority_ends(files) - now).days in (3649, 3650)
    assert (leaf_ends(files) - now).days in (89, 90)


def test_a_leaf_is_renewed_in_its_last_30_days_with_the_same_key(files: Files) -> None:
    """A pinned key stays true, and running listeners show the new one to new connections."""
    context, before = server_context(files), _public_key(files)
    now = datetime.now(UTC)
    assert not renew_leaf(files, NAMES, now + timedelta(days=59))
    assert renew_leaf(files, NAMES, now + timedelta(days=61))
    assert _public_key(files) == before
    assert leaf_ends(files) - now > timedelta(days=150)
    context.load_cert_chain(files.leaf, files.leaf_key)
    with pytest.raises(ssl.SSLCertVerificationError, match="not yet valid"):
        _handshake(context, _client(files), "localhost")


def test_a_leaf_is_renewed_when_it_lacks_a_name(files: Files) -> None:
    """The collector was given another address."""
    now = datetime.now(UTC)
    assert renew_leaf(files, (*NAMES, "new.example"), now)
    assert _handshake(server_context(files), _client(files), "new.example") == "TLSv1.3"


def _public_key(files: Files) -> bytes:
    leaf = x509.load_pem_x509_certificates(files.leaf.read_bytes())[0]
    return leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _client(files: Files) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(files.ca)
    return context


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str | None:
    """Return the protocol that both agree on."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        try:
            with server.wrap_socket(ours, server_side=True) as wrapped:
                wrapped.recv(1)
        except ssl.SSLError:
            pass
        finally:
            ours.close()

    answering = threading.Thread(target=answer)
    answering.start()
    try:
        with client.wrap_socket(theirs, server_hostname=name) as wrapped:
            return wrapped.version()
    finally:
        theirs.close()
        answering.join()
