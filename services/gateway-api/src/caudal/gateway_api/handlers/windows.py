"""Batch windows: files handed in, run by ingest, and flushed as one table of what became of their rows."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from caudal.common.bus.topics import WINDOW_COMMAND
from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.common.ports import Clock
from caudal.gateway_api.domain.cells import number_cell, text_cell
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.repeats import Attempt, attempt_of
from caudal.gateway_api.domain.telemetry import OrderedCommand, WindowRow
from caudal.gateway_api.handlers.once import OnceDesk, once
from caudal.gateway_api.handlers.orders import OrderDesk, new_order, send
from caudal.gateway_api.ports import Ledger, SavedFile, Upload, Uploads, WindowFiles

FIXED_COLUMNS = ("ts", "id", "__src_format")
"""Of `processed_window.csv`, before one per variable."""
RUN, DRY_RUN = "run", "dry_run"
"""What is ordered of ingest."""
HISTORY_WAIT_S = 5.0
"""How long the answer to an import of history waits for the loader's; no proxy cuts it off before."""
RECENT = timedelta(seconds=60)
"""A window that ended longer ago is taken to be collected."""
COLLECT_S = 10.0
"""How long a flush waits for the rows of a window that has just been run."""
QUIET_S = 1.0
"""No new row for so long: no more will come. Rows that came twice are collected once."""


@dataclass(slots=True)
class WindowDesk:
    """The ports that batch windows need, and what the last flush wrote."""

    files: WindowFiles
    uploads: Uploads
    ledger: Ledger
    orders: OrderDesk
    once: OnceDesk
    clock: Clock
    run_wait_s: float
    """How long an answer waits for the loader's."""
    last_flush_rows: int | None = None
    """None: nothing was flushed since the start."""


async def save_upload(
    desk: WindowDesk, caller: Caller, name: str, chunks: AsyncIterator[bytes], key: str | None = None
) -> str:
    """Keep a file that was handed in; its path. With an Idempotency-Key the same file is kept once.

    Raises:
        InvalidInput: it is neither CSV nor Parquet nor JSON, or the key came with another file before.
        OutOfSpace: the disk is too full.
    """
    saved = await desk.files.save(name, chunks, desk.clock.now())

    async def keep(_id: str = "") -> str:
        upload = Upload(
            path=str(saved.path),
            format=saved.format,
            size=saved.size,
            uploaded_by=caller.name,
            uploaded_at=desk.clock.now(),
        )
        await desk.uploads.add(upload)
        return upload.path

    kept = None
    try:
        # What is in a file is known only when it is here.
        kept = await keep() if key is None else await once(desk.once, _attempt(caller, key, name, saved), keep)
    finally:
        if kept != str(saved.path):
            await desk.files.discard(saved)
    return kept


def _attempt(caller: Caller, key: str, name: str, saved: SavedFile) -> Attempt:
    return attempt_of(f"user/{caller.user}", key, b"upload", name.encode("utf-8", "replace"), saved.digest)


async def run_window(
    desk: WindowDesk,
    caller: Caller,
    path: str | None,
    options: Mapping[str, Any],
    action: str = RUN,
    wait_s: float | None = None,
) -> tuple[OrderedCommand, str]:
    """Have a file read as a batch window; the order as it stands after a bounded wait, and the file's path.

    Without a path it is the caller's last upload. As `DRY_RUN` nothing is sent: it is told what would be.

    Raises:
        NotFound: the caller has uploaded nothing yet.
        InvalidInput: the path leads to no upload.
        Transient: the broker is away.
    """
    if path is None:
        last = await desk.uploads.last(caller.name)
        if last is None:
            raise NotFound("upload of", caller.name)
        path = last.path
    found, name, kind = await asyncio.to_thread(desk.files.resolve, path)
    window = uuid4().hex
    order = new_order(desk.orders, caller, action, window, order=window, file=name)
    # By its name alone: the loader may see the same folder in another place.
    params = {"path": name, "format": kind, "options": dict(options)}
    wait_s = desk.run_wait_s if wait_s is None else min(wait_s, desk.run_wait_s)
    return await send(desk.orders, order, WINDOW_COMMAND.address(window=window), params, wait_s), str(found)


