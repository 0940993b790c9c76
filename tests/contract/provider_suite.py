"""All promises of a `ProviderClient`: a test class per kind of API inherits them and lists its providers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import ClassVar

import httpx
import pytest

from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.providers.exchange import LOGINS
from caudal.ingest.adapters.providers.http import open_http
from caudal.ingest.ports import Answered, Failed, ProviderClient
from contract.provider_bench import NOW, START, before, fill, values_in
from contract.provider_laws_of_answers import AnswerLaws
from contract.provider_laws_of_failures import FailureLaws
from providers import faults
from providers.cases import Case, Open
from providers.simulator import Simulator


class ProviderSuite(AnswerLaws, FailureLaws):
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
        expected = fill(case, rows=60)
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

    async def test_answers_that_no_login_mends_cause_a_few_logins_and_no_more(
        self, case: Case, client: ProviderClient, clock: FakeClock
    ) -> None:
        case.put("total", before(minutes=10), 1)
        assert isinstance(await client.latest(case.question()), Answered)
        case.simulator.refuses_all = True
        case.simulator.expire_tokens()
        for _ in range(20):
            assert isinstance(await client.latest(case.question()), Failed)
        assert case.simulator.logins == LOGINS
        case.simulator.refuses_all = False
        clock.advance(minutes=1)
        assert isinstance(await client.latest(case.question()), Answered)

    async def test_a_token_that_is_forbidden_all_at_once_is_renewed(self, case: Case, client: ProviderClient) -> None:
        case.put("total", before(minutes=10), 1)
        await client.latest(case.question())
        case.simulator.faults.append(faults.body(b"{}", status=403))
        assert isinstance(await client.latest(case.question()), Answered)
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
