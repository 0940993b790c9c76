"""A server process that a test starts, freezes, kills and starts again."""

import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

WORKERS = "PYTEST_XDIST_WORKER_COUNT"

FOR_TESTS = range(10_000, 20_000)
"""Ports that no system gives to outgoing connections (Linux: from 32768, macOS: from 49152).

Local mode chooses others. A port of those given to anybody could be taken by a client's connection between this
choice and the server's start.
"""


def _candidates() -> Iterator[int]:
    """This worker's ports for ever, from anywhere among them, so that two runs on one machine seldom meet."""
    worker, workers = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), int(os.environ.get(WORKERS, "1"))
    mine = FOR_TESTS[worker::workers]
    first = os.getpid() * 61 % len(mine)
    return itertools.cycle(itertools.chain(mine[first:], mine[:first]))


_ports = _candidates()


def free_port() -> int:
    """A port of loopback that nobody holds right now, and that nobody else of this run is given soon."""
    for port in itertools.islice(_ports, len(FOR_TESTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no port of {FOR_TESTS} is free")


class Server:
    """One process on one port; subclasses say how it is started and when it is ready."""

    name = "server"
    start_timeout_s = 60.0

    def __init__(self, folder: Path) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """The command line that starts it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Its environment."""
        return dict(os.environ)

    def user(self) -> str | None:
        """The account it runs as; None: ours."""
        return None

    def is_ready(self) -> bool:
        """Whether it serves; by default, whether its port answers."""
        with socket.socket() as probe:
            probe.settimeout(0.5)
            return probe.connect_ex((self.host, self.port)) == 0

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / f"{self.name}.log"

    def start(self) -> Self:
        """Start it and wait until it is ready; a test that asks for what is not installed here is skipped."""
        with self.log.open("ab") as log:
            try:
                self.process = subprocess.Popen(
                    self.command(),
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    cwd=self.folder,
                    env=self.environment(),
                    user=self.user(),
                    start_new_session=True,
                )
            except FileNotFoundError:
                pytest.skip(f"needs {self.name}")
        deadline = time.monotonic() + self.start_timeout_s
        while not self.is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} was not ready in {self.start_timeout_s} s:\n{self.tail()}")
            time.sleep(0.02)
        return self

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """End it in order; kill it after 10 s."""
        if self.process is None or self.process.poll() is not None:
            return
        self.signal(signal.SIGCONT)
        self.signal(self.stop_signal)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    stop_signal = signal.SIGTERM

    def kill(self) -> None:
        """kill -9, with all its children."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def freeze(self) -> None:
        """SIGSTOP: it holds its connections and says nothing, from when this returns."""
        assert self.process is not None
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
