"""Names, units and notes: what people wrote to read it again."""

from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.domain.merging import refuse_unprintable

MAX_TEXT = 200
"""Characters of a name."""


def check_text(text: str, field: str) -> None:
    """Nothing, if `text` is empty or can be read.

    Raises:
        InvalidInput: it is too long, has nothing but spaces, or characters that cannot be kept or shown.
    """
    refuse_unprintable(text, field)
    if len(text) > MAX_TEXT:
        raise InvalidInput(field, f"has {len(text)} characters; at most {MAX_TEXT}")
    if text and not text.strip():
        raise InvalidInput(field, "has nothing but spaces; leave it empty instead")
