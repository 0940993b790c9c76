"""Series as CSV and Parquet, written as they are read, in constant memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from caudal.common.ports import Sample
from caudal.gateway_api.domain.cells import number_cell, text_cell

CSV = "text/csv; charset=utf-8"
PARQUET = "application/vnd.apache.parquet"


def utc_text(at: datetime) -> str:
    """`at`, which is UTC, as 2026-03-02T10:00:00Z."""
    return at.isoformat()[: -len("+00:00")] + "Z"


async def as_csv(variables: Sequence[str], pages: AsyncIterator[list[Sample]]) -> AsyncIterator[bytes]:
    """A header, then a line per instant; nothing stands for no value."""
    yield (",".join(["at", *(text_cell(name) for name in variables)]) + "\n").encode()
    async for samples in pages:
        if samples:
            yield await asyncio.to_thread(_lines, variables, samples)


def _lines(variables: Sequence[str], samples: list[Sample]) -> bytes:
    lines = [
        ",".join([utc_text(sample.at), *(number_cell(sample.values.get(name)) for name in variables)])
        for sample in samples
    ]
    return ("\n".join(lines) + "\n").encode()


async def as_parquet(variables: Sequence[str], pages: AsyncIterator[list[Sample]]) -> AsyncIterator[bytes]:
    """A column of times and one of numbers per variable, a row group per page."""
    schema = pa.schema([("at", pa.timestamp("us", tz="UTC")), *((name, pa.float64()) for name in variables)])
    drain = _Drain()
    writer = pq.ParquetWriter(drain, schema, compression="zstd")
    try:
        async for samples in pages:
            if samples:
                await asyncio.to_thread(writer.write_table, _table(schema, variables, samples))
                yield drain.taken()
    finally:
        writer.close()
    yield drain.taken()


def _table(schema: pa.Schema, variables: Sequence[str], samples: list[Sample]) -> pa.Table:
    times = [sample.at for sample in samples]
    columns = [times, *([sample.values.get(name) for sample in samples] for name in variables)]
    return pa.table(columns, schema=schema)


class _Drain(BytesIO):
    """A file that is given away while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._gone = 0

    def taken(self) -> bytes:
        """What was written since the last time; it is forgotten here."""
        held = self.getvalue()
        self._gone += len(held)
        super().seek(0)
        self.truncate()
        return held

    def tell(self) -> int:
        return self._gone + super().tell()

    def close(self) -> None:
        """Stay readable: what was written last has still to be taken."""
