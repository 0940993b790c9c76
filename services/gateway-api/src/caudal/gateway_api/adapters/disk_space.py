"""Room on the disk, looked at before more is taken that has to lie there."""

import asyncio
import shutil
from pathlib import Path

from caudal.gateway_api.domain.errors import OutOfSpace


class DiskSpace:
    """What is free on the disk of a folder, which need not be there yet."""

    def __init__(self, folder: Path, min_free_bytes: int) -> None:
        self._folder = folder.resolve()
        self._min_free_bytes = min_free_bytes

    async def check(self) -> None:
        if await asyncio.to_thread(self._free_bytes) < self._min_free_bytes:
            raise OutOfSpace("the disk is too full to keep more")

    def _free_bytes(self) -> int:
        there = next(folder for folder in (self._folder, *self._folder.parents) if folder.exists())
        return shutil.disk_usage(there).free
