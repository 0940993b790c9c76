"""Parts of a running service: each has a name, an owner and an end."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter

from caudal.common.domain.errors import CaudalError
from caudal.common.logs import masked

CHECK_S = 2.0
"""A part that does not say within this time how it is, is not well."""
PART_STOP_S = 8.0
"""How long one part may take to stop."""
FIRST_RESTART_S = 1.0
"""The pause before the first restart; it doubles up to 30 s."""
STEADY_S = 60.0
"""A part that ran for so long before it failed is restarted at once, not later and later."""

_log = structlog.get_logger(__name__)


class PartMetrics:
    """What is counted of the parts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.failures = Counter("caudal_part_failures", "Parts that failed", ["part"], registry=registry)


class Part:
    """One thing that a service runs, holds or depends on."""

    def __init__(
        self,
        name: str,
        metrics: PartMetrics,
        *,
        run: Callable[[], Awaitable[None]] | None = None,
        check: Callable[[], Awaitable[object]] | None = None,
        stop: Callable[[], Awaitable[object]] | None = None,
        restart: bool = False,
    ) -> None:
        self.name = name
        self.trouble: str | None = "not started" if run else None
        """Why it does not run; None while it does, and when it has nothing to run."""
        self._metrics = metrics
        self._run = run
        self._check = check
        self._stop = stop
        self._restart = restart
        self._task: asyncio.Task[None] | None = None

    def start(self, on_failure: Callable[["Part", BaseException], None]) -> None:
        """Run it in a task of its own; `on_failure` hears of the failure that it is not restarted after."""
        if self._run is None:
            return
        self._task = asyncio.create_task(self._supervised(), name=self.name)
        self._task.add_done_callback(
            lambda task: None if task.cancelled() or not task.exception() else on_failure(self, _error_of(task))
        )

    async def stop(self) -> bool:
        """Cancel what runs, then release what it holds; False if that took too long or failed."""
        self.trouble = "stopped"
        done = True
        if self._task is not None:
            self._task.cancel()
            _, late = await asyncio.wait([self._task], timeout=PART_STOP_S)
            done = not late
        if self._stop is not None:
            try:
                async with asyncio.timeout(PART_STOP_S):
                    await self._stop()
            except Exception:  # noqa: BLE001 - the parts before it have to be stopped too
                _log.exception("part did not stop in order", part=self.name)
                done = False
        if not done:
            _log.error("part did not stop", part=self.name)
        return done

    async def state(self) -> dict[str, Any]:
        """`{"ok": …, "detail": …}`, within `CHECK_S` seconds."""
        if self.trouble is not None:
            return {"ok": False, "detail": self.trouble}
        if self._check is None:
            return {"ok": True}
        try:
            async with asyncio.timeout(CHECK_S):
                detail = await self._check()
        except TimeoutError:
            return {"ok": False, "detail": f"no answer within {CHECK_S:.0f} s"}
        except Exception as error:  # noqa: BLE001 - whatever a check raises means: not well
            return {"ok": False, "detail": _words(error)}
        return {"ok": True} if detail is None else {"ok": True, "detail": detail}

    async def _supervised(self) -> None:
        assert self._run is not None
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            begun = loop.time()
            self.trouble = None
            try:
                await self._run()
            except Exception as error:
                self.trouble = _words(error)
                self._metrics.failures.labels(self.name).inc()
                known = isinstance(error, CaudalError)
                _log.error("part failed", part=self.name, reason=self.trouble, exc_info=None if known else error)
                if not self._restart:
                    raise
            else:
                self.trouble = None
                return
            failures = 0 if loop.time() - begun > STEADY_S else failures + 1
            await asyncio.sleep(min(30.0, FIRST_RESTART_S * 2.0 ** max(0, failures - 1)) * random.uniform(0.8, 1.2))


def _words(error: BaseException) -> str:
    """What a person reads in readiness, which anybody may ask for: no secrets."""
    text = str(masked(str(error))) or type(error).__name__
    return text if isinstance(error, CaudalError) else f"{type(error).__name__}: {text}"


def _error_of(task: asyncio.Task[None]) -> BaseException:
    error = task.exception()
    assert error is not None
    return error
