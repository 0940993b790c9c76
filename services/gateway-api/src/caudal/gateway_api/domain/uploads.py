"""Files that people hand in: what they are and what they may be called."""

import re

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.table_files import is_json

_PACKED = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b")
"""How .xlsx and .zip, .xls, and .gz begin."""
_not_in_names = re.compile(r"[^A-Za-z0-9._-]+")


def safe_name(name: str) -> str:
    """The last part of a foreign file name, in an alphabet that no file system reads anything into."""
    last = re.split(r"[\\/]", name)[-1]
    return _not_in_names.sub("_", last).strip("._-")[-80:].lstrip("._-") or "upload"


def format_of(head: bytes) -> str:
    """`parquet`, `json` or `csv`, by how the file begins.

    Raises:
        InvalidInput: it is neither.
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    if not head:
        raise InvalidInput("file", "is empty")
    if head.startswith(_PACKED):
        raise InvalidInput("file", "is a spreadsheet or an archive: save the sheet as CSV, unpacked")
    if b"\x00" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidInput("file", "is neither CSV nor Parquet nor JSON: it holds bytes that text does not have")
    return "json" if is_json(head) else "csv"
