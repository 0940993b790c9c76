"""Opens a window's file as what it is."""

from pathlib import Path

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.table_files import is_json
from caudal.ingest.adapters.csv_table import CsvTable
from caudal.ingest.adapters.json_table import JsonTable
from caudal.ingest.adapters.parquet_frames import Limits
from caudal.ingest.adapters.parquet_table import ParquetTable
from caudal.ingest.domain.options import Options
from caudal.ingest.ports import Table

PARQUET_MARK = b"PAR1"
HEAD_BYTES = 4096
"""How much of a file tells what it is."""


def open_table(path: Path, options: Options, limits: Limits, kind: str | None = None) -> Table:
    """The table in `path`; `kind` csv, parquet or json, or by how the file begins.

    Raises:
        InvalidInput: it is not there, or no table; the error says why.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if kind not in (None, "csv", "parquet", "json"):
            raise InvalidInput("format", f"{kind!r} is none of csv, parquet and json")
        is_parquet = head.startswith(PARQUET_MARK)
        if (kind == "parquet") != is_parquet and kind is not None:
            raise InvalidInput("format", f"the file is {'' if is_parquet else 'no '}Parquet")
        if is_parquet:
            return ParquetTable(path, limits)
        return JsonTable(path) if kind == "json" or (kind is None and is_json(head)) else CsvTable(path, options)
    except OSError as error:
        raise InvalidInput("path", f"{str(path)!r} cannot be read: {error.strerror or error}") from error
