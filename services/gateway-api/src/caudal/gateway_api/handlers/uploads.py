"""Forgetting uploads once their windows are history."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from caudal.gateway_api.ports import Commands, Uploads, WindowFiles


@dataclass(frozen=True, slots=True)
class UploadShelf:
    """Where uploads lie, and who knows of them."""

    files: WindowFiles
    uploads: Uploads
    commands: Commands

    async def expire(self, now: datetime, age: timedelta) -> int:
        """Forget uploads older than `age` that no window has run for as long; how many files went.

        The file of a window that is still to be run, or running, stays as long as its order is remembered.
        """
        in_use = await self.commands.files_in_use(now - age)
        gone = await self.files.expire(now - age, in_use)
        await self.uploads.forget(now - age, in_use)
        return gone
