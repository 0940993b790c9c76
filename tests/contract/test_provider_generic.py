"""Clients of APIs that are described keep the promises of provider clients."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import msgspec
import pytest

from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.providers.http import open_http
from caudal.ingest.ports import Answered, Failed, Question
from contract.provider_bench import NOW, START, pages_of, readings_in, values_in
from contract.provider_suite import LoginSuite, ProviderSuite
from providers import cases, faults
from providers.plain import Plain


class TestGenericWithLogin(LoginSuite):
    opens: ClassVar[dict[str, cases.Open]] = {"nettra": cases.nettra, "rows": cases.plain()}


class TestGenericByPages(ProviderSuite):
    opens: ClassVar[dict[str, cases.Open]] = {
        "cursor": cases.plain("entries", "cursor", kind="bearer"),
        "offset": cases.plain("rows", "offset", ("epoch_ms", "epoch_ms"), newest_first=False, kind="basic"),
    }


class TestGenericInTheirOwnTime(ProviderSuite):
    opens: ClassVar[dict[str, cases.Open]] = {
        "series": cases.plain("series", "time", ("epoch_s", "epoch_s"), newest_first=False, kind="query"),
        "naive": cases.plain("entries", "time", ("naive", "day_first"), "America/Santiago", kind="bearer"),
    }


@pytest.mark.parametrize("writes", ["rfc3339", "naive", "day_first", "epoch_s", "epoch_ms", "tdatetime"])
@pytest.mark.parametrize("zone", ["UTC", "America/Santiago", "Pacific/Chatham"])
async def test_times_come_out_in_utc_however_they_are_written(writes: str, zone: str) -> None:
    reads = "rfc3339" if writes == "tdatetime" else writes
    async with open_http(["127.0.0.0/8"]) as http:
        with ExitStack() as stack:
            case = cases.plain("rows", "page", (writes, reads), zone)(stack)
            for minute in range(40):
                case.put("total", START + timedelta(minutes=minute), minute)
            pages = await pages_of(case.client(http, FakeClock(NOW), page_rows=15), case.question(start=START, end=NOW))
    assert values_in(pages) == {(START + timedelta(minutes=minute), "total", minute) for minute in range(40)}


@pytest.mark.parametrize("newest_first", [True, False])
async def test_the_night_when_clocks_go_back_comes_whole(newest_first: bool) -> None:
    """On 2026-04-05 at 00:00 clocks in Santiago go back to 23:00: the API cannot say which 23:30 it means."""
    midnight = datetime(2026, 4, 5, 3, 0, tzinfo=UTC)
    async with open_http(["127.0.0.0/8"]) as http:
        with ExitStack() as stack:
            opened = cases.plain("entries", "time", ("rfc3339", "naive"), "America/Santiago", newest_first)
            case = opened(stack)
            instants = [midnight + timedelta(minutes=minute) for minute in range(-180, 180, 4)]
            for at in instants:
                case.put("total", at, 1)
            client = case.client(http, FakeClock(NOW + timedelta(days=60)), page_rows=16)
            for cut in range(-90, 120, 30):
                border = midnight + timedelta(minutes=cut)
                pages = await pages_of(client, case.question(start=instants[0], end=border))
                pages += await pages_of(client, case.question(start=border, end=midnight + timedelta(hours=4)))
                assert [reading.measured_at for reading in readings_in(pages)] == instants, cut


async def test_a_local_time_that_exists_twice_is_told_and_not_guessed() -> None:
    async with open_http(["127.0.0.0/8"]) as http:
        with ExitStack() as stack:
            case = cases.plain("rows", "page", ("naive", "naive"), "America/Santiago")(stack)
            case.connection["time"] = {"path": "when", "format": "%Y-%m-%d %H:%M:%S"}
            case.put("total", datetime(2026, 4, 5, 3, 30, tzinfo=UTC), 1)
            case.put("total", datetime(2026, 4, 5, 5, 30, tzinfo=UTC), 2)
            start = datetime(2026, 4, 5, tzinfo=UTC)
            client = case.client(http, FakeClock(NOW + timedelta(days=60)))
            (page,) = await pages_of(client, case.question(start=start, end=start + timedelta(hours=12)))
    assert isinstance(page, Answered)
    assert [reading.values for reading in page.readings] == [{"total": 2}]
    assert "exists twice" in page.unreadable[0].reason


async def test_an_api_that_does_not_turn_the_page_is_a_failure_and_not_the_end() -> None:
    async with open_http(["127.0.0.0/8"]) as http:
        with ExitStack() as stack:
            case = cases.plain("entries", "page")(stack)
            assert isinstance(case.simulator, Plain)
            case.simulator.paging = "time"
            for minute in range(60):
                case.put("total", START + timedelta(minutes=minute), minute)
            pages = await pages_of(case.client(http, FakeClock(NOW), page_rows=20), case.question(start=START, end=NOW))
    assert isinstance(pages[-1], Failed)
    assert "the same rows" in pages[-1].reason


async def test_an_api_that_does_not_heed_times_is_a_failure_and_not_the_end() -> None:
    async with open_http(["127.0.0.0/8"]) as http:
        with ExitStack() as stack:
            case = cases.plain("entries", "time")(stack)
            del case.connection["params"]["to"]
            with pytest.raises(ValueError, match=r"holds no \{end\}"):
                case.client(http, FakeClock(NOW))
            case.connection["params"]["cursor"] = "{end}"
            for second in range(1200):
                case.put("total", START + timedelta(seconds=second), second)
            pages = await pages_of(
                case.client(http, FakeClock(NOW), page_rows=100), case.question(start=START, end=NOW)
            )
    assert isinstance(pages[-1], Failed)


async def test_an_api_that_gives_the_newest_rows_for_ever_is_a_failure_and_no_gap() -> None:
    newest = [{"t": int((NOW - timedelta(minutes=minute)).timestamp()), "q": minute} for minute in range(100)]
    async with open_http(["127.0.0.0/8"]) as http:
        with ExitStack() as stack:
            case = cases.plain("rows", "time", ("epoch_s", "epoch_s"), kind="bearer")(stack)
            case.simulator.always = faults.body(msgspec.json.encode({"rows": newest}))
            case.connection |= {"readings": "rows", "time": {"path": "t", "format": "epoch_s"}, "success": {}}
            client, keys = case.client(http, FakeClock(NOW)), {"flow": "q"}
            late = await pages_of(client, Question(remote_id="d", keys=keys, start=NOW - timedelta(days=9), end=NOW))
            near = await pages_of(client, Question(remote_id="d", keys=keys, start=NOW - timedelta(hours=1), end=NOW))
    (failure,) = late
    assert isinstance(failure, Failed)
    assert "when asked for another time" in failure.reason
    assert len(readings_in(near)) == 60


async def test_rows_that_are_missing_altogether_are_a_failure() -> None:
    async with open_http(["127.0.0.0/8"]) as http:
        with ExitStack() as stack:
            case = cases.plain()(stack)
            case.simulator.faults.extend([None, faults.body(b'{"status": "ok"}')])
            outcome = await case.client(http, FakeClock(NOW)).latest(case.question())
    assert isinstance(outcome, Failed)
    assert "data.items" in outcome.reason
