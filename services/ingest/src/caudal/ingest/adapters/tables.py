"""Opens a window's file as what it is."""

from pathlib import Path

from caudal.common.domain.errors import InvalidInput
from caudal.ingest.adapters.csv_table import CsvTable
from caudal.ingest.adapters.parquet_frames import Limits
from caudal.ingest.adapters.parquet_table import ParquetTable
from caudal.ingest.domain.options import Options
from caudal.ingest.ports import Table

PARQUET_MARK = b"PAR1"


def open_table(path: Path, options: Options, limits: Limits, kind: str | None = None) -> Table:
    """The table in `path`; `kind` csv or parquet, or by how the file begins.

    Raises:
        InvalidInput: it is not there, or no table; the error says why.
    """
    try:
        with path.open("rb") as file:
            is_parquet = file.read(len(PARQUET_MARK)) == PARQUET_MARK
        if kind not in (None, "csv", "parquet"):
            raise InvalidInput("format", f"{kind!r} is neither csv nor parquet")
        if (kind == "parquet") != is_parquet and kind is not None:
            raise InvalidInput("format", f"the file is {'' if is_parquet else 'no '}Parquet")
        return ParquetTable(path, limits) if is_parquet else CsvTable(path, options)
    except OSError as error:
        raise InvalidInput("path", f"{str(path)!r} cannot be read: {error.strerror or error}") from error
