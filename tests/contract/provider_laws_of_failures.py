"""What clients of providers promise when something goes wrong."""

import json
import logging

import httpx
import pytest

from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.ports import Answered, Failed, NoData, ProviderClient, Question
from contract.provider_bench import NOW, START, before, pages_of
from providers import faults
from providers.cases import PLAIN_SECRET, SECRET, Case
from providers.simulator import Simulator

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


class FailureLaws:
    """Broken answers, silence, refusals, and secrets that stay secret."""

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

    async def test_a_pause_is_told_by_the_providers_clock_and_also_where_its_answer_is_broken(
        self, case: Case, client: ProviderClient
    ) -> None:
        until = "Thu, 05 Mar 2026 16:30:00 GMT"
        for fault, pause_s in (
            (faults.too_many(until, date="Thu, 05 Mar 2026 16:25:00 GMT"), 300.0),
            (faults.too_many(until, date="soon"), 9000.0),
            (faults.too_many_in_pieces, 60.0),
        ):
            case.simulator.always = fault
            outcome = await client.latest(case.question())
            assert isinstance(outcome, Failed)
            assert (outcome.retry_after_s, outcome.is_transient) == (pause_s, True)
            assert "429" in outcome.reason

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

    async def test_a_refusal_of_what_all_points_share_is_told_from_that_of_one(
        self, case: Case, client: ProviderClient
    ) -> None:
        case.simulator.always = faults.body(b"{}", status=401)
        outcome = await client.latest(case.question())
        assert isinstance(outcome, Failed)
        is_shared = case.authentication["kind"] not in ("device_token", "path_token")
        assert outcome.concerns_all is (is_shared and case.authentication["kind"] != "login")
        case.simulator.always = faults.body(b"{}", status=403)
        outcome = await client.latest(case.question())
        assert isinstance(outcome, Failed)
        assert not outcome.concerns_all

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
