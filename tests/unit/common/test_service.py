"""The shell starts parts in order, tells how they are, and stops them in reverse, whatever one of them does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from caudal.common import service as shell
from caudal.common import steps, supervision
from caudal.common.domain.errors import Permanent, Transient
from caudal.common.service import Service
from caudal.common.settings import ServiceSettings


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a test can wait for."""
    monkeypatch.setattr(shell, "REPORT_S", 0.0)
    monkeypatch.setattr(supervision, "CHECK_S", 0.05)
    monkeypatch.setattr(supervision, "PART_STOP_S", 0.8)
    monkeypatch.setattr(supervision, "FIRST_RESTART_S", 0.01)


class Diary:
    """Parts that write down what happens to them."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def run(self, name: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            self.lines.append(f"{name} runs")
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                self.lines.append(f"{name} ended")

        return run

    def stop(self, name: str) -> Callable[[], Awaitable[None]]:
        async def stop() -> None:
            self.lines.append(f"{name} closed")

        return stop


def new_service() -> Service:
    return Service("try", ServiceSettings(health_port=0))


@asynccontextmanager
async def running(service: Service, build: Callable[[Service], Awaitable[None]]) -> AsyncIterator[httpx.AsyncClient]:
    """The service started, and a client of its HTTP port."""
    task = asyncio.create_task(service.run(build))
    async with asyncio.timeout(10):
        while service.server is None or not service.server.port:
            assert not task.done()
            await asyncio.sleep(0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.server.port}") as client:
        yield client
    service.end()
    assert await task == 0


async def test_what_is_first_waits_for_what_it_needs_and_the_rest_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "PAUSE_S", 0.01)
    is_there, diary = asyncio.Event(), Diary()

    async def begin() -> None:
        if not is_there.is_set():
            raise Transient("the database is away")

    async def build(service: Service) -> None:
        service.part("bus", run=diary.run("bus"))
        service.first("tables", begin)
        service.part("jobs", run=diary.run("jobs"))
        service.serve(FastAPI(), "127.0.0.1", 0)

    service = new_service()
    async with running(service, build) as client:
        waiting = await told(client, "tables", "the database is away")
        assert (await client.get("/health/live")).status_code == 200
        assert (waiting.status_code, waiting.json()["parts"]["bus"]) == (503, {"ok": True})
        refused = await client.get("/anything")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert diary.lines == ["bus runs"]
        is_there.set()
        while (await client.get("/health/ready")).status_code == 503:
            await asyncio.sleep(0)
        assert diary.lines == ["bus runs", "jobs runs"]
        assert (await client.get("/anything")).status_code == 404


async def told(client: httpx.AsyncClient, part: str, detail: str) -> httpx.Response:
    """Readiness, once it says so of a part."""
    async with asyncio.timeout(10):
        while True:
            report = await client.get("/health/ready")
            if report.json()["parts"][part].get("detail") == detail:
                return report


async def test_what_is_first_and_fails_for_good_ends_the_service() -> None:
    async def build(service: Service) -> None:
        async def begin() -> None:
            raise Permanent("these are not our tables")

        service.first("tables", begin)

    assert await asyncio.wait_for(new_service().run(build), 10) == 1


async def test_parts_start_in_order_and_stop_in_reverse() -> None:
    diary = Diary()

    async def build(service: Service) -> None:
        service.part("ledger", stop=diary.stop("ledger"))
        service.part("bus", run=diary.run("bus"), stop=diary.stop("bus"))
        service.part("jobs", run=diary.run("jobs"))

    async with running(new_service(), build):
        assert diary.lines == ["bus runs", "jobs runs"]
    assert diary.lines == ["bus runs", "jobs runs", "jobs ended", "bus ended", "bus closed", "ledger closed"]


async def test_readiness_tells_the_state_of_every_part() -> None:
    answer: dict[str, Any] = {"rows": 3}
    trouble: list[Exception] = []

    async def check() -> dict[str, Any]:
        if trouble:
            raise trouble[0]
        return answer

    async def build(service: Service) -> None:
        service.part("ledger", check=check)
        service.part("bus", run=Diary().run("bus"))

    async with running(new_service(), build) as client:
        ready = await client.get("/health/ready")
        assert ready.status_code == 200
        assert ready.json() == {
            "service": "try",
            "ready": True,
            "parts": {"health": {"ok": True}, "ledger": {"ok": True, "detail": {"rows": 3}}, "bus": {"ok": True}},
        }
        trouble.append(Transient("cannot reach postgresql://caudal:geheim@db/caudal"))
        red = await client.get("/health/ready")
        assert red.status_code == 503
        assert red.json()["parts"]["ledger"] == {
            "ok": False,
            "detail": "cannot reach postgresql://caudal:***@db/caudal",
        }
        assert red.json()["parts"]["bus"] == {"ok": True}
        assert (await client.get("/health/live")).status_code == 200
        trouble.clear()
        assert (await client.get("/health/ready")).status_code == 200


async def test_check_that_hangs_is_red_and_holds_nobody_up() -> None:
    async def build(service: Service) -> None:
        service.part("frozen", check=asyncio.Event().wait)

    async with running(new_service(), build) as client:
        answers = await asyncio.gather(*(client.get("/health/ready") for _ in range(5)))
        assert {answer.status_code for answer in answers} == {503}
        assert "no answer" in answers[0].json()["parts"]["frozen"]["detail"]


async def test_one_report_serves_everybody_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "REPORT_S", 60.0)
    asked: list[int] = []

    async def check() -> None:
        asked.append(1)

    async def build(service: Service) -> None:
        service.part("ledger", check=check)

    async with running(new_service(), build) as client:
        await asyncio.gather(*(client.get("/health/ready") for _ in range(20)))
    assert len(asked) == 1


async def test_failing_part_ends_the_service_in_order() -> None:
    diary = Diary()
    service = new_service()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError("surprise")

    async def build(service: Service) -> None:
        service.part("ledger", stop=diary.stop("ledger"))
        service.part("bus", run=diary.run("bus"))
        service.part("bad", run=fail)

    assert await service.run(build) == 1
    assert diary.lines == ["bus runs", "bus ended", "ledger closed"]
    assert service.registry.get_sample_value("caudal_part_failures_total", {"part": "bad"}) == 1


async def test_restartable_part_is_tried_again_and_red_meanwhile() -> None:
    service = new_service()
    runs: list[int] = []
    well = asyncio.Event()

    async def run() -> None:
        runs.append(1)
        if len(runs) < 4:
            raise Transient("not yet")
        well.set()
        await asyncio.Event().wait()

    async def build(service: Service) -> None:
        service.part("poller", run=run, restart=True)

    async with running(service, build) as client:
        red = (await client.get("/health/ready")).json()
        assert red["parts"]["poller"] == {"ok": False, "detail": "not yet"}
        async with asyncio.timeout(10):
            await well.wait()
        assert (await client.get("/health/ready")).json()["ready"]
    assert service.registry.get_sample_value("caudal_part_failures_total", {"part": "poller"}) == 3


async def test_part_that_has_nothing_more_to_do_may_end() -> None:
    async def build(service: Service) -> None:
        service.part("once", run=lambda: asyncio.sleep(0))

    async with running(new_service(), build) as client:
        assert (await client.get("/health/ready")).json()["ready"]


async def test_service_that_cannot_be_built_closes_what_it_opened() -> None:
    diary = Diary()

    async def build(service: Service) -> None:
        service.part("ledger", stop=diary.stop("ledger"))
        service.part("bus", run=diary.run("bus"))
        raise Transient("no broker")

    assert await new_service().run(build) == 1
    assert diary.lines == ["ledger closed"]


async def test_service_can_be_stopped_while_it_is_built() -> None:
    service = new_service()

    async def build(service: Service) -> None:
        service.end()
        await asyncio.Event().wait()

    async with asyncio.timeout(10):
        assert await service.run(build) == 0


async def test_part_that_does_not_stop_holds_up_no_other() -> None:
    diary = Diary()
    service = new_service()
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                diary.lines.append("stubborn heard")

    async def build(service: Service) -> None:
        service.part("ledger", stop=diary.stop("ledger"))
        service.part("stubborn", run=stubborn)
        service.part("hung", stop=asyncio.Event().wait)

    task = asyncio.create_task(service.run(build))
    await asyncio.sleep(0.05)
    service.end()
    async with asyncio.timeout(10):
        assert await task == 1
    assert diary.lines == ["stubborn heard", "ledger closed"]
    released.set()
    await asyncio.sleep(0)


async def test_taken_port_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    async def build(service: Service) -> None:
        service.serve(FastAPI(), "127.0.0.1", taken)

    async with running(new_service(), build_nothing) as client:
        taken = client.base_url.port or 0
        assert await new_service().run(build) == 1
    assert f"cannot listen on 127.0.0.1 port {taken}" in capsys.readouterr().out


async def build_nothing(service: Service) -> None:
    """A service without parts."""


async def test_metrics_are_those_of_this_service() -> None:
    first, second = new_service(), new_service()
    first.bus_metrics.published(3)
    async with running(first, build_nothing) as one, running(second, build_nothing) as other:
        assert "caudal_bus_published_total 3.0" in (await one.get("/metrics")).text
        assert "caudal_bus_published_total 0.0" in (await other.get("/metrics")).text
        assert "process_resident_memory_bytes" in (await other.get("/metrics")).text


async def test_application_of_its_own_carries_the_health_routes_too() -> None:
    app = FastAPI()

    @app.get("/metrics")
    def figures() -> dict[str, int]:
        return {"points_written": 0}

    @app.get("/{path:path}")
    def page(path: str) -> str:
        return "page"

    async def build(service: Service) -> None:
        service.serve(app, "127.0.0.1", 0, metrics_path="/metrics/prometheus")

    async with running(new_service(), build) as client:
        assert (await client.get("/health/ready")).json()["ready"]
        assert (await client.get("/health/live")).json() == {"live": True}
        assert (await client.get("/metrics")).json() == {"points_written": 0}
        assert "caudal_bus_published_total" in (await client.get("/metrics/prometheus")).text
        assert (await client.get("/anything")).json() == "page"


def test_two_parts_cannot_have_one_name() -> None:
    async def build() -> None:
        service = new_service()
        service.part("bus")
        with pytest.raises(ValueError, match="'bus'"):
            service.part("bus")

    asyncio.run(build())
