"""What clients of providers promise of what they are told."""

import json
from datetime import timedelta

import httpx

from caudal.common.domain.payloads.mapping import mapping_from
from caudal.common.domain.payloads.reader import Reader
from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.ports import Answered, Failed, NoData, ProviderClient
from contract.provider_bench import NOW, START, before, check_pages, fill, pages_of, readings_in, values_in
from providers import faults
from providers.cases import Case


class AnswerLaws:
    """Latest values, histories, and values as they are."""

    async def test_latest_gives_each_variable_with_its_own_time(self, case: Case, client: ProviderClient) -> None:
        for minutes, total in ((30, 100), (20, 110), (10, 120)):
            case.put("total", before(minutes=minutes), total)
        case.put("flow", before(minutes=10), 12.5)
        case.put("level", before(minutes=20), 31.07)
        outcome = await client.latest(case.question())
        assert isinstance(outcome, Answered), outcome
        assert [(reading.measured_at, reading.values) for reading in outcome.readings] == [
            (before(minutes=20), {"level": case.given(31.07)}),
            (before(minutes=10), {"total": case.given(120), "flow": case.given(12.5)}),
        ]
        assert "120" in outcome.raw or "12.5" in outcome.raw or "31.07" in outcome.raw
        assert json.loads(outcome.readings[0].payload)

    async def test_no_data_is_not_zero(self, case: Case, client: ProviderClient) -> None:
        case.put("flow", before(minutes=10), 0)
        case.put("total", before(minutes=10), None)
        outcome = await client.latest(case.question())
        assert isinstance(outcome, Answered), outcome
        assert [reading.values for reading in outcome.readings] == [{"flow": case.given(0)}]
        assert isinstance(await client.latest(case.question("level")), NoData)
        assert isinstance(await client.latest(case.question("total")), NoData)

    async def test_a_clock_ahead_is_told_as_it_is(self, case: Case, client: ProviderClient) -> None:
        case.put("total", before(minutes=-90), 7)
        outcome = await client.latest(case.question())
        assert isinstance(outcome, Answered), outcome
        assert [reading.measured_at for reading in outcome.readings] == [before(minutes=-90)]
        assert readings_in(await pages_of(client, case.question(start=START, end=before(hours=-9)))) == []

    # ---------------------------------------------------------------- history

    async def test_history_over_an_outage_comes_whole_and_in_order(
        self, case: Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        expected = fill(case, rows=60)
        client = case.client(http, clock, page_rows=16)
        pages = await pages_of(client, case.question(start=START, end=NOW))
        assert values_in(pages) == expected
        assert len(case.simulator.questions) > 4
        instants = [reading.measured_at for reading in readings_in(pages)]
        assert instants == sorted(instants)
        check_pages(pages, START, NOW)

    async def test_a_failure_in_the_middle_leaves_a_place_to_go_on_from(
        self, case: Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        expected = fill(case, rows=60)
        client = case.client(http, clock, page_rows=16, span_hours=12)
        whole = await pages_of(client, case.question(start=START, end=NOW))
        most = len(case.simulator.questions)
        for good in range(0, most, max(1, most // 4)):
            case.simulator.faults.extend([*[None] * good, faults.bad_gateway])
            pages = await pages_of(client, case.question(start=START, end=NOW))
            assert isinstance(pages[-1], Failed)
            assert pages[-1].is_transient
            cursors = [page.complete_until for page in pages if not isinstance(page, Failed)]
            cursor = next((cursor for cursor in reversed(cursors) if cursor), START)
            case.simulator.faults.clear()
            rest = await pages_of(client, case.question(start=cursor, end=NOW))
            assert values_in(pages) | values_in(rest) == expected == values_in(whole)

    async def test_readings_at_the_bounds_come_once(self, case: Case, client: ProviderClient) -> None:
        for minutes in (0, 10, 20, 30):
            case.put("total", START + timedelta(minutes=minutes), minutes)
        first = await pages_of(client, case.question(start=START, end=START + timedelta(minutes=20)))
        second = await pages_of(client, case.question(start=START + timedelta(minutes=20), end=NOW))
        found = [(reading.measured_at - START).seconds // 60 for reading in readings_in([*first, *second])]
        assert found == [0, 10, 20, 30]

    async def test_duplicates_come_once_and_disorder_is_put_in_order(
        self, case: Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        expected = fill(case, rows=40)
        if case.holds_ties:
            fill(case, rows=40)
        case.simulator.shuffles = True
        pages = await pages_of(case.client(http, clock, page_rows=16), case.question(start=START, end=NOW))
        found = readings_in(pages)
        assert values_in(pages) == expected
        assert len(found) == len({reading.measured_at for reading in found})

    async def test_values_that_share_an_instant_at_a_border_are_all_given(
        self, case: Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        values = range(3) if case.holds_ties else range(1)
        for minute in range(20):
            for value in values:
                case.put("total", START + timedelta(minutes=minute), minute * 10 + value)
        for rows in (1, 3, 7):
            pages = await pages_of(case.client(http, clock, page_rows=rows), case.question(start=START, end=NOW))
            found = {(at, value) for at, _, value in values_in(pages)}
            assert found == {
                (START + timedelta(minutes=minute), case.given(minute * 10 + value))
                for minute in range(20)
                for value in values
            }

    async def test_an_empty_history_is_no_data_and_lets_the_cursor_move(
        self, case: Case, client: ProviderClient
    ) -> None:
        case.put("total", before(days=40), 1)
        pages = await pages_of(client, case.question(start=START, end=NOW))
        assert pages
        assert all(isinstance(page, NoData) for page in pages)
        check_pages(pages, START, NOW)

    # ---------------------------------------------------------------- values

    async def test_values_come_as_they_were_given(self, case: Case, client: ProviderClient) -> None:
        given = [True, "1.234,5", "ON", 0, -3200, 12.25, "sin señal", ""]
        for minute, value in enumerate(given):
            case.put("total", START + timedelta(minutes=minute), value)
        found = [
            reading.values["total"]
            for reading in readings_in(await pages_of(client, case.question(start=START, end=NOW)))
        ]
        assert found == [case.given(value) for value in given]
        assert [type(value) for value in found] == [type(case.given(value)) for value in given]

    async def test_value_rules_of_a_mapping_make_numbers_of_them(self, case: Case, client: ProviderClient) -> None:
        case.put("total", START, "1.234,5")
        case.put("flow", START, True)
        (reading,) = readings_in(await pages_of(client, case.question(start=START, end=NOW)))
        payload = {"measured_at": reading.measured_at.isoformat(), "values": reading.values}
        rules = {"flow": {"path": "values.flow", "kind": "switch"}, "total": {"path": "values.total"}}
        mapping = {"preset": "caudal", "decimal": ",", "thousands": ".", "values": rules}
        (read,) = Reader(mapping_from(mapping)).read(payload, NOW).readings
        assert read.values == {"total": 1234.5, "flow": 1}

    async def test_a_row_that_cannot_be_read_is_told_and_costs_no_other(
        self, case: Case, client: ProviderClient
    ) -> None:
        case.put("total", START, 1)
        case.put("total", START + timedelta(minutes=1), 2, time_text="ayer")
        case.put("total", START + timedelta(minutes=2), 3)
        pages = await pages_of(client, case.question(start=START, end=NOW))
        assert [value for _, _, value in sorted(values_in(pages))] == [case.given(1), case.given(3)]
        (row,) = [row for page in pages if isinstance(page, Answered) for row in page.unreadable]
        assert "time" in row.reason
        assert "ayer" in row.payload
