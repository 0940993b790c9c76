"""Providers asked by the whole platform: outages are filled page by page, kills lose nothing, secrets stay sealed."""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from buses import Box, running, settings
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.adapters.sql import open_engine
from caudal.common.ports import Subscription
from caudal.common.settings import SqlSettings
from figures import tell
from providers.cases import DEVICE, KEYS, Case, tdata_with_login, thingsio
from servers.platform import Platform

STEP = timedelta(minutes=10)
DAYS = 6
START = datetime.now(UTC).replace(microsecond=0)
WAIT_S = 120.0


class AskingPlatform(Platform):
    """Asks providers next door every second, and logs all it can."""

    def settings(self) -> dict[str, str]:
        """As of every platform, and how providers are asked."""
        return super().settings() | {
            "CAUDAL_POLLING_MINUTES": "0.02",
            "CAUDAL_POLLING_NETWORKS": "127.0.0.0/8",
            "CAUDAL_POLLING_FIRST_HOURS": str(DAYS * 24 + 1),
            "CAUDAL_LOG_LEVEL": "DEBUG",
        }

    def add_provider(self, code: str, case: Case, **changes: Any) -> None:
        """A provider that is reached at its stand-in, and a point `well-<code>` of its."""
        is_of_point = case.authentication["kind"] == "path_token"
        secrets = {"credentials": case.secrets}
        connection = case.connection | {"base_url": case.simulator.url, "span_hours": 1, "page_rows": 10} | changes
        provider = {"code": code, "api": case.api, "connection": connection, "authentication": case.authentication}
        self.api("POST", "/api/providers/", provider | ({} if is_of_point else secrets))
        point = {
            "code": f"well-{code}",
            "device": f"meter-{code}",
            "provider": code,
            "sampling_minutes": 0.02,
            "source": {"remote_id": DEVICE, "keys": {"flow": KEYS["flow"]}},
            "variables": [{"code": "flow", "type": "flow"}],
        }
        self.api("POST", "/api/points/", point | (secrets if is_of_point else {}))

    def flows(self, code: str) -> dict[str, float]:
        """The series of a point, by time."""
        found = self.influxql(f"select flow from telemetry where point = 'well-{code}'")
        return {str(at): flow for at, flow in found[0]["values"]} if found else {}

    async def flows_when(self, code: str, count: int) -> dict[str, float]:
        """The series once it is `count` long, or after a while."""
        deadline = time.monotonic() + WAIT_S
        while len(found := await asyncio.to_thread(self.flows, code)) < count and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        return found

    async def asked(self, query: str) -> list[tuple[Any, ...]]:
        """What the database answers."""
        engine = open_engine(SqlSettings(database_url=self.gateway.settings["CAUDAL_DATABASE_URL"]))
        async with engine.connect() as connection:
            rows = [tuple(row) for row in await connection.execute(sa.text(query))]
        await engine.dispose()
        return rows


def measured(case: Case, days_ago: int) -> dict[datetime, float]:
    """Let the device hand its provider a value every ten minutes of one day, no value twice."""
    begun = START - timedelta(days=days_ago)
    values = {begun + number * STEP: float((DAYS - days_ago) * 144 + number) for number in range(144)}
    for at, value in values.items():
        case.put("flow", at, value)
    return values


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AskingPlatform]:
    with AskingPlatform(tmp_path_factory.mktemp("asking"), devices=0) as platform:
        yield platform


async def test_ingest_killed_between_page_and_cursor_loses_nothing_and_doubles_nothing(
    platform: AskingPlatform,
) -> None:
    chance, heard = random.Random(4), Box()
    spy = MqttBus(settings(platform.mosquitto.port), "spy-asking")
    spy.subscribe(Subscription(("telemetry/meter-killed/raw",), heard.handle, linger_s=0))
    with ExitStack() as stack:
        case = tdata_with_login(stack)
        values: dict[datetime, float] = {}
        async with running(spy):
            await asyncio.to_thread(platform.add_provider, "killed", case)
            for day in range(DAYS):
                values |= await asyncio.to_thread(measured, case, DAYS - day)
                # What it has just said is not yet behind a cursor: the worst of moments to be killed.
                await heard.holds(len(heard.deliveries) + chance.randrange(1, 5))
                await asyncio.to_thread(platform.ingest.kill)
                await asyncio.to_thread(platform.ingest.start)
            flows = await platform.flows_when("killed", len(values))
    stored = sorted(flows.values())
    ledger = await platform.asked(
        "select count(*), count(distinct measured_at) from ledger_readings where point = 'well-killed'"
    )
    cursor = (await platform.asked("select complete_until from polling_points where point = 'well-killed'"))[0][0]
    tell(
        f"kill -9 of ingest {DAYS} times while as many days are fetched", measured=len(values), stored=len(stored),
        missing=len(set(values.values()) - set(stored)), doubled=len(stored) - len(set(stored)),
        messages=len(heard.deliveries),
    )  # fmt: skip
    assert stored == sorted(values.values())
    assert ledger == [(len(values), len(values))]
    assert cursor == max(values)


async def test_no_secret_is_anywhere_but_sealed(platform: AskingPlatform) -> None:
    everything = Box()
    spy = MqttBus(settings(platform.mosquitto.port), "spy-secrets")
    spy.subscribe(Subscription(("#",), everything.handle, linger_s=0))
    answers: list[Any] = []
    with ExitStack() as stack:
        cases = {"login": tdata_with_login(stack), "path": thingsio(stack)}
        secrets = {secret for case in cases.values() for name, secret in case.secrets.items() if name != "username"}
        async with running(spy):
            for code, case in cases.items():
                values = await asyncio.to_thread(measured, case, 1)
                await asyncio.to_thread(platform.add_provider, code, case)
                assert len(await platform.flows_when(code, len(values))) == len(values)
                answers.append(await asyncio.to_thread(platform.api, "POST", f"/api/providers/{code}/test"))
                assert answers[-1]["outcome"] == "answered"
                case.simulator.refuses_all = True
                case.simulator.expire_tokens()
                getattr(case.simulator, "tokens", {}).clear()
                getattr(case.simulator, "users", {}).clear()
                answers.append(await asyncio.to_thread(platform.api, "POST", f"/api/providers/{code}/test"))
                assert answers[-1]["outcome"] == "failed"
                await until_failed(platform, code)
                for path in ("", "/status", "/credentials/"):
                    answers.append(await asyncio.to_thread(platform.api, "GET", f"/api/providers/{code}{path}"))
                    answers.append(await asyncio.to_thread(platform.api, "GET", f"/api/points/well-{code}{path}"))
    places = {f"log of {service.name}": service.log.read_text() for service in platform.services}
    places |= {"answers": json.dumps(answers, ensure_ascii=False)}
    places |= {"bus": "\n".join(each.payload.decode("utf-8", "replace") for each in everything.deliveries)}
    tables = await platform.asked("select table_name from information_schema.tables where table_schema = 'public'")
    for (table,) in tables:
        places[table] = str(await platform.asked(f'select * from "{table}"'))
    found = [(place, secret) for place, text in places.items() for secret in secrets if secret in text]
    tell("secrets looked for", places=len(places), found=len(found), characters=sum(map(len, places.values())))
    assert found == []
    assert len(await platform.asked("select sealed from gateway_credentials")) >= 3


async def until_failed(platform: AskingPlatform, code: str) -> None:
    """Return once a round has failed, too."""
    async with asyncio.timeout(WAIT_S):
        while not (await asyncio.to_thread(platform.api, "GET", f"/api/points/well-{code}/status"))["polling"]["error"]:
            await asyncio.sleep(0.2)
