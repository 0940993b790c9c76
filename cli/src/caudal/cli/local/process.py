"""One child process: in a group of its own, with a log of its own, never outliving us."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from caudal.cli.local.log import Log

LINES_KEPT = 20
"""Lines that are held for whoever asks why the process ended."""
LINE_LIMIT = 1 << 20
"""The longest line of a log, in bytes."""
PATIENCE_S = 30.0
"""How long a child may take to finish what it has in hand."""
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def ending_with(parent: int, death_signal: int) -> Callable[[], None]:
    """What a child does between fork and exec so that it is signalled when `parent` dies, be it by kill -9.

    Only Linux offers that; elsewhere it does nothing.
    """

    def arrange() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:
                os._exit(1)

    return arrange


class ChildProcess:
    """A program that can be started, waited for and stopped, again and again."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        on_line: Callable[[str, str], None] = lambda name, line: None,
        death_signal: int = signal.SIGKILL,
    ) -> None:
        """A child, not yet started.

        Args:
            name: For people.
            command: What is run.
            environment: All of its environment.
            log: Where what it prints goes.
            on_line: Told of each line it prints: name, line.
            death_signal: What it gets if we die without stopping it.
        """
        self.name = name
        self.command = tuple(command)
        self.environment = dict(environment)
        self.log = log
        self.last_lines: list[str] = []
        self._on_line = on_line
        self._death_signal = death_signal
        self._process: asyncio.subprocess.Process | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Its process id, if it has been started."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start it."""
        self._process = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self.environment,
            start_new_session=True,
            preexec_fn=ending_with(os.getpid(), self._death_signal),
            limit=LINE_LIMIT,
        )

    async def run(self) -> int:
        """Log what it prints until it ends; its exit code, negative for a signal."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        with closing(Log(self.log)) as log:
            while line := await _line(process.stdout):
                text = line.decode(errors="replace").rstrip("\n")
                log.write(text)
                self.last_lines = [*self.last_lines[1 - LINES_KEPT :], text]
                self._on_line(self.name, text)
        return await process.wait()

    async def stop(self, patience_s: float = PATIENCE_S) -> None:
        """Ask it to end, and make it end after `patience_s`; its whole group with it."""
        if self._process is None:
            return
        if self.is_running:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), patience_s)
        self._signal(signal.SIGKILL)
        await self._process.wait()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line, or what there is of one that is too long; empty at the end."""
    try:
        return await stream.readline()
    except ValueError:
        return b"(a line that was too long was left out)\n"
