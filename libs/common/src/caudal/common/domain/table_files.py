"""What a file with a table is, by how it begins: the same for who takes it in and for who reads it."""

import re

_json = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\[\s*[\[{\]]|\{\s*[\"}])")


def is_json(head: bytes) -> bool:
    """Whether a file that begins so is JSON; a CSV file may well begin with a bracket, as in `[fecha];[caudal]`."""
    return _json.match(head) is not None
