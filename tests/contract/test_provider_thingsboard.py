"""Clients of APIs in ThingsBoard's style keep the promises of provider clients."""

from typing import ClassVar

import httpx
import pytest

from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.providers.http import open_http
from caudal.ingest.ports import Failed
from contract.provider_bench import NOW
from contract.provider_suite import LoginSuite, ProviderSuite
from providers import cases
from providers.thingsboard import Thingsboard


class TestThingsboardWithKey(ProviderSuite):
    opens: ClassVar[dict[str, cases.Open]] = {"twin": cases.twin, "tdata": cases.tdata}

    async def test_a_device_that_is_unknown_is_a_failure_to_be_put_right(
        self, case: cases.Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        outcome = await case.client(http, clock).latest(case.question())
        assert isinstance(outcome, Failed)
        assert not outcome.is_transient
        assert "404" in outcome.reason


class TestThingsboardWithLogin(LoginSuite):
    opens: ClassVar[dict[str, cases.Open]] = {"tdata": cases.tdata_with_login}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("keys=q&startTs=0&endTs=1772000000000", 200),
        ("keys=q", 400),
        ("startTs=0&endTs=1", 400),
        ("keys=q&startTs=2&endTs=1", 400),
        ("keys=q&startTs=2026-03-02&endTs=1", 400),
        ("keys=q&startTs=0&endTs=1&orderBy=ASC", 400),
        ("keys=q&startTs=0&endTs=1&asc=1", 400),
        ("keys=q&startTs=0&endTs=1&limit=0", 400),
    ],
)
async def test_the_stand_in_is_strict(query: str, status: int) -> None:
    with Thingsboard("key") as simulator:
        simulator.put("well", "q", NOW, 1)
        address = f"{simulator.url}/telemetry/DEVICE/well/values/timeseries?{query}"
        async with open_http(["127.0.0.0/8"]) as http:
            assert (await http.get(address, headers={"X-API-Key": "key"})).status_code == status
            assert (await http.get(address)).status_code == 401
