"""Parquet files, decoded by a process of their own with bounded memory and time."""

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec

from caudal.common.domain.errors import InvalidInput
from caudal.ingest.adapters.parquet_frames import FRAME, Head, Limits, Rows, Tail
from caudal.ingest.domain.windows import Row
from caudal.ingest.ports import Batch

MAX_FRAME = 64 * 1024 * 1024
"""Bytes of one batch of rows."""
RATIO = 50
"""How many times larger than the file its content may be, where that is more than the limit says."""
_FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
"""Arrow's own allocator reserves a gigabyte of addresses at once, which a limit on addresses takes for memory."""


class ParquetTable:
    """A Parquet file, open in a process of its own.

    Raises:
        InvalidInput: it is no Parquet file, or larger than the limits.
    """

    source_format = "parquet"
    unit = "rows"

    def __init__(self, path: Path, limits: Limits) -> None:
        decoded = max(limits.max_decoded_bytes, RATIO * path.stat().st_size)
        limits = msgspec.structs.replace(limits, max_decoded_bytes=decoded)
        self._child = _Child(path, limits)
        try:
            head = self._child.frame(Head | Tail)
            if isinstance(head, Tail):
                raise InvalidInput("file", head.error)
        except BaseException:
            self._child.end()
            raise
        self.headers = head.columns
        self.total = head.rows
        self.notes = [f"column {name!r} left out: {kind}" for name, kind in head.left_out.items()]

    async def batches(self) -> AsyncIterator[Batch]:
        """All rows; the pipe is read in a thread."""
        done = 0
        while True:
            frame = await asyncio.to_thread(self._child.frame, Rows | Tail)
            if isinstance(frame, Tail):
                if frame.error:
                    raise InvalidInput("file", f"{frame.error} (after {done} rows)")
                return
            yield Batch(list(_numbered(frame, done + 1)), done + len(frame.cells))
            done += len(frame.cells)

    async def close(self) -> None:
        """End the process."""
        await asyncio.to_thread(self._child.end)


def _numbered(frame: Rows, first: int) -> Iterator[Row]:
    for index, cells in enumerate(frame.cells):
        yield Row(first + index, cells, frame.faults.get(index, ""))


class _Child:
    """The decoding process."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._idle_s = limits.idle_s
        self._process = subprocess.Popen(
            [sys.executable, "-m", "caudal.ingest.adapters.parquet_child", str(path), msgspec.json.encode(limits)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | _FRUGAL,
        )
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()

    def frame(self, kind: Any) -> Any:
        """The next frame.

        Raises:
            InvalidInput: there is none: the process died, or took too long.
        """
        (size,) = FRAME.unpack(self._bytes(FRAME.size))
        if size > MAX_FRAME:
            raise InvalidInput("file", f"some rows take {size} bytes, more than {MAX_FRAME}")
        return msgspec.msgpack.decode(self._bytes(size), type=kind)

    def end(self) -> None:
        """Kill the process, if it still runs, and forget it."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _bytes(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            if not select.select([self._pipe], [], [], self._idle_s)[0]:
                raise InvalidInput("file", f"gave no rows for {self._idle_s:.0f} s")
            part = os.read(self._pipe, min(count, 1 << 20))
            if not part:
                raise InvalidInput("file", f"cannot be decoded: its reader ended ({self._process.wait()})")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)
