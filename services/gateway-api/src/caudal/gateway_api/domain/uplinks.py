"""What a device may say of itself when it has shown who it is."""

from collections.abc import Iterator
from typing import Any

from caudal.common.domain.errors import InvalidInput


def refuse_foreign(payload: Any, device: str) -> None:
    """Nothing, unless a reading in the canonical form names another device than the one that sends it.

    In words of its own a device may call itself what it likes: it has been recognised by its key.

    Raises:
        InvalidInput: it does; the error names the field.
    """
    for field, reading in _readings(payload):
        named = reading.get("device") if isinstance(reading, dict) else None
        if isinstance(named, str) and named != device:
            raise InvalidInput(field, f"this API key is for {device!r} and for no other device")


def _readings(payload: Any) -> Iterator[tuple[str, Any]]:
    """Each reading, and where it would name its device."""
    yield "device", payload
    found = payload.get("readings") if isinstance(payload, dict) else payload
    begin = "readings" if isinstance(payload, dict) else ""
    for index, reading in enumerate(found if isinstance(found, list) else ()):
        yield f"{begin}[{index}].device", reading
