"""Ctrl-C, and what else asks a program to end."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def until_signalled(work: Coroutine[None, None, T]) -> T | None:
    """Run `work` to its end, or cancel it when a signal asks to and let it clean up; None then."""
    return asyncio.run(_run(work))


async def _run(work: Coroutine[None, None, T]) -> T | None:
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in ENDING:
        # Under nohup SIGHUP is ignored, and stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, task.cancel)
    await asyncio.wait({task})
    return None if task.cancelled() else task.result()
