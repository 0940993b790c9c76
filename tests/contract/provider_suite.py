"""All promises of a `ProviderClient`: a test class per kind of API inherits them and lists its providers."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import httpx
import pytest

from caudal.common.domain.payloads.mapping import mapping_from
from caudal.common.domain.payloads.reader import Reader
from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.providers.http import open_http
from caudal.ingest.ports import Answered, Failed, NoData, Outcome, ProviderClient, Question, RemoteReading
from providers import faults
from providers.cases import PLAIN_SECRET, SECRET, Case, Open
from providers.simulator import Simulator

NOW = datetime(2026, 3, 5, 14, 0, tzinfo=UTC)
START = NOW - timedelta(days=3)


BROKEN: list[tuple[str, faults.Fault]] = [
    ("is no JSON", faults.broken_json),
    ("text/html instead of JSON", faults.html_page),
    ("instead of JSON", faults.empty_body),
    ("instead of JSON", faults.body(b'"hello"')),
    ("500: ", faults.server_error),
    ("502: ", faults.bad_gateway),
    ("breaks off", faults.cut),
    ("breaks off", faults.dead),
    ("compression", faults.broken_gzip),
    ("compression", faults.half_zipped),
    ("compression", faults.strange_coding),
    ("", faults.body(b"[1, 2]")),
    ("", faults.body(b'{"tot": 7, "q": 7, "n": 7}')),
    ("", faults.body(b"[" * 100_000)),
]
"""What the reason says, and what spoils the answer."""

PAUSES: dict[str | None, float | None] = {
    "7": 7.0,
    "Thu, 05 Mar 2026 14:02:00 GMT": 120.0,
    "Thu, 05 Mar 2026 13:00:00 GMT": 0.0,
    "9" * 11: 86_400.0,
    "soon": None,
    "-3": None,
    None: None,
}
"""Retry-After → seconds."""


def before(**ago: float) -> datetime:
    """So long before now."""
    return NOW - timedelta(**ago)


async def pages_of(client: ProviderClient, question: Question) -> list[Outcome]:
    """A whole history."""
    return [page async for page in client.history(question)]


def readings_in(pages: list[Outcome]) -> list[RemoteReading]:
    """What was read, in order."""
    return [reading for page in pages if isinstance(page, Answered) for reading in page.readings]


def values_in(pages: list[Outcome]) -> set[tuple[datetime, str, object]]:
    """(instant, variable, value) of all that was read."""
    return {
        (reading.measured_at, code, value) for reading in readings_in(pages) for code, value in reading.values.items()
    }


class ProviderSuite:
    """What every client of a provider promises."""

    opens: ClassVar[dict[str, Open]]
    """Provider → how its stand-in is opened."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "provider" in metafunc.fixturenames:
            metafunc.parametrize("provider", list(self.opens))

    @pytest.fixture
    def case(self, provider: str) -> Iterator[Case]:
        """A provider with nothing in it."""
        with ExitStack() as stack:
            yield self.opens[provider](stack)

    @pytest.fixture
    def simulator(self, case: Case) -> Simulator:
        """Its stand-in."""
        return case.simulator

    @pytest.fixture
    def clock(self) -> FakeClock:
        """What time it is."""
        return FakeClock(NOW)

    @pytest.fixture
    async def http(self) -> AsyncIterator[httpx.AsyncClient]:
        """What carries the requests."""
        async with open_http(["127.0.0.0/8"]) as client:
            yield client

    @pytest.fixture
    def client(self, case: Case, http: httpx.AsyncClient, clock: FakeClock) -> ProviderClient:
        """The client under test."""
        return case.client(http, clock)

    # ---------------------------------------------------------------- latest

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
        expected = self._fill(case, rows=60)
        client = case.client(http, clock, page_rows=16)
        pages = await pages_of(client, case.question(start=START, end=NOW))
        assert values_in(pages) == expected
        assert len(case.simulator.questions) > 4
        instants = [reading.measured_at for reading in readings_in(pages)]
        assert instants == sorted(instants)
        self._check_pages(pages, START, NOW)

    async def test_a_failure_in_the_middle_leaves_a_place_to_go_on_from(
        self, case: Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        expected = self._fill(case, rows=60)
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
        expected = self._fill(case, rows=40)
        if case.holds_ties:
            self._fill(case, rows=40)
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
        self._check_pages(pages, START, NOW)

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

    # ---------------------------------------------------------------- failures

    async def test_a_broken_answer_is_a_failure_that_may_pass(self, case: Case, client: ProviderClient) -> None:
        case.put("total", before(minutes=10), 0)
        for reason, fault in BROKEN:
            case.simulator.always = fault
            history = await pages_of(client, case.question(start=START, end=NOW))
            for outcome in (await client.latest(case.question()), *history):
                assert isinstance(outcome, Failed), (reason, outcome)
                assert outcome.is_transient
                assert reason in outcome.reason
        case.simulator.always = None
        assert isinstance(await client.latest(case.question()), Answered)

    async def test_a_huge_answer_is_refused(self, case: Case, client: ProviderClient) -> None:
        case.put("total", before(minutes=10), 1)
        for fault in (faults.huge, faults.zip_bomb):
            case.simulator.always = fault
            outcome = await client.latest(case.question())
            assert isinstance(outcome, Failed)
            assert "8 MiB" in outcome.reason

    async def test_slow_is_not_failed_and_silence_ends_in_time(
        self, case: Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        case.put("total", before(minutes=10), 1)
        case.simulator.faults.append(faults.slow(0.15))
        assert isinstance(await case.client(http, clock).latest(case.question()), Answered)
        for fault in (faults.hanging, faults.slow(30)):
            case.simulator.always = fault
            outcome = await case.client(http, clock, timeout_s=0.2).latest(case.question())
            assert isinstance(outcome, Failed)
            assert outcome.is_transient
            assert "within 0.2 s" in outcome.reason

    async def test_a_compressed_answer_is_read(self, case: Case, client: ProviderClient) -> None:
        case.put("total", before(minutes=10), 1)
        case.simulator.always = faults.zipped
        assert isinstance(await client.latest(case.question()), Answered)

    async def test_a_provider_that_is_away_is_a_failure(
        self, case: Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        client = case.client(http, clock, base_url="http://127.0.0.1:1/v2")
        outcome = await client.latest(case.question())
        assert isinstance(outcome, Failed)
        assert outcome.is_transient
        assert "cannot be reached" in outcome.reason

    async def test_too_many_requests_hands_on_how_long_to_wait(self, case: Case, client: ProviderClient) -> None:
        for turn, (said, pause_s) in enumerate(PAUSES.items(), 1):
            case.simulator.always = faults.too_many(said)
            outcome = await client.latest(case.question())
            assert isinstance(outcome, Failed)
            assert outcome.is_transient
            assert outcome.retry_after_s == pause_s, said
            assert len(case.simulator.seen) == turn

    async def test_redirects_are_followed_at_home_only(
        self, case: Case, client: ProviderClient, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        case.put("total", before(minutes=10), 1)
        question = case.question("total")
        await client.latest(question)  # logged in, where that is needed
        case.simulator.faults.append(faults.redirect(case.simulator.seen[-1].target))
        assert isinstance(await client.latest(question), Answered)
        with Simulator() as elsewhere:
            for place in (elsewhere.url, f"//localhost:{elsewhere.port}/x", "https://127.0.0.1/"):
                case.simulator.faults.append(faults.redirect(place))
                outcome = await client.latest(question)
                assert isinstance(outcome, Failed), place
                assert not outcome.is_transient
            assert elsewhere.seen == []
        for nowhere in ("/round", "http://[::bad"):
            case.simulator.always = faults.redirect(nowhere, 307)
            assert isinstance(await client.latest(question), Failed)

    # ---------------------------------------------------------------- credentials

    async def test_wrong_credentials_are_permanent_and_tried_no_more_than_once(
        self, case: Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        case.put("total", before(minutes=10), 1)
        wrong = {name: f"wrong-{name}-value" for name in case.secrets}
        outcome = await case.client(http, clock, secrets=wrong).latest(case.question())
        assert isinstance(outcome, Failed)
        assert not outcome.is_transient
        assert "credentials" in outcome.reason
        assert len(case.simulator.seen) == 1
        assert "wrong-token" not in repr(outcome)
        assert "wrong-password" not in repr(outcome)
        assert "wrong-api_key" not in repr(outcome)

    async def test_secrets_that_are_missing_or_cannot_be_sent_are_told_without_asking(
        self, case: Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        outcome = await case.client(http, clock, secrets={}).latest(case.question())
        assert isinstance(outcome, Failed)
        assert not outcome.is_transient
        assert "is not set" in outcome.reason
        assert case.simulator.seen == []
        for strange in ("\ud800 half", "new\nline", "\0"):
            client = case.client(http, clock, secrets=dict.fromkeys(case.secrets, strange))
            outcome = await client.latest(case.question())
            assert isinstance(outcome, Failed)
            assert not outcome.is_transient
            assert strange not in repr(outcome)

    async def test_any_name_over_there_can_be_asked_for(self, case: Case, client: ProviderClient) -> None:
        case.put("total", before(minutes=10), 1)
        names = ("a/../b", "..", "", "x?y=1#z&w", "ñandú 7", "%2e%2e", "\0", "\r\nX: 1", "\ud800", "k" * 2000)
        for name in names:
            outcome = await client.latest(Question(remote_id=name, keys={"total": name}))
            assert isinstance(outcome, Failed | NoData | Answered)
        assert all("X" not in seen.headers for seen in case.simulator.seen)

    async def test_nothing_secret_is_in_any_outcome_log_or_repr(
        self, case: Case, client: ProviderClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        case.put("total", before(minutes=10), 1)
        echo = json.dumps({"status": False, "message": "no", "said": [*case.secrets.values()]}).encode()
        told: list[object] = [client, vars(client)]
        for fault in (
            None,
            faults.body(echo, status=500),
            faults.body(echo, status=400),
            faults.body(echo + b" " * 3),
            faults.body(f"<p>{' '.join(case.secrets.values())}".encode(), "text/html"),
            faults.redirect("http://elsewhere.example/" + "/".join(case.secrets.values()).replace(" ", "%20")),
            faults.dead,
        ):
            case.simulator.always = fault
            told.append(await client.latest(case.question()))
            told.extend(await pages_of(client, case.question(start=START, end=NOW)))
        text = repr(told) + caplog.text
        assert len(told) > 10
        for name, secret in case.secrets.items():
            if name != "username":
                for form in (secret, json.dumps(secret)[1:-1], httpx.URL("http://x", params={"a": secret}).query[2:]):
                    assert (form if isinstance(form, str) else form.decode()) not in text
        for issued in ("session-token-0", "eyJhbGciOi", "opaque-token-0"):
            assert issued not in text
        assert SECRET not in text
        assert PLAIN_SECRET not in text

    # ---------------------------------------------------------------- how it is done

    def _fill(self, case: Case, rows: int) -> set[tuple[datetime, str, object]]:
        """`rows` readings from START to NOW, some without all variables."""
        step = (NOW - START) / rows
        expected = set()
        for number in range(rows):
            at = START + number * timedelta(seconds=int(step.total_seconds()))
            values = {"total": 1000 + number, "flow": 0.5 * (number % 3)} | ({"level": 30} if number % 4 else {})
            for code, value in values.items():
                case.put(code, at, value)
                expected.add((at, code, case.given(value)))
        return expected

    def _check_pages(self, pages: list[Outcome], start: datetime, end: datetime) -> None:
        """See that each page keeps what it says about being complete."""
        known = start
        for page in pages:
            assert not isinstance(page, Failed)
            assert page.complete_until is not None
            assert page.complete_until > known
            for reading in readings_in([page]):
                assert known <= reading.measured_at < page.complete_until
            known = page.complete_until
        assert known == end


class LoginSuite(ProviderSuite):
    """What clients promise that have to log in."""

    async def test_one_login_serves_many_questions_at_once(self, case: Case, client: ProviderClient) -> None:
        case.put("total", before(minutes=10), 1)
        answers = await asyncio.gather(*(client.latest(case.question()) for _ in range(20)))
        assert all(isinstance(answer, Answered) for answer in answers)
        case.simulator.expire_tokens()
        answers = await asyncio.gather(*(client.latest(case.question()) for _ in range(20)))
        assert all(isinstance(answer, Answered) for answer in answers)
        assert case.simulator.logins == 2

    async def test_a_token_that_expires_midway_is_renewed_once(
        self, case: Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        expected = self._fill(case, rows=60)
        client = case.client(http, clock, page_rows=16, span_hours=12)
        pages = []
        async for page in client.history(case.question(start=START, end=NOW)):
            if len(pages) == 1:
                case.simulator.expire_tokens()
            pages.append(page)
        assert values_in(pages) == expected
        assert case.simulator.logins == 2

    async def test_a_token_that_is_refused_at_once_ends_the_attempt(self, case: Case, client: ProviderClient) -> None:
        case.put("total", before(minutes=10), 1)
        case.simulator.refuses_all = True
        outcome = await client.latest(case.question())
        assert isinstance(outcome, Failed)
        assert not outcome.is_transient
        assert case.simulator.logins == 2

    async def test_a_refused_login_is_left_alone_for_a_while(
        self, case: Case, http: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        client = case.client(http, clock, secrets={"username": "operador", "password": "not the word"})
        for _ in range(5):
            outcome = await client.latest(case.question())
            assert isinstance(outcome, Failed)
            assert outcome.reason.startswith("login: ")
            assert "not the word" not in repr(outcome)
        assert len(case.simulator.seen) == 1
        clock.advance(minutes=6)
        await client.latest(case.question())
        assert len(case.simulator.seen) == 2

    async def test_a_login_that_fails_is_tried_again_by_the_next_question(
        self, case: Case, client: ProviderClient
    ) -> None:
        case.put("total", before(minutes=10), 1)
        case.simulator.faults.extend([faults.bad_gateway])
        outcome = await client.latest(case.question())
        assert isinstance(outcome, Failed)
        assert outcome.is_transient
        assert isinstance(await client.latest(case.question()), Answered)
