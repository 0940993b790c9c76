"""What the process that decodes Parquet and the one that asked for it say to each other, without a driver."""

import struct
from typing import Any

import msgspec

FRAME = struct.Struct(">I")


class Limits(msgspec.Struct, frozen=True):
    """What a file may cost."""

    memory_bytes: int = 1024**3
    """Beyond what the process needs to start."""
    max_rows: int = 100_000_000
    max_decoded_bytes: int = 4 * 1024**3
    """In the whole file, as Arrow holds it."""
    max_columns: int = 500
    max_cell: int = 32_768
    """Bytes of text in one cell."""
    rows_per_batch: int = 500
    idle_s: float = 60.0
    """How long the next rows may take."""


class Head(msgspec.Struct, frozen=True, tag=True):
    """What the file has."""

    columns: list[str]
    rows: int
    left_out: dict[str, str]
    """Columns that hold no single values, and their types."""


class Rows(msgspec.Struct, frozen=True, tag=True):
    """Some rows, and why some of them are none, by position."""

    cells: list[list[Any]]
    faults: dict[int, str]


class Tail(msgspec.Struct, frozen=True, tag=True):
    """The end of the file."""

    error: str = ""
    """Why it ends before its time."""
