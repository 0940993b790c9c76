"""Signed pushes, after the Standard Webhooks specification: HMAC-SHA256 over id, timestamp and body."""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime

from caudal.gateway_api.domain.errors import Unauthorized

TOLERANCE_S = 300
"""How far a timestamp may be from now: what somebody has overheard is worth nothing later."""
MAX_SIGNATURES = 10
"""In one header; there are several while a secret is being changed."""
MAX_ID = 255
"""Characters of a `webhook-id`."""


def check_signature(secret: str, message_id: str, timestamp: str, signatures: str, body: bytes, now: datetime) -> None:
    """Nothing, if one of `signatures` was made with `secret` for this id, timestamp and body.

    Args:
        secret: `whsec_` and base64, or any text.
        message_id: `webhook-id`.
        timestamp: `webhook-timestamp`, seconds since 1970.
        signatures: `webhook-signature`: `v1,<base64>`, several with blanks between.
        body: As it came.
        now: This instant.

    Raises:
        Unauthorized: none was, or the timestamp is too far from `now`.
    """
    if not 1 <= len(message_id) <= MAX_ID or not message_id.isascii() or not message_id.isprintable():
        raise Unauthorized(f"webhook-id must be 1 to {MAX_ID} printable ASCII characters")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise Unauthorized("webhook-timestamp must be seconds since 1970")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE_S:
        raise Unauthorized(f"webhook-timestamp is more than {TOLERANCE_S} s from now")
    wanted = signature(secret, message_id, timestamp, body).encode()
    given = [part.encode() for part in signatures.split()[:MAX_SIGNATURES]]
    # Each is compared, so that it takes as long wherever the right one stands.
    if sum(hmac.compare_digest(each, wanted) for each in given) == 0:
        raise Unauthorized("webhook-signature does not fit the body")


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """What belongs into `webhook-signature`."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    mac = hmac.new(_key_of(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"


def _key_of(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            return secret.encode()
    return secret.encode()
