"""Keeps child processes alive: says when one ends, starts it again after a pause, stops them in order."""

import asyncio
from collections.abc import Callable, Coroutine

from caudal.cli.local.process import ChildProcess
from caudal.common.domain.errors import Permanent

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
SETTLED_AFTER_S = 60.0
"""A child that has lived this long gets the first pause again when it ends."""


class Supervisor:
    """Children in the order in which they were started."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._children: list[ChildProcess] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._early_end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._restarts = False
        self._stopping = False

    async def start(self, child: ChildProcess) -> None:
        """Start `child` and look after it."""
        await child.start()
        self._children.append(child)
        self._tasks.append(asyncio.create_task(self._look_after(child), name=f"supervisor:{child.name}"))

    async def until(self, condition: Coroutine[None, None, None], timeout_s: float) -> None:
        """Wait until `condition` has ended while all children live.

        Raises:
            Permanent: a child ended, or the time is over.
        """
        task = asyncio.ensure_future(condition)
        try:
            await asyncio.wait({task, self._early_end}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if self._early_end.done():
                self._early_end.result()
            if not task.done():
                raise Permanent(f"not ready after {timeout_s:.0f} s; the logs say why")
            task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def keep_running(self) -> None:
        """From now on a child that ends is started again; until now it was a failure of the start."""
        self._restarts = True

    async def stop(self) -> None:
        """Stop the children, the first one (the broker, whom the others still talk to) last, and leave none behind."""
        self._stopping = True
        await asyncio.gather(*(child.stop() for child in self._children[1:]))
        for child in self._children[:1]:
            await child.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for child in self._children:
            # One that was just being started again when all were told to stop.
            await child.stop()
        self._early_end.cancel()

    async def _look_after(self, child: ChildProcess) -> None:
        clock, pause = asyncio.get_running_loop().time, FIRST_PAUSE_S
        while True:
            started = clock()
            code = await child.run()
            if self._stopping:
                return
            if not self._restarts:
                self._fail(child, code)
                return
            pause = FIRST_PAUSE_S if clock() - started > SETTLED_AFTER_S else pause
            self._say(f"{child.name} ended ({_ending(code)}); it is started again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
            if self._stopping:
                return
            await child.start()

    def _fail(self, child: ChildProcess, code: int) -> None:
        if not self._early_end.done():
            said = "\n".join(f"  {line}" for line in child.last_lines)
            self._early_end.set_exception(
                Permanent(f"{child.name} ended while starting ({_ending(code)}); see {child.log}\n{said}")
            )


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
