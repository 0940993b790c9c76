"""What a service does once before it is ready, as soon as what that needs is there."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from caudal.common.domain.errors import Transient
from caudal.common.logs import masked

PAUSE_S = 0.2
"""How soon a step is tried again; it costs a question to a database, and the service waits for it."""

_log = structlog.get_logger(__name__)


class Step:
    """Something that is done once; whatever is away that it needs is waited for."""

    def __init__(self, name: str, do: Callable[[], Awaitable[object]]) -> None:
        self.over = asyncio.Event()
        """Set when it is done."""
        self._name = name
        self._do = do
        self._trouble = "under way"

    async def run(self) -> None:
        """Do it; what is not `Transient` is raised as it is."""
        while not self.over.is_set():
            try:
                await self._do()
            except Transient as error:
                self._note(str(masked(str(error))))
                await asyncio.sleep(PAUSE_S)
            else:
                self.over.set()

    async def check(self) -> None:
        """Return if it is done.

        Raises:
            Transient: it is not; the error says what it waits for.
        """
        if not self.over.is_set():
            raise Transient(self._trouble)

    def _note(self, trouble: str) -> None:
        """Say what it waits for, once: readiness says it all the time."""
        if trouble != self._trouble:
            _log.info("waits", step=self._name, reason=trouble)
        self._trouble = trouble


def after(steps: Sequence[Step], run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """`run`, once all of `steps` are done."""

    async def run_after() -> None:
        for step in steps:
            await step.over.wait()
        await run()

    return run_after
