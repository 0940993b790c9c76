"""Formats that vendors invent, expressed by a provider's entry alone: no code knows any of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.providers import provider_settings
from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.providers.answers import MAX_UNREADABLE
from caudal.ingest.adapters.providers.opening import open_client
from caudal.ingest.ports import Answered, Failed, NoData, Outcome, Question

NOW = datetime(2026, 3, 2, 14, tzinfo=UTC)
NINE, TEN = datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 2, 10, tzinfo=UTC)
START = datetime(2026, 3, 2, tzinfo=UTC)
BASE: dict[str, Any] = {"base_url": "https://api.example.com/v1", "path": "/d/{remote_id}", "paging": "none"}
BOTH = {"flow": "q", "level": "h"}

Say = Callable[[httpx.Request], Any]


async def history(
    connection: dict[str, Any],
    say: Say | Any,
    keys: dict[str, str] | None = None,
    authentication: dict[str, Any] | None = None,
    **secrets: str,
) -> list[Outcome]:
    """What a day of history comes to."""

    def answer(request: httpx.Request) -> httpx.Response:
        said = say(request) if callable(say) else say
        return httpx.Response(200, stream=httpx.ByteStream(msgspec.json.encode(said)))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        client = open_client("generic", BASE | connection, authentication or {}, secrets, http, FakeClock(NOW))
        question = Question(remote_id="7", keys=keys or BOTH, start=START, end=NOW)
        return [outcome async for outcome in client.history(question)]


def found(outcomes: list[Outcome]) -> list[tuple[datetime, dict[str, Any]]]:
    """Instants and values of readings."""
    readings = [reading for each in outcomes if isinstance(each, Answered) for reading in each.readings]
    return [(reading.measured_at, reading.values) for reading in readings]


async def test_columns_side_by_side_with_local_times() -> None:
    said = {
        "station": "7",
        "hourly": {"time": ["2026-03-02T06:00", "2026-03-02T07:00"], "q": ["12,5", None], "h": [3, 4]},
    }
    connection = {"readings": "hourly", "layout": "columns", "time": {"path": "time", "zone": "America/Santiago"}}
    outcomes = await history(connection, said)
    assert found(outcomes) == [(NINE, {"flow": "12,5", "level": 3}), (TEN, {"level": 4})]


async def test_columns_of_different_lengths_are_a_failure_and_no_shifted_rows() -> None:
    said = {"time": ["2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z"], "q": [1]}
    (outcome,) = await history({"layout": "columns", "time": {"path": "time"}}, said)
    assert isinstance(outcome, Failed)
    assert "different lengths" in outcome.reason


async def test_an_object_whose_keys_are_times() -> None:
    said = {"data": {str(int(NINE.timestamp())): {"q": 1.5, "h": "-"}, str(int(TEN.timestamp())): {"q": 0}}}
    connection = {"readings": "data", "layout": "keyed", "time": {"path": "key", "format": "epoch_s"}}
    keys = {"flow": "value.q", "level": "value.h"}
    assert found(await history(connection, said, keys)) == [(NINE, {"flow": 1.5, "level": "-"}), (TEN, {"flow": 0})]


async def test_an_object_of_variables_whose_keys_are_times() -> None:
    said = {"q": {"2026-03-02T09:00:00Z": 1, "2026-03-02T10:00:00Z": 2}, "h": {}}
    connection = {"form": "series", "layout": "keyed", "value": "value", "time": {"path": "key"}}
    assert found(await history(connection, said)) == [(NINE, {"flow": 1}), (TEN, {"flow": 2})]


async def test_rows_that_are_lists_themselves() -> None:
    said = {"columns": ["t", "q", "h"], "values": [[1772442000000, 1.5, 3], [1772445600000, None, 4]]}
    connection = {"readings": "values", "time": {"path": "[0]", "format": "epoch_ms"}}
    outcomes = await history(connection, said, {"flow": "[1]", "level": "[2]"})
    assert found(outcomes) == [(NINE, {"flow": 1.5, "level": 3}), (TEN, {"level": 4})]


async def test_a_list_of_series_that_name_themselves() -> None:
    points = [[1772442000, "1.5"], [1772445600, "1.6"]]
    said = {"series": [{"name": "it's q", "points": points}, {"name": "other", "points": [[1772442000, 9]]}]}
    connection = {
        "readings": "$.series[?@.name == '{key}'].points",
        "form": "entries",
        "value": "[1]",
        "time": {"path": "[0]", "format": "epoch_s"},
    }
    outcomes = await history(connection, said, {"flow": "it's q", "level": "h"})
    assert found(outcomes) == [(NINE, {"flow": "1.5"}), (TEN, {"flow": "1.6"})]
    (outcome,) = await history(connection, {"error": "no such device"}, {"flow": "it's q"})
    assert isinstance(outcome, Failed)


@pytest.mark.parametrize("link", ["?page=2", "/v1/d/7?page=2", "https://api.example.com/v1/d/7?page=2"])
async def test_pages_that_are_linked_to(link: str) -> None:
    asked: list[str] = []

    def say(request: httpx.Request) -> dict[str, Any]:
        asked.append(str(request.url))
        is_first = request.url.params.get("page") is None
        row = {"t": "2026-03-02T09:00:00Z" if is_first else "2026-03-02T10:00:00Z", "q": 1}
        return {"results": [row], "links": {"next": link if is_first else None}}

    connection = {
        "paging": "link", "cursor": "links.next", "readings": "results", "params": {"from": "{start}"},
        "headers": {"X-Tenant": "andes"}, "time": {"path": "t"},
    }  # fmt: skip
    outcomes = await history(connection, say, {"flow": "q"}, {"kind": "query", "secret": "key"}, key="the-key-7")
    assert found(outcomes) == [(NINE, {"flow": 1}), (TEN, {"flow": 1})]
    assert asked[1] == "https://api.example.com/v1/d/7?page=2&api_key=the-key-7"


@pytest.mark.parametrize(
    "link", ["https://elsewhere.example/v1", "http://api.example.com/v1", "//10.0.0.1/x", "http://["]
)
async def test_a_link_takes_our_secrets_nowhere_else(link: str) -> None:
    asked: list[str] = []

    def say(request: httpx.Request) -> dict[str, Any]:
        asked.append(request.url.host)
        return {"rows": [], "next": link}

    connection = {"paging": "link", "readings": "rows", "time": {"path": "t"}}
    (outcome,) = await history(connection, say, None, {"kind": "bearer"}, token="the-token")
    assert isinstance(outcome, Failed)
    assert not outcome.is_transient
    assert set(asked) == {"api.example.com"}


async def test_an_answer_that_says_it_is_none_is_a_failure_and_not_no_data() -> None:
    connection = {
        "readings": "data",
        "success": {"status": ["ok", True]},
        "message": "error.text",
        "time": {"path": "t"},
    }
    said = {"status": "error", "data": [], "error": {"text": "quota for the-token is used up"}}
    (outcome,) = await history(connection, said, None, {"kind": "bearer"}, token="the-token")
    assert isinstance(outcome, Failed)
    assert outcome.is_transient
    assert outcome.reason == "the answer's status is 'error': quota for ••• is used up"
    for status in ("ok", True):
        (outcome,) = await history(connection, {"status": status, "data": []})
        assert isinstance(outcome, NoData)
    (outcome,) = await history(connection, {"status": 1, "data": []})
    assert isinstance(outcome, Failed), "1 is not true"


async def test_a_token_whose_end_is_told_with_a_success_is_renewed_in_the_middle_of_a_page() -> None:
    tokens = iter(["first-token", "second-token"])

    def say(request: httpx.Request) -> dict[str, Any]:
        if request.method == "POST":
            return {"token": next(tokens)}
        is_old = request.headers["Authorization"] == "Bearer first-token"
        if request.url.params.get("page") == "2" and is_old:
            return {"ok": False, "message": "token expired", "rows": []}
        is_first = request.url.params["page"] == "1"
        rows = [{"t": f"2026-03-02T09:00:{second:02}Z", "q": second} for second in range(20)]
        return {"ok": True, "rows": rows if is_first else [{"t": "2026-03-02T10:00:00Z", "q": 1}]}

    connection = {
        "paging": "page", "params": {"page": "{page}"}, "page_rows": 20, "readings": "rows",
        "success": {"ok": [True]}, "time": {"path": "t"},
    }  # fmt: skip
    outcomes = await history(connection, say, {"flow": "q"}, {"kind": "login"}, username="me", password="the-word")
    assert len(found(outcomes)) == 21


async def test_thousands_of_rows_that_cannot_be_read_are_told_in_part_and_counted_in_full() -> None:
    rows = [{"t": f"yesterday {number}", "q": 1} for number in range(5_000)] + [{"t": "2026-03-02T09:00:00Z", "q": 1}]
    (outcome,) = await history({"time": {"path": "t"}}, rows, {"flow": "q"})
    assert isinstance(outcome, Answered)
    assert found([outcome]) == [(NINE, {"flow": 1})]
    assert len(outcome.unreadable) == MAX_UNREADABLE + 1
    assert outcome.unreadable[-1].reason == f"{5_000 - MAX_UNREADABLE} more rows cannot be read"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"headers": {"Authorization": "Bearer x"}}, "connection.headers.Authorization"),
        ({"headers": {"host": "x"}}, "connection.headers.host"),
        ({"headers": {"X-A": "a\nb"}}, "connection.headers.X-A"),
        ({"readings": "$.s['{key}']"}, "connection.readings"),
        ({"success": {"$.a[": [True]}}, "connection.success"),
        ({"layout": "rows"}, "connection.layout"),
        ({"paging": "links"}, "connection.paging"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        provider_settings("generic", BASE | {"time": {"path": "t"}} | change, {})
    assert refusal.value.field == field
