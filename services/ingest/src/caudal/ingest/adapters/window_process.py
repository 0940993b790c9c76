"""A window run by a process of its own, `python -m caudal.ingest load`, so that it holds up nothing else."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from caudal.common.domain.errors import InvalidInput, Permanent, Transient
from caudal.ingest.ports import Far, Tell, WindowJob

MAX_REPORT = 4 * 1024 * 1024
"""Bytes of the child's report."""
GRACE_S = 5.0
"""How long a child that was told to stop may take."""


class WindowProcess:
    """Runs windows whose files lie below `folder`.

    Args:
        folder: The only place from which files are taken.
        timeout_s: After so long a window is given up.
    """

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder = folder
        self._timeout_s = timeout_s

    def check(self, job: WindowJob) -> None:
        """Nothing, if there is such a file.

        Raises:
            InvalidInput: it lies elsewhere, or is none.
        """
        self.resolve(job.path)

    async def run(self, job: WindowJob, tell: Tell) -> dict[str, Any]:
        """Read the file and publish its rows; what there is to say about it. How far it is `tell` hears meanwhile.

        Raises:
            InvalidInput: the file or the options cannot be used.
            Permanent: it took too long, or its process died.
            Transient: the bus or the catalog is away.
        """
        path = self.resolve(job.path)
        command = [sys.executable, "-m", "caudal.ingest", "load", str(path), "--json", "--progress"]
        command += ["--window", job.window, "--options", msgspec.json.encode(job.options).decode()]
        command += ["--format", job.format] if job.format else []
        command += ["--dry-run"] if job.dry_run else []
        child = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, limit=MAX_REPORT
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                last = await _last_line(child, tell)
                await child.wait()
        except TimeoutError:
            raise Permanent(f"the window took more than {self._timeout_s:.0f} s") from None
        finally:
            await _end(child)
        return _report(last, child.returncode)

    def resolve(self, path: str) -> Path:
        """The file that `path` names, below the folder.

        Raises:
            InvalidInput: it lies elsewhere, or is none.
        """
        folder = self._folder.resolve()
        with suppress(OSError, ValueError):
            found = (folder / path).resolve()
            found.relative_to(folder)
            if found.is_file() and not found.name.startswith("."):
                return found
        raise InvalidInput("path", f"{path[:200]!r} is no file among the windows")


async def _last_line(child: asyncio.subprocess.Process, tell: Tell) -> bytes:
    """The child's last words; those before them say how far it is."""
    last = b""
    assert child.stdout is not None
    try:
        while line := await child.stdout.readline():
            with suppress(msgspec.MsgspecError):
                await tell(msgspec.json.decode(line, type=Far))
            last = line
    except ValueError as error:
        raise Permanent(f"the report of the window is longer than {MAX_REPORT} bytes") from error
    return last


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is not None:
        return
    child.terminate()
    try:
        async with asyncio.timeout(GRACE_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


def _report(output: bytes, code: int | None) -> dict[str, Any]:
    """The child's last words, as a report or as the error that it ended with."""
    try:
        report = msgspec.json.decode(output, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Permanent(f"the process of the window ended with {code} and without a report") from error
    if "done" in report:
        raise Permanent(f"the process of the window ended with {code} at {report['done']} of {report['total']}")
    failure = report.get("error")
    if not failure:
        return report
    if failure.get("kind") == "transient":
        raise Transient(str(failure.get("reason")), 10.0)
    raise InvalidInput(str(failure.get("field")), str(failure.get("reason")))
