"""Read a batch out of a request body, within bounds, whatever was sent."""

import re
import zlib

from pydantic import TypeAdapter, ValidationError

from forewarn_checks.base import Batch
from forewarn_collector.quotas import BadBatch

COMPRESSED_BYTES = 1 << 20
PLAIN_BYTES = 8 << 20

_BATCH = TypeAdapter(Batch)
# An escaped NUL, not an escaped backslash before "u0000".  SQL texts end at one.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def decode(body: bytes, content_encoding: str) -> Batch:
    """Return the batch in a request body.

    Raises BadBatch: 415 for an encoding other than gzip or identity, 413 for too many bytes,
    400 for what is no gzip or no JSON, 422 for what is no batch.
    """
    if len(body) > COMPRESSED_BYTES:
        raise BadBatch(413, f"{len(body)} bytes; send at most {COMPRESSED_BYTES}")
    if content_encoding == "gzip":
        body = _gunzip(body)
    elif content_encoding != "identity":
        raise BadBatch(415, "send content-encoding gzip or identity")
    if b"\\u0000" in body and _NUL.search(body):
        raise BadBatch(422, "a text holds the character NUL")
    try:
        return _BATCH.validate_json(body)
    except ValidationError as error:
        raise _explain(error) from None
    except RecursionError:
        raise BadBatch(400, "the JSON is nested too deeply") from None


def _gunzip(body: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(body, PLAIN_BYTES + 1)
    except zlib.error as error:
        raise BadBatch(400, f"the body is no gzip: {error}") from None
    if len(plain) > PLAIN_BYTES:
        raise BadBatch(413, f"more than {PLAIN_BYTES} bytes when unpacked; send less at once")
    if not stream.eof or stream.unused_data:
        raise BadBatch(400, "the gzip body is cut short or has something behind it")
    return plain


def _explain(error: ValidationError) -> BadBatch:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return BadBatch(400, f"the body is no JSON: {first['msg']}"[:300])
    place = ".".join(str(part)[:40] for part in first["loc"][:6])
    return BadBatch(422, f"{place}: {first['msg']}"[:300])
