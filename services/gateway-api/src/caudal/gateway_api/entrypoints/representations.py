"""Series as CSV, written as they are read, in constant memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

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
