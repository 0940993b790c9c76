"""What each kind of API answered once is read in the same way for ever."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from caudal.common.domain.provider_presets import PROVIDER_PRESETS
from caudal.common.domain.providers import ProviderApi
from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.providers.opening import open_client
from caudal.ingest.ports import Answered, Failed, NoData, Outcome, Question

PAYLOADS = Path(__file__).parents[1] / "payloads"
START = datetime(2026, 3, 2, tzinfo=UTC)
SECRETS = {"token": "a-token", "api_key": "a-key"}

ROWS = {
    "base_url": "https://api.example.com",
    "path": "/puntos/{remote_id}",
    "params": {"desde": "{start}", "hasta": "{end}", "cursor": "{cursor}"},
    "readings": "data.items",
    "paging": "cursor",
    "time": {"path": "fecha", "format": "%d-%m-%Y %H:%M:%S", "zone": "America/Santiago"},
}
ENTRIES = {
    "base_url": "https://api.example.com",
    "path": "/puntos/{remote_id}",
    "form": "entries",
    "variable": "tag",
    "value": "reading.v",
    "paging": "none",
    "time": {"path": "at", "format": "tdatetime", "zone": "UTC"},
}


async def asked(name: str, api: str, keys: dict[str, str], status: int = 200, **fields: Any) -> Outcome:
    """The first page of a history whose answer is in a file."""
    content = (PAYLOADS / f"{name}.json").read_bytes()
    connection = fields.get("connection", {"base_url": "https://api.example.com"})
    authentication = fields.get("authentication", {})
    transport = httpx.MockTransport(lambda request: httpx.Response(status, stream=httpx.ByteStream(content)))
    async with httpx.AsyncClient(transport=transport) as http:
        client = open_client(api, connection, authentication, SECRETS, http, FakeClock(START.replace(hour=12)))
        history = client.history(Question(remote_id="well", keys=keys, start=START))
        return await anext(history)


def minutes(outcome: Outcome) -> dict[str, Any]:
    """Time of day → values."""
    assert isinstance(outcome, Answered), outcome
    return {reading.measured_at.strftime("%H:%M"): reading.values for reading in outcome.readings}


async def test_tago() -> None:
    found = await asked("tago", "tago", {"total": "3grecdi1va"}, authentication={"kind": "header"})
    assert minutes(found) == {"09:50": {"total": False}, "10:00": {"total": "184230"}, "10:05": {"total": 184231}}


async def test_values_that_nothing_can_carry_are_told_and_cost_no_other() -> None:
    found = await asked("tago-odd-values", "tago", {"flow": "q"})
    assert minutes(found) == {"10:00": {"flow": 12.5}}
    assert isinstance(found, Answered)
    assert len(found.unreadable) == 5
    assert msgspec.json.decode(msgspec.json.encode(found), type=Answered) == found


async def test_thethings() -> None:
    found = await asked("thethings", "thethings", {"level": "level"}, authentication={"kind": "path_token"})
    assert minutes(found) == {"09:55": {"level": 0}, "10:00": {"level": 31.12}, "10:05": {"level": "31,07"}}


async def test_thingsboard() -> None:
    found = await asked("thingsboard", "thingsboard", {"total": "5003", "flow": "5010", "pump": "5020"})
    assert minutes(found) == {
        "10:00": {"total": "184230"},
        "10:05": {"total": "184231", "flow": "0.0", "pump": "true"},
    }


async def test_generic_rows() -> None:
    keys = {"flow": "valores.caudal", "total": "valores.totalizador", "pump": "valores.bomba"}
    found = await asked("generic-rows", "generic", keys, connection=ROWS)
    assert minutes(found) == {
        "10:00": {"flow": "0,00", "total": 184230},
        "10:05": {"flow": "12,50", "total": 184231, "pump": True},
    }


async def test_generic_entries() -> None:
    found = await asked("generic-entries", "generic", {"flow": "CAUDAL", "level": "NIVEL"}, connection=ENTRIES)
    assert minutes(found) == {"10:05": {"flow": 12.5, "level": "31.07"}}


@pytest.mark.parametrize(("name", "status"), [("tago", 200), ("tago", 401), ("thingsboard", 401)])
async def test_a_refusal_is_permanent(name: str, status: int) -> None:
    outcome = await asked(f"{name}-refusal", name, {"flow": "q"}, status)
    assert isinstance(outcome, Failed)
    assert not outcome.is_transient


async def test_a_resource_without_values_is_no_data() -> None:
    outcome = await asked("thethings-refusal", "thethings", {"q": "q"}, 404, authentication={"kind": "path_token"})
    assert isinstance(outcome, NoData)


def test_every_kind_of_api_and_every_preset_is_covered() -> None:
    for api in {*ProviderApi, *(preset.api for preset in PROVIDER_PRESETS.values())}:
        assert list(PAYLOADS.glob(f"{api}*.json")), api
