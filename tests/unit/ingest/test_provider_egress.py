"""Requests to providers go nowhere but to the public internet and to networks that were named."""

from ipaddress import ip_address

import httpx
import pytest

from caudal.common.domain.errors import InvalidInput
from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.providers.egress import NotPublic, is_public, networks_from
from caudal.ingest.adapters.providers.http import open_http
from caudal.ingest.adapters.providers.opening import open_client
from caudal.ingest.ports import Failed, Outcome, Question
from providers import faults
from providers.simulator import Simulator


async def asked(base_url: str, *networks: str) -> Outcome:
    """What a provider at this address answers."""
    async with open_http(networks) as http:
        client = open_client("tago", {"base_url": base_url, "timeout_s": 2}, {}, {}, http, FakeClock())
        return await client.latest(Question(remote_id="well", keys={"flow": "q"}))


PRIVATE = """
    127.0.0.1 10.0.0.1 172.16.9.9 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1
    ::1 :: fe80::1 fc00::1 ff02::1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_addresses_of_our_own_are_not_public_however_they_are_wrapped(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433"])
async def test_a_provider_next_door_is_not_asked_unless_its_network_is_named(host: str) -> None:
    with Simulator() as simulator:
        outcome = await asked(f"http://{host}:{simulator.port}")
        assert isinstance(outcome, Failed)
        assert not outcome.is_transient
        assert "on no public network" in outcome.reason or "no such request" in outcome.reason
        assert simulator.seen == []


async def test_a_network_that_is_named_is_reached_by_name_and_number() -> None:
    with Simulator() as simulator:
        for host in ("127.0.0.1", "localhost"):
            outcome = await asked(f"http://{host}:{simulator.port}", "127.0.0.0/8", "::1/128")
            assert isinstance(outcome, Failed)
            assert "404" in outcome.reason
        assert len(simulator.seen) == 2


async def test_a_name_that_leads_nowhere_may_lead_somewhere_later() -> None:
    outcome = await asked("http://nobody.invalid")
    assert isinstance(outcome, Failed)
    assert outcome.is_transient


async def test_the_guard_stands_before_every_request() -> None:
    async with open_http([]) as http:
        with pytest.raises(httpx.ConnectError) as refusal:
            await http.get("http://127.0.0.1:9")
        assert isinstance(refusal.value.__cause__, NotPublic)


async def test_no_cookie_is_kept_from_one_provider_to_the_next() -> None:
    with Simulator() as simulator:
        simulator.always = faults.body(b"{}", Set_Cookie="session=1")
        async with open_http(["127.0.0.0/8"]) as http:
            for _ in range(2):
                await http.get(simulator.url)
            assert "Cookie" not in simulator.seen[-1].headers
            assert len(http.cookies) == 0


def test_a_network_that_is_none_is_told() -> None:
    with pytest.raises(InvalidInput, match="networks"):
        networks_from(["10.1.0.7/16"])