async def run_history(
    desk: WindowDesk, caller: Caller, path: str | None, options: Mapping[str, Any], *, dry_run: bool
) -> tuple[OrderedCommand, str]:
    """`run_window` for whoever may import: of somebody of a client, an own file, and rows of the client's own points.

    It waits for no more than what is soon done: who takes over years asks from time to time.

    Raises:
        NotFound, InvalidInput: as `uploaded_by`.
        Transient: the broker is away.
    """
    if caller.client is not None:
        path, options = str(await uploaded_by(desk, caller, path)), {**options, "client": caller.client}
    return await run_window(desk, caller, path, options, DRY_RUN if dry_run else RUN, HISTORY_WAIT_S)


async def window_of(desk: WindowDesk, caller: Caller, order: str) -> OrderedCommand:
    """The order of a window, or of its dry run.

    Raises:
        NotFound: the caller sees none of this id.
    """
    found = await desk.orders.commands.one(order, caller.scope)
    if found is None or found.action not in (RUN, DRY_RUN):
        raise NotFound("window", order)
    return found


async def rejects_of(desk: WindowDesk, caller: Caller, order: str) -> Path:
    """The file with what the last run of a window's file did not take.

    Raises:
        NotFound: the caller sees no such window, it took everything, or the file has expired.
    """
    window = await window_of(desk, caller, order)
    path = await asyncio.to_thread(desk.files.rejects, window.file or "")
    if path is None or not window.detail.get("rejects_path"):
        raise NotFound("rejected rows of window", order)
    return path


async def uploaded_by(desk: WindowDesk, caller: Caller, path: str | None) -> Path:
    """The file that the caller handed in last, or of staff any that was handed in.

    Raises:
        NotFound: the caller has uploaded nothing yet.
        InvalidInput: the path leads to no upload, or to none of the caller's.
    """
    last = await desk.uploads.last(caller.name)
    if path is None and last is None:
        raise NotFound("upload of", caller.name)
    if path is not None and caller.client is not None and (last is None or path != last.path):
        raise InvalidInput("path", "is no file that was uploaded here")
    found, _, _ = await asyncio.to_thread(desk.files.resolve, path or (last.path if last else ""))
    return found


async def flush(desk: WindowDesk) -> tuple[int, Path]:
    """Write the latest version of every row of the batch windows; how many rows, and where.

    Raises:
        Transient: the database is away; the file is as it was.
    """
    await _collected(desk)
    fields = await desk.ledger.window_fields()
    written = 0

    async def cells() -> AsyncIterator[Sequence[Sequence[str]]]:
        nonlocal written
        async for rows in desk.ledger.window_rows():
            written += len(rows)
            yield [row_cells(row, fields) for row in rows]

    columns = [*FIXED_COLUMNS, *(text_cell(name) for name in fields)]
    path = await desk.files.write_processed(columns, cells())
    desk.last_flush_rows = written
    return written, path


def row_cells(row: WindowRow, fields: Sequence[str]) -> list[str]:
    """One line of the table."""
    values = row.cells()
    at = row.measured_at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    fixed = [at, text_cell(row.unit), text_cell(row.source_format)]
    return fixed + [number_cell(values.get(name)) for name in fields]


async def _collected(desk: WindowDesk) -> None:
    """Return once the rows of a window that was run a moment ago are in the ledger, or no more of them come."""
    run = await desk.orders.commands.latest_run()
    if run is None or run.finished_at is None or desk.clock.now() - run.finished_at > RECENT:
        return
    expected = run.detail.get("rows")
    begun = grown_at = time.monotonic()
    count = -1
    while isinstance(expected, int) and count < expected and time.monotonic() - begun < COLLECT_S:
        now_there = await desk.ledger.window_reading_count(run.target)
        if now_there != count:
            count, grown_at = now_there, time.monotonic()
        if count >= expected or time.monotonic() - grown_at > QUIET_S:
            return
        await asyncio.sleep(0.05)
