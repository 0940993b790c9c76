"""Foreign bytes as text inside a message: as they are, as base64, or compressed so that the broker takes them."""

import base64
import binascii
import gzip
import zlib

from caudal.common.bus.codec import MAX_MESSAGE_BYTES
from caudal.common.domain.errors import InvalidInput

MAX_PACKED = MAX_MESSAGE_BYTES - 4096
"""Characters of content that fit in one message, beside the rest of it, when it is encoded as MessagePack."""
PLAIN_BYTES = 65_536
"""Up to here a body travels as it is, readable on the wire."""
MAX_BODY_BYTES = 16 * 1024 * 1024
"""No packed body unpacks to more."""


def packed(body: bytes) -> tuple[str, str]:
    """`body` as (content, encoding).

    Raises:
        InvalidInput: it does not fit in one message, even compressed.
    """
    if len(body) <= PLAIN_BYTES:
        try:
            return body.decode(), "utf-8"
        except UnicodeDecodeError:
            return base64.b64encode(body).decode(), "base64"
    content = base64.b64encode(gzip.compress(body, compresslevel=6, mtime=0)).decode()
    if len(content) > MAX_PACKED:
        raise InvalidInput("body", f"is too large for the bus: {len(content)} characters compressed, {MAX_PACKED} fit")
    return content, "gzip"


def unpacked(content: str, encoding: str, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The body that was packed.

    Raises:
        InvalidInput: the content is not of this encoding, or unpacks to more than `max_bytes`.
    """
    if encoding == "utf-8":
        return content.encode("utf-8", "surrogatepass")
    try:
        body = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("content", "is no base64") from error
    if encoding == "base64":
        return body
    if encoding != "gzip":
        raise InvalidInput("encoding", f"{encoding[:40]!r} is not utf-8, base64 or gzip")
    return _inflated(body, max_bytes)


def _inflated(body: bytes, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        whole = inflater.decompress(body, max_bytes)
    except zlib.error as error:
        raise InvalidInput("content", "is no gzip") from error
    if not inflater.eof:
        raise InvalidInput("content", f"is cut short, or unpacks to more than {max_bytes} bytes")
    return whole
