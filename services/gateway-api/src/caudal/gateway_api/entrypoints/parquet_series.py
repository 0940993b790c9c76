"""Series as Parquet, written as they are read, in constant memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from caudal.common.ports import Sample


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
