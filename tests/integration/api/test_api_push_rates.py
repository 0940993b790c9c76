"""How often one may push: every key by itself, and an address for whoever cannot say who it is."""

import json
from pathlib import Path

import httpx

from caudal.gateway_api.domain.signatures import signature
from integration.api.house import NOW, ApiHouse, furnished

SECRET = "s3cr3t-that-nobody-reads"
SAID = json.dumps({"device": "meter-1", "measured_at": "2026-03-02T09:00:00Z", "values": {"flow": 1}}).encode()


async def pushed(api: ApiHouse, provider: str, times: int, **headers: str) -> list[httpx.Response]:
    """Answers to as many pushes, all from one address."""
    path = f"/api/telemetry/uplink/{provider}"
    return [await api.client.post(path, content=SAID, headers=headers) for _ in range(times)]


def signed(name: str) -> dict[str, str]:
    """Headers of a provider that signs."""
    seconds = str(int(NOW.timestamp()))
    said = signature(SECRET, name, seconds, SAID)
    return {"webhook-id": name, "webhook-timestamp": seconds, "webhook-signature": said}


async def test_a_key_that_pushes_too_often_waits_and_no_other_behind_its_address(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with furnished(sqlite_url, tmp_path, rate_limit_caller="9/minute", rate_limit_address="20/minute") as api:
        noisy, quiet = await api.add_provider("acme"), await api.add_provider("other")
        answers = await pushed(api, "acme", 30, **{"X-API-Key": noisy})
        assert [answer.status_code for answer in answers] == [202] * 9 + [429] * 21
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 61
        assert answers[-1].json()["error"]["code"] == "too_many_requests"
        assert [each.status_code for each in await pushed(api, "other", 5, **{"X-API-Key": quiet})] == [202] * 5
        assert len(api.bus.published) == 14


async def test_an_address_pays_for_pushes_of_nobody_known_and_they_wait(sqlite_url: str, tmp_path: Path) -> None:
    async with furnished(sqlite_url, tmp_path, rate_limit_address="20/minute") as api:
        await api.add_provider("acme")
        strangers = [
            *await pushed(api, "acme", 2),
            *await pushed(api, "acme", 2, **{"X-API-Key": "caudal_nobody"}),
            *await pushed(api, "acme", 20, **signed("m-1")),
        ]
        statuses = [answer.status_code for answer in strangers]
        assert (statuses[:4], statuses[-1]) == ([401] * 4, 429)
        assert int(strangers[-1].headers["retry-after"]) >= 1
        assert api.bus.published == []


async def test_a_provider_that_signs_has_a_rate_of_its_own(sqlite_url: str, tmp_path: Path) -> None:
    async with furnished(sqlite_url, tmp_path, rate_limit_caller="4/minute", rate_limit_address="60/minute") as api:
        entry = {"code": "acme", "credentials": {"webhook_secret": SECRET}}
        assert (await api.admin.post("/api/providers/", json=entry)).status_code == 201
        answers = [(await pushed(api, "acme", 1, **signed(f"m-{number}")))[0] for number in range(6)]
        assert [answer.status_code for answer in answers] == [202] * 4 + [429] * 2
        assert len(api.bus.published) == 4


async def test_a_device_with_a_key_of_its_own_stops_no_other_device(sqlite_url: str, tmp_path: Path) -> None:
    async with furnished(sqlite_url, tmp_path, rate_limit_caller="7/minute", rate_limit_address="12/minute") as api:
        bodies = [{"device": name, "permissions": ["telemetry:push"]} for name in ("meter-1", "meter-2")]
        keys = [(await api.admin.post("/api/api-keys/", json=body)).json()["key"] for body in bodies]
        said = {"measured_at": "2026-03-02T09:00:00Z", "values": {"flow": 1}}
        statuses = [
            (await api.client.post("/api/telemetry/uplink/", json=said, headers={"X-API-Key": key})).status_code
            for key in [keys[0]] * 12 + [keys[1]] * 2
        ]
        assert statuses == [202] * 7 + [429] * 5 + [202] * 2
