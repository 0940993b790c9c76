"""Orders of windows: written down, acknowledged, run one at a time, answered.

An order is acknowledged once it is on disk, not once it is done: a window may take hours, and the bus would deliver it
again meanwhile and hold back what is behind it. From then on the file is the promise. It is run again after a crash,
which changes nothing that was already sent, and given up after `MAX_ATTEMPTS`. The same order delivered again is run
once and answered each time.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import structlog

from caudal.common.bus import topics
from caudal.common.bus.codec import MAX_MESSAGE_BYTES, encode
from caudal.common.bus.messages import Command, Progress, Result
from caudal.common.domain.errors import InvalidInput, Permanent, Transient
from caudal.common.ports import Clock, Outgoing, Publisher
from caudal.ingest.domain.options import options_from
from caudal.ingest.ports import Far, Jobs, WindowJob, WindowRunner

MAX_ATTEMPTS = 3
"""How often a window is begun: one that kills its process does so no more than that."""
LOOK_AGAIN_S = 30.0
"""How often orders are looked for that another replica left behind."""
_LONGEST_FIRST = ("first_rows", "columns", "first_rejects", "unknown", "unconfigured", "variables", "notes")
"""Parts of a report that are left off, one after the other, until it fits a message."""
REMEMBERED = timedelta(days=7)
"""How long an answered order is known, so that it is answered and not run when it comes again."""

_log = structlog.get_logger(__name__)


class Windows:
    """Takes orders and works them off."""

    def __init__(self, jobs: Jobs, runner: WindowRunner, publisher: Publisher, clock: Clock) -> None:
        self._jobs = jobs
        self._runner = runner
        self._publisher = publisher
        self._clock = clock
        self._ordered = asyncio.Event()

    async def order(self, commands: Sequence[tuple[str, Command]]) -> None:
        """Write down what was ordered, by window; what cannot be done, or is done already, is answered at once.

        Raises:
            Transient: the disk or the bus refuses; nothing is lost if the commands come again.
        """
        answers: list[Outgoing] = []
        for window, command in commands:
            known = self._jobs.find(window, command.id)
            result = known.result if known is not None else self._taken(window, command)
            answers += [_answer(window, result)] if result else []
        await self._publisher.publish(answers)
        self._ordered.set()

    def _taken(self, window: str, command: Command) -> Result | None:
        """Nothing, once a new order is written down; its answer, if it cannot be done."""
        known: dict[str, str] = {}
        try:
            job = _job(window, command)
            known = {"path": job.path}
            self._runner.check(job)
        except InvalidInput as error:
            return self._failed(command.id, error, **known)
        self._jobs.write(job)
        return None

    async def run(self) -> None:
        """Work off orders until cancelled; one that is under way then is begun again at the next start."""
        while True:
            self._ordered.clear()
            while await self._run_one():
                pass
            self._jobs.expire(self._clock.now() - REMEMBERED)
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._ordered.wait()
            except TimeoutError:
                continue

    async def _run_one(self) -> bool:
        """Whether there was an order to work off."""
        with self._jobs.claim() as job:
            if job is None:
                return False
            begun = msgspec.structs.replace(job, attempts=job.attempts + 1)
            self._jobs.write(begun)
            try:
                result = await self._result_of(begun)
                await self._tell(_answer(job.window, result))
            except asyncio.CancelledError:
                self._jobs.write(job)  # told to stop: that is no attempt that failed
                raise
            self._jobs.write(msgspec.structs.replace(begun, result=result))
            _log.info("window answered", window=job.window, ok=result.ok, path=job.path)
            return True

    async def _result_of(self, job: WindowJob) -> Result:
        if job.attempts > MAX_ATTEMPTS:
            return self._failed(job.command, Permanent(f"given up: it was begun {MAX_ATTEMPTS} times and never ended"))
        wait_s = 1.0
        while True:
            try:
                detail = await self._runner.run(job, partial(self._tell_how_far, job))
            except Transient as error:
                _log.warning("window tried again", window=job.window, reason=str(error), wait_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(60.0, wait_s * 2)
            except (InvalidInput, Permanent) as error:
                return self._failed(job.command, error, path=job.path)
            else:
                return Result(id=job.command, ok=True, detail={**detail, "path": job.path}, timestamp=self._clock.now())

    def _failed(self, command: str, error: Permanent, **detail: Any) -> Result:
        named = {"field": error.field, "error": error.reason} if isinstance(error, InvalidInput) else {}
        detail = {"rows": 0, "error": str(error), **named, **detail}
        return Result(id=command, ok=False, detail=detail, timestamp=self._clock.now())

    async def _tell_how_far(self, job: WindowJob, far: Far) -> None:
        said = Progress(id=job.command, timestamp=self._clock.now(), **msgspec.structs.asdict(far))
        try:
            await self._publisher.publish([Outgoing(topics.WINDOW_PROGRESS.address(window=job.window), encode(said))])
        except Transient as error:
            _log.warning("progress of a window not told", window=job.window, reason=str(error))

    async def _tell(self, answer: Outgoing) -> None:
        while True:
            try:
                await self._publisher.publish([answer])
            except Transient as error:
                await asyncio.sleep(error.retry_after_s)
            else:
                return


def _job(window: str, command: Command) -> WindowJob:
    """What a command orders.

    Raises:
        InvalidInput: it is no order of a window; the error names the field.
    """
    if command.action not in ("run", "dry_run"):
        raise InvalidInput("action", f"{command.action[:60]!r} is neither run nor dry_run")
    path, kind, options = (command.params.get(name) for name in ("path", "format", "options"))
    if not isinstance(path, str) or not path or "\0" in path:
        raise InvalidInput("params.path", "says no file")
    if kind not in (None, "csv", "parquet", "json"):
        raise InvalidInput("params.format", "is none of csv, parquet and json")
    options = options or {}
    options_from(options)
    is_dry = command.action == "dry_run"
    return WindowJob(window=window, command=command.id, path=path, format=kind, options=options, dry_run=is_dry)


def _answer(window: str, result: Result) -> Outgoing:
    """The answer, as much of it as a message holds: a table may have hundreds of columns with long names."""
    topic, payload = topics.WINDOW_RESULT.address(window=window), encode(result)
    for long in _LONGEST_FIRST:
        if len(payload) <= MAX_MESSAGE_BYTES:
            break
        detail = {**result.detail, long: None, "left_off": [*result.detail.get("left_off", ()), long]}
        result = msgspec.structs.replace(result, detail=detail)
        payload = encode(result)
    return Outgoing(topic, payload)
