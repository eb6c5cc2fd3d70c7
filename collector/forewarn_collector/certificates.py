"""The collector's own certificate authority, and the certificate its listeners show.

The authority lasts ten years and signs nothing but this collector's leaf.  A leaf lasts 90 days
and is renewed with the same key, so that a pinned key stays true.  EC P-256, because every TLS
library and browser takes it.
"""

import base64
import hashlib
import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
_BACKDATED = timedelta(days=1)  # for hosts whose clock runs behind


@dataclass(frozen=True, slots=True)
class Files:
    """Where the certificates of an instance lie.  The two keys are for their owner only."""

    directory: Path

    @property
    def ca(self) -> Path:
        """Certificate of the authority, what agents trust."""
        return self.directory / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """Key of the authority."""
        return self.directory / "ca.key"

    @property
    def leaf(self) -> Path:
        """Certificate the listeners show, followed by the authority's."""
        return self.directory / "leaf.pem"

    @property
    def leaf_key(self) -> Path:
        """Key of the leaf."""
        return self.directory / "leaf.key"


def make_authority(files: Files, name: str, now: datetime) -> None:
    """Make the authority of a new instance.  Raises FileExistsError rather than replace one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"forewarn {name}"[:64])])
    certificate = (
        _builder(subject, subject, key.public_key(), now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(files.ca_key, _key_pem(key))
    _write_public(files.ca, certificate.public_bytes(serialization.Encoding.PEM))


def make_leaf(files: Files, names: Sequence[str], now: datetime) -> None:
    """Sign a leaf for `names` (host names and addresses); its key is kept if there is one."""
    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    signer = _load_key(files.ca_key)
    if not files.leaf_key.exists():
        write_private(files.leaf_key, _key_pem(ec.generate_private_key(ec.SECP256R1())))
    public = _load_key(files.leaf_key).public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        _builder(subject, authority.subject, public, now, LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_alternative_names(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    _write_public(files.leaf, pem + files.ca.read_bytes())


def renew_leaf(files: Files, names: Sequence[str], now: datetime) -> bool:
    """Sign a new leaf when the present one ends soon or lacks a name; return whether it did."""
    if files.leaf.exists():
        leaf = _load_leaf(files)
        if leaf.not_valid_after_utc - now > RENEW_BEFORE and set(names) <= _names_of(leaf):
            return False
    make_leaf(files, names, now)
    return True


def fingerprint(files: Files) -> str:
    """Return the SHA-256 of the authority's certificate (DER), in hex, as enrolment pins it."""
    return hashlib.sha256(authority_der(files)).hexdigest()


def authority_der(files: Files) -> bytes:
    """Return the authority's certificate in DER."""
    certificate = x509.load_pem_x509_certificate(files.ca.read_bytes())
    return certificate.public_bytes(serialization.Encoding.DER)


def leaf_pin(files: Files) -> str:
    """Return the SHA-256 of the leaf's public key, base64, as ``curl --pinnedpubkey`` takes it.

    The key stays when the leaf is renewed, so that a printed line stays true.
    """
    public = _load_leaf(files).public_key()
    told = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(hashlib.sha256(told).digest()).decode()


def leaf_ends(files: Files) -> datetime:
    """Return when the present leaf ends."""
    return _load_leaf(files).not_valid_after_utc


def authority_ends(files: Files) -> datetime:
    """Return when the authority ends."""
    return x509.load_pem_x509_certificate(files.ca.read_bytes()).not_valid_after_utc


def server_context(files: Files) -> ssl.SSLContext:
    """Return the TLS settings of a listener: TLS 1.2 with forward secrecy, or 1.3.

    Calling `load_cert_chain` on it again changes what new connections are shown.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    # Without this a client may force a new handshake on a running connection.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.load_cert_chain(files.leaf, files.leaf_key)
    return context


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read.  Raises FileExistsError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _write_public(path: Path, content: bytes) -> None:
    # Whole or not at all: a listener may read it at this moment.
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    write_private(new, content)
    new.replace(path)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general_name(name) for name in dict.fromkeys(names)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names_of(certificate: x509.Certificate) -> set[str]:
    stated = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(address) for address in stated.get_values_for_type(x509.IPAddress)}
    return addresses | set(stated.get_values_for_type(x509.DNSName))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no EC key; restore it from a backup")
    return key


def _load_leaf(files: Files) -> x509.Certificate:
    return x509.load_pem_x509_certificates(files.leaf.read_bytes())[0]
