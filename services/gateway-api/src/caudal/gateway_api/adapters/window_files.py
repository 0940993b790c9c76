"""The folder of batch windows on disk; no name from outside becomes a path before it is resolved."""

import asyncio
import csv
import hashlib
import os
import re
from collections.abc import AsyncIterator, Sequence, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.domain.uploads import format_of, safe_name
from caudal.gateway_api.ports import SavedFile, Space

HEAD_BYTES = 4096
"""How much of a file tells what it is."""
WRITE_BYTES = 1024 * 1024
"""How much is gathered before a thread writes it."""
PROCESSED = "processed_window.csv"
REJECTS = ".rejects.csv"
"""How the name of what the loader writes beside a file goes on."""

_ours = re.compile(r"\.?(\d{8}T\d{6})-[0-9a-f]{8}-.+")
"""Names that `save` makes, and of its drafts."""
_SAVED_AT = "%Y%m%dT%H%M%S"


class WindowFolder:
    """`<data_dir>/windows`, which ingest sees too."""

    def __init__(self, folder: Path, space: Space) -> None:
        self._folder = folder.resolve()
        self._space = space

    async def save(self, name: str, chunks: AsyncIterator[bytes], at: datetime) -> SavedFile:
        path = self._folder / f"{at:{_SAVED_AT}}-{uuid4().hex[:8]}-{safe_name(name)}"
        draft = path.with_name(f".{path.name}")
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            kind, size, digest = await self._write_chunks(draft, chunks)
            await asyncio.to_thread(os.replace, draft, path)
        finally:
            draft.unlink(missing_ok=True)
        return SavedFile(path=path, format=kind, size=size, digest=digest)

    async def _write_chunks(self, draft: Path, chunks: AsyncIterator[bytes]) -> tuple[str, int, bytes]:
        kind, size, digest = "", 0, hashlib.sha256()
        with draft.open("xb") as file:
            async for block in _gathered(chunks):
                kind = kind or format_of(block[:HEAD_BYTES])
                await self._space.check()
                await asyncio.to_thread(file.write, block)
                await asyncio.to_thread(digest.update, block)
                size += len(block)
            kind = kind or format_of(b"")
            await asyncio.to_thread(_to_disk, file)
        return kind, size, digest.digest()

    async def discard(self, saved: SavedFile) -> None:
        await asyncio.to_thread(saved.path.unlink, missing_ok=True)

    def resolve(self, path: str) -> tuple[Path, str, str]:
        try:
            asked = Path(path)
            found = (asked if asked.is_absolute() else self._folder / asked).resolve()
            name = found.relative_to(self._folder).as_posix()
            if found.name.startswith("."):
                raise ValueError("still being written")
            with found.open("rb") as file:
                head = file.read(HEAD_BYTES)
        except (OSError, ValueError) as error:
            raise InvalidInput("path", "is no file that was uploaded here") from error
        return found, name, format_of(head)

    def rejects(self, name: str) -> Path | None:
        # `name` was given by `resolve`, but a row of a table is no place to trust a path from.
        found = (self._folder / f"{name}{REJECTS}").resolve()
        return found if found.is_relative_to(self._folder) and found.is_file() else None

    async def expire(self, before: datetime, in_use: Set[str]) -> int:
        return await asyncio.to_thread(self._expire, before, in_use)

    def _expire(self, before: datetime, in_use: Set[str]) -> int:
        old = [path for path in self._folder.glob("*") if _is_older(path.name, before)]
        gone = [path for path in old if not in_use & {path.name, path.name.removesuffix(REJECTS)}]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    async def write_processed(self, columns: Sequence[str], rows: AsyncIterator[Sequence[Sequence[str]]]) -> Path:
        path = self._folder / PROCESSED
        draft = path.with_name(f".{PROCESSED}.{uuid4().hex[:8]}")
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("x", encoding="utf-8", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(columns)
                async for some in rows:
                    await asyncio.to_thread(table.writerows, some)
                await asyncio.to_thread(_to_disk, file)
            await asyncio.to_thread(os.replace, draft, path)
        finally:
            draft.unlink(missing_ok=True)
        return path


def _is_older(name: str, before: datetime) -> bool:
    """Whether `save` made this name before then; false for names of other origin."""
    found = _ours.fullmatch(name)
    try:
        return found is not None and datetime.strptime(found[1], _SAVED_AT).replace(tzinfo=UTC) < before
    except ValueError:
        return False


async def _gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in blocks of about `WRITE_BYTES`."""
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= WRITE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _to_disk(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
