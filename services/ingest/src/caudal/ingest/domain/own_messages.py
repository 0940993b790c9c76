"""Messages of a provider that are no readings: heartbeats, and answers to what we said."""

from collections.abc import Mapping, Sequence

from caudal.common.domain.payloads.paths import finder
from caudal.common.domain.payloads.refusals import Unreadable
from caudal.ingest.domain.payloads import decode_payload


class OwnMessages:
    """Tells such messages from readings.

    Args:
        skip: Path to the values that mark them.
    """

    def __init__(self, skip: Mapping[str, Sequence[str | int | bool]]) -> None:
        self._marks = [(finder(path), values) for path, values in skip.items()]

    def __contains__(self, payload: bytes) -> bool:
        if not self._marks:
            return False
        try:
            said = decode_payload(payload)
            return any(_is_one_of(find(said, said), values) for find, values in self._marks)
        except Unreadable:
            return False


def _is_one_of(found: object, values: Sequence[str | int | bool]) -> bool:
    """Whether it is there with its type: to Python, `1` would be `true`."""
    return any(type(found) is type(value) and found == value for value in values)
