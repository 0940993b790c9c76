"""Batch windows: what was handed in, and its folder."""

from collections.abc import AsyncIterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that somebody handed in."""

    path: str
    """Where it is, as the other services see it too."""
    format: str
    """csv, parquet or json."""
    size: int
    """Bytes."""
    uploaded_by: str
    uploaded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFile:
    """A file that lies in the folder."""

    path: Path
    format: str
    """csv, parquet or json."""
    size: int
    """Bytes."""
    digest: bytes
    """SHA-256 of what is in it."""


class Uploads(Protocol):
    """What was handed in."""

    async def add(self, upload: Upload) -> None:
        """Keep an upload."""
        ...

    async def last(self, uploaded_by: str) -> Upload | None:
        """The last one of this user."""
        ...

    async def forget(self, before: datetime, in_use: Set[str]) -> None:
        """Forget what was handed in before then, but for files of these names."""
        ...


class Space(Protocol):
    """The disk on which all that comes in ends up."""

    async def check(self) -> None:
        """Nothing, while there is room.

        Raises:
            OutOfSpace: the disk is too full.
        """
        ...


class WindowFiles(Protocol):
    """The folder of batch windows, which ingest sees too."""

    async def save(self, name: str, chunks: AsyncIterator[bytes], at: datetime) -> SavedFile:
        """Keep a file under a name of our own made from `name`.

        Raises:
            InvalidInput: it is neither CSV nor Parquet nor JSON.
            OutOfSpace: the disk is too full.
        """
        ...

    async def discard(self, saved: SavedFile) -> None:
        """Delete a file that was just saved."""
        ...

    def resolve(self, path: str) -> tuple[Path, str, str]:
        """The uploaded file that `path` names, its name within the folder, and its format.

        Raises:
            InvalidInput: it lies outside the folder, or isn't there.
        """
        ...

    def rejects(self, name: str) -> Path | None:
        """What the loader wrote beside the uploaded file of this name about rows that it did not take."""
        ...

    async def expire(self, before: datetime, in_use: Set[str]) -> int:
        """Delete what was saved before then, and what lies beside it, but for files of these names; how many went.

        Only what was saved under a name of our own goes.
        """
        ...

    async def write_processed(self, columns: Sequence[str], rows: AsyncIterator[Sequence[Sequence[str]]]) -> Path:
        """Write `processed_window.csv` anew, all or nothing."""
        ...


class Expiring(Protocol):
    """Something that is kept for a while."""

    async def expire(self, now: datetime, age: timedelta) -> int:
        """Forget what is older than `age`; how much went."""
        ...
