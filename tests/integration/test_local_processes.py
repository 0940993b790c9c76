"""Child processes of a local platform: logged, started again, and never left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from caudal.cli.local.process import ChildProcess
from caudal.cli.local.supervisor import Supervisor
from caudal.common.domain.errors import Permanent

WAIT_S = 60.0


def child(folder: Path, program: str, name: str = "child") -> ChildProcess:
    return ChildProcess(name, [sys.executable, "-u", "-c", program], os.environ, folder / f"{name}.log")


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def says(log: Path, text: str) -> Callable[[], bool]:
    return lambda: log.exists() and text in log.read_text()


@pytest.fixture
async def supervised() -> AsyncIterator[tuple[Supervisor, list[str]]]:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    yield supervisor, said
    await supervisor.stop()


async def test_a_child_that_dies_is_started_again_and_that_is_said(
    supervised: tuple[Supervisor, list[str]], tmp_path: Path
) -> None:
    supervisor, said = supervised
    one = child(tmp_path, "import os, time; print('pid', os.getpid()); time.sleep(60)")
    await supervisor.start(one)
    supervisor.keep_running()
    await eventually(says(one.log, f"pid {one.pid}"))
    first = one.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: one.pid != first and says(one.log, f"pid {one.pid}")())
    assert said == ["child ended (signal 9); it is started again in 0.5 s"]


async def test_a_child_that_dies_while_the_platform_starts_ends_the_start_with_its_last_words(
    supervised: tuple[Supervisor, list[str]], tmp_path: Path
) -> None:
    supervisor, _ = supervised
    await supervisor.start(child(tmp_path, "print('no such setting'); raise SystemExit(3)"))
    with pytest.raises(Permanent, match=r"exit code 3(.|\n)*no such setting"):
        await supervisor.until(asyncio.sleep(WAIT_S), WAIT_S)


async def test_a_start_that_takes_too_long_is_given_up(supervised: tuple[Supervisor, list[str]]) -> None:
    with pytest.raises(Permanent, match="not ready after"):
        await supervised[0].until(asyncio.sleep(WAIT_S), 0.05)


async def test_stopping_ends_a_child_that_will_not_and_what_it_started(tmp_path: Path) -> None:
    stubborn = child(
        tmp_path,
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print('grandchild', grandchild.pid, flush=True); time.sleep(60)",
    )
    await stubborn.start()
    running = asyncio.create_task(stubborn.run())
    await eventually(lambda: bool(stubborn.last_lines))
    grandchild = int(stubborn.last_lines[0].split()[1])
    await stubborn.stop(patience_s=0.1)
    await running
    await eventually(lambda: not is_alive(grandchild))
    assert not stubborn.is_running


async def test_a_child_may_finish_what_it_has_in_hand(tmp_path: Path) -> None:
    tidy = child(
        tmp_path,
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('tidied up'), sys.exit(0)))\n"
        "print('here')\n"
        "time.sleep(60)",
    )
    await tidy.start()
    running = asyncio.create_task(tidy.run())
    await eventually(says(tidy.log, "here"))
    await tidy.stop()
    assert await running == 0
    assert tidy.log.read_text() == "here\ntidied up\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
async def test_killed_without_warning_we_leave_no_child_behind(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import asyncio, os, pathlib, sys\n"
            "from caudal.cli.local.process import ChildProcess\n"
            "async def main():\n"
            "    child = ChildProcess('child', ['sleep', '60'], os.environ, pathlib.Path(sys.argv[1]))\n"
            "    await child.start()\n"
            "    print(child.pid, flush=True)\n"
            "    await child.run()\n"
            "asyncio.run(main())",
            str(tmp_path / "child.log"),
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    with parent.stdout as told:
        pid = int(await asyncio.to_thread(told.readline))
    assert is_alive(pid)
    parent.kill()
    parent.wait(WAIT_S)
    await eventually(lambda: not is_alive(pid))


async def test_a_line_without_end_does_not_stop_the_log(tmp_path: Path) -> None:
    talker = child(tmp_path, "print('x' * 3_000_000); print('still here')")
    await talker.start()
    assert await talker.run() == 0
    assert talker.last_lines[-1] == "still here"
