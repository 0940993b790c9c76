"""Clients of thethings.io keep the promises of provider clients."""

from datetime import timedelta
from typing import ClassVar

import httpx

from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.providers.http import open_http
from caudal.ingest.ports import NoData
from contract.provider_bench import NOW, START, pages_of, values_in
from contract.provider_suite import ProviderSuite
from providers import cases
from providers.thethings import MOST_LIMIT, Thethings


class TestThethings(ProviderSuite):
    opens: ClassVar[dict[str, cases.Open]] = {"thingsio": cases.thingsio}

    async def test_a_resource_that_is_not_there_yet_is_no_data(
        self, case: cases.Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        assert isinstance(await case.client(http, clock).latest(case.question("flow")), NoData)

    async def test_a_cap_below_what_is_asked_for_loses_nothing(
        self, case: cases.Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        for second in range(MOST_LIMIT + 300):
            case.put("total", START + timedelta(seconds=second), second)
        pages = await pages_of(case.client(http, clock, page_rows=5000), case.question(start=START, end=NOW))
        assert len(values_in(pages)) == MOST_LIMIT + 300


async def test_the_stand_in_is_strict() -> None:
    with Thethings() as simulator:
        simulator.tokens["token"] = "well"
        simulator.put("well", "q", NOW, 1)
        async with open_http(["127.0.0.0/8"]) as http:
            things = f"{simulator.url}/things"
            for path, status in (
                ("/token/resources/q", 200),
                ("/token/resources/other", 404),
                ("/another/resources/q", 401),
                ("/token/resources/q?startDate=2026-03-02T10:00:00", 400),
                ("/token/resources/q?limit=many", 400),
                ("/token/resources/q?cursor=1", 400),
            ):
                assert (await http.get(things + path)).status_code == status, path
