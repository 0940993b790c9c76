"""Orders of windows as files, one each, in a folder that all replicas see. A lock on the file is the claim."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from caudal.common.domain.errors import Transient
from caudal.common.domain.ids import id_from_name
from caudal.ingest.ports import WindowJob

_log = structlog.get_logger(__name__)


class JobFiles:
    """`<folder>/<window>.<command>.json`; written anew as a whole, so that a crash leaves the old or the new.

    The claim is a lock on `<the same>.lock`: the system lets it go when its holder dies, however it dies. Once it is
    answered an order is `<the same>.done`, so that who looks for work does not read thousands that are done.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, window: str, command: str) -> WindowJob | None:
        """The order of this id, if it was written down before."""
        path = self._path(window, command)
        return self._read(path.with_suffix(".done")) or self._read(path)

    def write(self, job: WindowJob) -> None:
        """Write down a new order, or how it stands; on disk when this returns.

        Raises:
            Transient: the disk refuses.
        """
        order = self._path(job.window, job.command)
        path, draft = order.with_suffix(".done") if job.result else order, order.with_suffix(".draft")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                file.write(msgspec.json.encode(job))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            if job.result:
                order.unlink(missing_ok=True)
        except OSError as error:
            raise Transient(f"the order of window {job.window} cannot be written down: {error}", 5.0) from error

    @contextmanager
    def claim(self) -> Iterator[WindowJob | None]:
        """An order still to be done that nobody else has in hand, the oldest first; ours until the context ends."""
        for path in sorted(self._folder.glob("*.json"), key=_age):
            with _locked(path.with_suffix(".lock")) as is_ours:
                job = self._read(path) if is_ours else None
                if job is not None:
                    yield job
                    return
        yield None

    def expire(self, before: datetime) -> int:
        """Forget orders that were answered before then; how many went."""
        gone = 0
        for path in list(self._folder.glob("*.done")):
            job = self._read(path)
            if job is not None and job.result is not None and job.result.timestamp < before:
                path.unlink(missing_ok=True)
                path.with_suffix(".lock").unlink(missing_ok=True)
                gone += 1
        return gone

    def _path(self, window: str, command: str) -> Path:
        return self._folder / f"{id_from_name(window)}.{id_from_name(command)}.json"

    def _read(self, path: Path) -> WindowJob | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=WindowJob)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, OSError) as error:
            _log.error("order of a window cannot be read", path=str(path), reason=str(error))
            return None


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Whether the lock is ours now; never waits."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _age(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0
