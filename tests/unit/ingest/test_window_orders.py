"""Orders of windows: on disk before they are acknowledged, run once, answered every time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from caudal.common.bus.codec import decode, encode
from caudal.common.bus.messages import Command, Progress, Result
from caudal.common.domain.errors import CaudalError, InvalidInput, Permanent, Transient
from caudal.common.ports import Delivery
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_bus import MemoryBus
from caudal.ingest.adapters.job_files import JobFiles
from caudal.ingest.adapters.window_process import WindowProcess
from caudal.ingest.entrypoints.batch import subscription
from caudal.ingest.handlers.accepting import Arrival
from caudal.ingest.handlers.windows import MAX_ATTEMPTS, REMEMBERED, Windows
from caudal.ingest.ports import Far, Tell, WindowJob


class Runner:
    """Runs windows by saying what they come to."""

    def __init__(self, *outcomes: CaudalError | dict[str, Any]) -> None:
        self.outcomes = list(outcomes)
        self.runs: list[WindowJob] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def check(self, job: WindowJob) -> None:
        if job.path == "missing.csv":
            raise InvalidInput("path", "is no file among the windows")

    async def run(self, job: WindowJob, tell: Tell) -> dict[str, Any]:
        self.runs.append(job)
        await tell(Far(10, 40, "bytes"))
        await self.gate.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else {"rows": 5, "rejected": 0}
        if isinstance(outcome, CaudalError):
            raise outcome
        return outcome


class Office:
    """Takes and works off orders, with files in a folder and the bus in memory."""

    def __init__(self, folder: Path, runner: Runner) -> None:
        self.bus = MemoryBus()
        self.jobs = JobFiles(folder)
        self.clock = FakeClock()
        self.runner = runner
        self.windows = Windows(self.jobs, runner, self.bus, self.clock)
        self.refused: list[Arrival] = []
        self.bus.subscribe(subscription(self.windows.order, self._accept))

    async def _accept(self, arrivals: Sequence[Arrival]) -> None:
        self.refused += arrivals

    async def order(self, command: Command, window: str = "w1", times: int = 1) -> None:
        await self.bus.deliver(Delivery(f"window/{window}/command", encode(command)), times=times)

    @property
    def results(self) -> list[Result]:
        return [decode(message.payload, Result) for message in self.bus.on("window/+/result")]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.windows.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def answered(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.results) < count or not self._is_idle():
                await asyncio.sleep(0.001)

    def _is_idle(self) -> bool:
        with self.jobs.claim() as job:
            return job is None


RUN = Command(id="c1", action="run", params={"path": "a.csv", "format": "csv", "options": {"device": "D"}})


async def test_order_is_run_and_answered(tmp_path: Path) -> None:
    office = Office(tmp_path, Runner())
    async with office.open():
        await office.order(RUN)
        await office.answered(1)
    (result,) = office.results
    assert (result.id, result.ok, result.detail) == ("c1", True, {"rows": 5, "rejected": 0, "path": "a.csv"})
    assert office.runner.runs[0].options == {"device": "D"}


async def test_same_order_again_is_run_once_and_answered_each_time(tmp_path: Path) -> None:
    office = Office(tmp_path, Runner())
    async with office.open():
        await office.order(RUN, times=2)
        await office.answered(1)
        await office.order(RUN)
        await office.answered(2)
    assert len(office.runner.runs) == 1
    assert office.results[0] == office.results[1]


async def test_acknowledged_order_survives_a_crash(tmp_path: Path) -> None:
    before = Office(tmp_path, Runner())
    await before.order(RUN)
    assert len(before.bus.acknowledged) == 1
    after = Office(tmp_path, Runner())
    async with after.open():
        await after.answered(1)
    assert after.results[0].ok


async def test_order_that_is_stopped_midway_is_begun_again_and_not_held_against_it(tmp_path: Path) -> None:
    for _ in range(MAX_ATTEMPTS + 2):
        office = Office(tmp_path, Runner())
        office.runner.gate.clear()
        await office.order(RUN)
        async with office.open():
            async with asyncio.timeout(10):
                while not office.runner.runs:
                    await asyncio.sleep(0.001)
    last = Office(tmp_path, Runner())
    async with last.open():
        await last.answered(1)
    assert last.results[0].ok


async def test_order_that_kills_its_process_is_given_up(tmp_path: Path) -> None:
    office = Office(tmp_path, Runner())
    await office.order(RUN)
    with office.jobs.claim() as job:
        assert job is not None
        office.jobs.write(WindowJob(window="w1", command="c1", path="a.csv", attempts=MAX_ATTEMPTS))
    async with office.open():
        await office.answered(1)
    assert not office.runner.runs
    assert "given up" in office.results[0].detail["error"]


async def test_two_replicas_never_run_the_same_order(tmp_path: Path) -> None:
    office, other = Office(tmp_path, Runner()), Office(tmp_path, Runner())
    office.runner.gate.clear()
    await office.order(RUN)
    async with office.open():
        async with asyncio.timeout(10):
            while not office.runner.runs:
                await asyncio.sleep(0.001)
        with other.jobs.claim() as job:
            assert job is None
        office.runner.gate.set()
        await office.answered(1)


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (InvalidInput("time_column", "say which"), {"field": "time_column", "error": "say which"}),
        (Permanent("the process died"), {"error": "the process died"}),
    ],
)
async def test_window_that_cannot_be_run_is_answered_with_the_reason(
    tmp_path: Path, error: CaudalError, detail: dict[str, str]
) -> None:
    office = Office(tmp_path, Runner(error))
    async with office.open():
        await office.order(RUN)
        await office.answered(1)
    (result,) = office.results
    assert not result.ok
    assert result.detail == {"rows": 0, "path": "a.csv", **detail}


async def test_window_waits_for_a_broker_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    sleep = asyncio.sleep

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        await sleep(0)

    monkeypatch.setattr("caudal.ingest.handlers.windows.asyncio.sleep", nap)
    office = Office(tmp_path, Runner(Transient("away"), Transient("away")))
    async with office.open():
        await office.order(RUN)
        async with asyncio.timeout(10):
            while not office.results:
                await sleep(0.001)
    assert office.results[0].ok
    assert naps[:2] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (Command(id="c", action="walk", params={"path": "a"}), "action"),
        (Command(id="c", action="run"), "params.path"),
        (Command(id="c", action="run", params={"path": "a\0b"}), "params.path"),
        (Command(id="c", action="run", params={"path": "a", "format": "xlsx"}), "params.format"),
        (Command(id="c", action="run", params={"path": "missing.csv"}), "path"),
        (Command(id="c", action="run", params={"path": "a", "options": {"tz": "x"}}), "options"),
        (Command(id="c", action="run", params={"path": "a", "options": [1]}), "options"),
    ],
)
async def test_order_that_makes_no_sense_is_refused_at_once_by_field(
    tmp_path: Path, command: Command, field: str
) -> None:
    office = Office(tmp_path, Runner())
    await office.order(command)
    (result,) = office.results
    assert (result.id, result.ok, result.detail["field"]) == ("c", False, field)


async def test_what_is_no_order_is_kept_as_rejected_and_holds_up_none(tmp_path: Path) -> None:
    office = Office(tmp_path, Runner())
    async with office.open():
        bad = [
            Delivery("window/w1/command", b"{"),
            Delivery("window/a b/command", encode(Command(id="c", action="run"))),
        ]
        await office.bus.deliver(*bad, Delivery("window/w2/command", encode(RUN)))
        await office.answered(1)
    assert [(arrival.topic, arrival.unreadable.field) for arrival in office.refused if arrival.unreadable] == [
        ("window/w1/command", "payload"),
        ("window/a b/command", "topic"),
    ]


async def test_answered_orders_are_forgotten_after_a_week(tmp_path: Path) -> None:
    office = Office(tmp_path, Runner())
    async with office.open():
        await office.order(RUN)
        await office.answered(1)
    assert office.jobs.expire(office.clock.now() - REMEMBERED) == 0
    assert office.jobs.expire(office.clock.now() + timedelta(seconds=1)) == 1
    assert office.jobs.find("w1", "c1") is None
    assert not list(tmp_path.glob("*.lock"))


def test_file_outside_the_folder_is_never_touched(tmp_path: Path) -> None:
    folder = tmp_path / "windows"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "windows-other").mkdir()
    inside = folder / "sub" / "a.csv"
    for path in (inside, tmp_path / "secret.csv", tmp_path / "windows-other" / "a.csv", folder / ".draft.csv"):
        path.write_text("x")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    process = WindowProcess(folder, 1.0)
    assert process.resolve("sub/a.csv") == process.resolve(str(inside)) == inside
    for path in (
        "../secret.csv", "/etc/passwd", "link.csv", "sub", "", ".", str(tmp_path / "windows-other/a.csv"),
        "sub/../../secret.csv", ".draft.csv", "no.csv", "x" * 5000,
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match="among the windows"):
            process.resolve(path)


def test_order_that_cannot_be_read_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "bad.x.json").write_text("{")
    jobs = JobFiles(tmp_path)
    jobs.write(WindowJob(window="w", command="c", path="p"))
    with jobs.claim() as job:
        assert job is not None
        assert job.window == "w"
    assert jobs.expire(datetime.now(UTC)) == 0


async def test_order_of_a_dry_run_is_run_as_one_and_tells_how_far_it_is(tmp_path: Path) -> None:
    office = Office(tmp_path, Runner())
    async with office.open():
        await office.order(Command(id="c1", action="dry_run", params={"path": "a.csv"}))
        await office.order(Command(id="c2", action="run", params={"path": "a.csv"}), window="w2")
        await office.answered(2)
    assert [(job.command, job.dry_run) for job in office.runner.runs] == [("c1", True), ("c2", False)]
    far, _ = [decode(message.payload, Progress) for message in office.bus.on("window/+/progress")]
    assert (far.id, far.done, far.total, far.unit) == ("c1", 10, 40, "bytes")


async def test_report_that_no_message_holds_is_told_without_its_longest_parts(tmp_path: Path) -> None:
    headers = {f"column {number}": "x" * 1000 for number in range(500)}
    office = Office(tmp_path, Runner({"rows": 5, "columns": headers, "first_rows": [{"row": 1}]}))
    async with office.open():
        await office.order(RUN)
        await office.answered(1)
    [result] = office.results
    assert (result.detail["rows"], result.detail["columns"]) == (5, None)
    assert result.detail["left_off"] == ["first_rows", "columns"]
