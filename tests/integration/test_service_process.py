"""A service as a process: signals end it in order, a failing part with a code, and nothing keeps it for ever."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

PATIENCE_S = 60.0
PROGRAM = """\
import asyncio, time
from caudal.common import service as shell
from caudal.common.service import Service, run
from caudal.common.settings import ServiceSettings
import structlog

log = structlog.get_logger()

async def works():
    try:
        await asyncio.Event().wait()
    finally:
        log.info("worker ended")

async def fails():
    await asyncio.sleep(0.1)
    raise RuntimeError("surprise")

async def swallows():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            time.sleep(0.01)

async def close():
    log.info("ledger closed")

async def build(service: Service):
    service.part("ledger", stop=close)
    service.part("worker", run=works)
    {more}

{before}
run("try", ServiceSettings(health_port=0, log_format="json"), build)
"""


@contextmanager
def started(more: str = "", before: str = "") -> Iterator[tuple[subprocess.Popen[str], list[dict[str, Any]]]]:
    """The program running, with its log so far up to where it listens."""
    program = PROGRAM.format(more=more, before=before)
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    try:
        lines: list[dict[str, Any]] = []
        while not lines or lines[-1]["event"] != "listening":
            lines.append(next_line(process))
        yield process, lines
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def next_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stderr is not None
    line: dict[str, Any] = json.loads(process.stderr.readline())
    return line


def the_rest(process: subprocess.Popen[str]) -> list[str]:
    """The events that it logs until it ends."""
    _, text = process.communicate(timeout=PATIENCE_S)
    return [json.loads(line)["event"] for line in text.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_service_in_order(number: signal.Signals) -> None:
    with started() as (process, lines):
        url = f"http://127.0.0.1:{lines[-1]['port']}/health/ready"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            assert json.load(answer)["ready"] is True
        process.send_signal(number)
        assert the_rest(process) == ["stopping", "worker ended", "ledger closed", "stopped"]
        assert process.returncode == 0


def test_failing_part_ends_the_process_with_a_code() -> None:
    with started('service.part("bad", run=fails)') as (process, _):
        events = the_rest(process)
        assert events == ["part failed", "service ends", "stopping", "worker ended", "ledger closed", "stopped"]
        assert process.returncode == 1


def test_part_that_swallows_its_cancellation_does_not_keep_the_process() -> None:
    shortly = "shell.STOP_S = 1.0"
    with started('service.part("bad", run=swallows)', shortly) as (process, _):
        process.send_signal(signal.SIGTERM)
        the_rest(process)
        assert process.returncode == 1
