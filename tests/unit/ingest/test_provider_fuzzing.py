"""Whatever a provider answers, its client gives an outcome: nothing is raised, and nothing goes on for ever."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal.common.domain.provider_presets import PROVIDER_PRESETS
from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.providers.opening import open_client
from caudal.ingest.ports import Answered, Failed, NoData, Outcome, Question

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
SECRETS = dict.fromkeys(("token", "api_key", "username", "password"), "s3cr3t-of-the-house")

GENERIC: dict[str, Any] = {
    "base_url": "https://api.example.com",
    "path": "/{remote_id}",
    "params": {"from": "{start}", "to": "{end}", "size": "{limit}", "cursor": "{cursor}", "page": "{page}"},
    "readings": ["result", "$"],
    "time": {"path": ["time", "datetime", "ts"], "zone": "America/Santiago"},
}
CONFIGURATIONS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    name: (preset.api, preset.connection, preset.authentication) for name, preset in PROVIDER_PRESETS.items()
} | {
    f"{form}-{paging}": ("generic", {**GENERIC, "form": form, "paging": paging, "cursor": "message"}, {})
    for form, paging in (("rows", "cursor"), ("entries", "time"), ("series", "page"))
}

moments = st.sampled_from([0, 1, 60, 3600]).map(lambda ago: NOW - timedelta(seconds=ago))
times = (
    moments.map(lambda at: at.isoformat())
    | moments.map(lambda at: int(at.timestamp() * 1000))
    | st.sampled_from(["", "ayer", "0001-01-01", "9999-12-31T23:59:59Z", 1e308, -1, 2**70, True, None, [], {}])
)
plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([1e400, 2**70, "\ud800", "q"])
)
values = plain | st.lists(plain, max_size=2) | st.dictionaries(st.sampled_from(["v", "q"]), plain, max_size=2)
names = ("variable", "key", "value", "time", "datetime", "ts", "q", "status")
items = st.fixed_dictionaries(
    {}, optional={name: times if name in ("time", "datetime", "ts") else values for name in names}
)
rows = st.lists(items | values, max_size=20) | items.map(lambda item: [item] * 40)
sound = st.builds(
    lambda at, value: {
        **dict.fromkeys(("variable", "key"), "q"),
        **dict.fromkeys(("time", "datetime"), at.isoformat()),
        **{"ts": int(at.timestamp() * 1000), "value": value, "q": value},
    },
    moments,
    values,
)
series = st.lists(sound | sound | items, min_size=1, max_size=20)
answers = (
    series
    | series.map(lambda rows: {"status": True, "result": rows, "q": rows, "message": None})
    | series.map(lambda rows: {"result": {"q": rows}, "q": rows})
    | rows
    | st.fixed_dictionaries({"status": values, "result": rows | values})
    | st.fixed_dictionaries({"q": rows | values}, optional={"message": values, "result": rows})
    | values
)


async def asked(name: str, answer: Any, status: int) -> list[Outcome]:
    """What a client makes of an API that gives the same answer to everything."""
    api, connection, authentication = CONFIGURATIONS[name]
    content = json.dumps(answer).encode("utf-8", "replace")

    def respond(request: httpx.Request) -> httpx.Response:
        login = b'{"token": "a-token-for-a-while"}'
        return httpx.Response(status, stream=httpx.ByteStream(login if request.method == "POST" else content))

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond), verify=False) as http:
        client = open_client(api, connection, authentication, SECRETS, http, FakeClock(NOW))
        question = Question(remote_id="well", keys={"flow": "q"}, start=NOW - timedelta(hours=2), end=NOW)
        return [await client.latest(question), *[page async for page in client.history(question)]]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_any_answer_becomes_an_outcome(name: str) -> None:
    @settings(max_examples=120, deadline=None)
    @given(answer=answers, status=st.sampled_from([200] * 8 + [204, 299, 301, 404, 418, 503]))
    def law(answer: Any, status: int) -> None:
        outcomes = asyncio.run(asked(name, answer, status))
        assert 2 <= len(outcomes) < 500
        for outcome in outcomes:
            assert isinstance(outcome, Answered | NoData | Failed)
            assert "s3cr3t" not in repr(outcome)
            for reading in outcome.readings if isinstance(outcome, Answered) else ():
                assert reading.measured_at.tzinfo is UTC
                assert all(value is not None for value in reading.values.values())
                assert msgspec.json.encode(reading)

    law()
