"""Clients of TagoIO keep the promises of provider clients."""

from typing import ClassVar

import httpx
import pytest

from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.providers.http import open_http
from caudal.ingest.ports import Failed
from contract.provider_bench import NOW
from contract.provider_suite import ProviderSuite
from providers import cases, faults
from providers.tago import Tago


class TestTago(ProviderSuite):
    opens: ClassVar[dict[str, cases.Open]] = {"tago": cases.tago, "novus": cases.novus}

    async def test_a_no_with_status_200_is_a_failure(
        self, case: cases.Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        assert isinstance(case.simulator, Tago)
        case.simulator.says_no_with_200 = True
        outcome = await case.client(http, clock, secrets={"token": "somebody-elses"}).latest(case.question())
        assert isinstance(outcome, Failed)
        assert not outcome.is_transient
        assert "Authorization denied" in outcome.reason

    async def test_a_no_that_is_not_about_us_may_pass(
        self, case: cases.Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        case.simulator.always = faults.body(b'{"status": false, "message": "Internal timeout"}')
        outcome = await case.client(http, clock).latest(case.question())
        assert isinstance(outcome, Failed)
        assert outcome.is_transient


@pytest.mark.parametrize("query", ["", "variable=q&qty=0", "variable=q&start_date=ayer", "variable=q&limit=3"])
async def test_the_stand_in_is_strict(query: str) -> None:
    with Tago() as simulator:
        simulator.tokens["token"] = "well"
        async with open_http(["127.0.0.0/8"]) as http:
            there = await http.get(f"{simulator.url}/data?{query}", headers={"Device-Token": "token"})
            assert there.status_code == 400
            assert there.json()["status"] is False
            assert (await http.post(f"{simulator.url}/data", headers={"Device-Token": "token"})).status_code == 405
            simulator.rows.clear()
            for minute in range(20):
                simulator.put("well", "q", NOW.replace(minute=minute), minute)
            whole = await http.get(f"{simulator.url}/data?variable=q", headers={"Device-Token": "token"})
            assert [item["value"] for item in whole.json()["result"]] == [*range(19, 4, -1)]
            rest = await http.get(f"{simulator.url}/data?variable=q&skip=15", headers={"Device-Token": "token"})
            assert [item["value"] for item in rest.json()["result"]] == [*range(4, -1, -1)]
