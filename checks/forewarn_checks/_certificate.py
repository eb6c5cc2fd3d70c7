"""Read until when a certificate holds, also of one that nobody should trust (X.690, RFC 5280)."""

from collections.abc import Iterator
from datetime import UTC, datetime

_UTC_TIME, _GENERALIZED_TIME, _SEQUENCE, _VERSION = 0x17, 0x18, 0x30, 0xA0


def not_after(certificate: bytes) -> datetime:
    """Return the end of validity of a DER certificate.  Raises ValueError when it is none."""
    try:
        whole = _only(certificate, _SEQUENCE)
        to_be_signed = next(_parts(whole))
        fields = [content for tag, content in _parts(to_be_signed[1]) if tag != _VERSION]
        validity = fields[3]  # after serial number, signature algorithm and issuer
        _, (tag, text) = _parts(validity)
        return _moment(tag, text.decode("ascii"))
    except (IndexError, StopIteration, UnicodeDecodeError) as error:
        raise ValueError("this is no X.509 certificate") from error


def _moment(tag: int, text: str) -> datetime:
    if tag == _UTC_TIME:  # two digits: 50 and up are of the last century
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("the end of validity is no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _only(data: bytes, tag: int) -> bytes:
    found, content = next(_parts(data))
    if found != tag:
        raise ValueError("this is no X.509 certificate")
    return content


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element.  Raises IndexError when one is cut short."""
    place = 0
    while place < len(data):
        tag, length = data[place], data[place + 1]
        place += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[place : place + count])
            place += count
        if place + length > len(data):
            raise IndexError(place)
        yield tag, data[place : place + length]
        place += length
