"""A delivery that nobody can take, as the message that keeps it."""

from datetime import datetime
from hashlib import blake2b

from caudal.common.bus.contents import packed
from caudal.common.bus.messages import Rejected
from caudal.common.bus.topics import CATALOGUE
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Delivery

UNKNOWN_DEVICE = "unknown"


def rejected_delivery(delivery: Delivery, reason: str, received_at: datetime, field: str | None = None) -> Rejected:
    """`delivery` whole, with the reason. Its id follows from topic and payload: delivered again it is the same one."""
    try:
        content, encoding = packed(delivery.payload)
    except InvalidInput:
        content, encoding = repr(delivery.payload[:1000]), "cut"
    return Rejected(
        id=blake2b(delivery.topic.encode() + b"\0" + delivery.payload, digest_size=16).hexdigest(),
        device=_device(delivery.topic),
        received_at=received_at,
        inlet=Inlet.UPLINK,
        topic=delivery.topic,
        reason=reason[:500],
        field=field,
        payload=content,
        payload_encoding=encoding,
    )


def _device(address: str) -> str:
    for topic in CATALOGUE:
        if ids := topic.parse(address):
            return ids.get("device", UNKNOWN_DEVICE)
    return UNKNOWN_DEVICE
