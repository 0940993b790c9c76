"""Requests wait for their host's turn, and the wait is not held against the host."""

import asyncio

from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.pacing import HostPace
from caudal.ingest.adapters.providers.http import open_http
from caudal.ingest.adapters.providers.opening import open_client
from caudal.ingest.ports import Answered, Question
from providers import faults
from providers.simulator import Simulator

ROW = b'{"status": true, "result": [{"variable": "q", "value": 1, "time": "2026-03-02T09:00:00Z"}]}'


async def test_waiting_for_a_turn_does_not_use_up_the_time_that_a_provider_has() -> None:
    pace = HostPace(10)
    with Simulator() as simulator:
        simulator.always = faults.body(ROW)
        async with open_http(["127.0.0.0/8"]) as http:
            connection = {"base_url": simulator.url, "timeout_s": 0.5}
            client = open_client("tago", connection, {}, {}, http, FakeClock(), pace=pace.wait)
            asked = [client.latest(Question(remote_id="well", keys={"flow": "q"})) for _ in range(18)]
            outcomes = await asyncio.gather(*asked)
    assert all(isinstance(outcome, Answered) for outcome in outcomes)


async def test_each_host_has_a_turn_of_its_own() -> None:
    pace = HostPace(1)
    await pace.wait("a.example")
    second = asyncio.create_task(pace.wait("a.example"))
    await asyncio.wait_for(pace.wait("b.example"), 0.5)
    assert not second.done()
    second.cancel()
    await asyncio.wait([second])


async def test_a_provider_that_allows_fewer_requests_waits_and_its_neighbour_on_the_host_does_not() -> None:
    pace = HostPace(100)
    await pace.wait("a.example", 0.01)
    second = asyncio.create_task(pace.wait("a.example", 0.01))
    for _ in range(20):
        await pace.wait("a.example")
        await asyncio.sleep(0)
    assert not second.done()
    second.cancel()
    await asyncio.wait([second])


async def test_how_much_a_provider_allows_is_heeded_with_every_request() -> None:
    seen: list[tuple[str, float | None]] = []

    async def pace(host: str, most: float | None) -> None:
        seen.append((host, most))

    with Simulator() as simulator:
        simulator.always = faults.body(ROW)
        async with open_http(["127.0.0.0/8"]) as http:
            for more in ({"requests_per_s": 2}, {}):
                client = open_client("tago", {"base_url": simulator.url} | more, {}, {}, http, FakeClock(), pace=pace)
                await client.latest(Question(remote_id="well", keys={"flow": "q", "level": "n"}))
    assert [most for _, most in seen] == [2, 2, None, None]
