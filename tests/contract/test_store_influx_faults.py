"""What only a server can do wrong: it is away, frozen, wiped, strict, or of another mind about ages."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from caudal.common.adapters.clock import SystemClock
from caudal.common.adapters.influx import influxql
from caudal.common.adapters.influx.http import InfluxHttp
from caudal.common.adapters.influx.line_protocol import body
from caudal.common.adapters.influx.server import Span
from caudal.common.adapters.influx.server_v1 import InfluxV1
from caudal.common.adapters.influx.store import InfluxStore
from caudal.common.adapters.store import open_store
from caudal.common.domain.errors import Transient
from caudal.common.domain.series import micros
from caudal.common.ports import Function, RowRefused, SeriesRow, TelemetryStore
from caudal.common.settings import StoreSettings
from caudal.common.testing.store_laws_of_writing import HOSTILE
from caudal.common.testing.store_rows import BASE, EVER, HOUR, LONG_AGO, MINUTE, RETENTION, all_rows, at, flows, row
from servers.influx import Influx1, Influx2
from stores import store_settings

Server = Influx1 | Influx2


@pytest.fixture(params=["influx1", "influx2"])
def server(request: pytest.FixtureRequest) -> Server:
    """A shared server of each kind."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["own_influx1", "own_influx2"])
def own_server(request: pytest.FixtureRequest) -> Server:
    """A server of each kind, to be maltreated."""
    found: Server = request.getfixturevalue(request.param)
    return found


def questions(store: TelemetryStore) -> list[Callable[[], Awaitable[object]]]:
    """Everything that needs the server."""
    return [
        store.ping,
        lambda: store.write([row(1, flow=1.0)]),
        lambda: store.write([SeriesRow("well-1", at(0), {}, "twin", erased=("flow",))]),
        lambda: flows(store),
        lambda: store.aggregate("well-1", ["flow"], *EVER, HOUR, Function.INCREASE),
        lambda: all_rows(store),
        lambda: store.trim("well-1", 0, BASE),
        lambda: store.drop("well-1"),
        store.drop,
    ]


async def test_a_frozen_server_is_away_and_comes_back(own_server: Server) -> None:
    async with open_store(store_settings(own_server, influx_timeout_s=0.5)) as store:
        await store.write([row(0, flow=1.0)])
        own_server.freeze()
        *others, drop_point, drop_all = questions(store)
        await all_transient(others)
        own_server.thaw()
        await store.write([row(2, flow=2.0)])
        assert [sample.at for sample in await flows(store)][-1] == at(2)
        own_server.freeze()
        await all_transient([drop_point, drop_all])


async def all_transient(asked: list[Callable[[], Awaitable[object]]]) -> None:
    """See each of `asked` give up in time."""
    for question in asked:
        async with asyncio.timeout(10):
            with pytest.raises(Transient):
                await question()


async def test_ping_gives_a_frozen_server_up_within_five_seconds(own_influx1: Influx1) -> None:
    async with open_store(store_settings(own_influx1)) as store:
        own_influx1.freeze()
        # Twice the time that is promised: machines of tests are slow.
        async with asyncio.timeout(10):
            with pytest.raises(Transient):
                await store.ping()


async def test_a_store_is_opened_before_its_server_is_there_and_outlives_its_death(own_server: Server) -> None:
    own_server.stop()
    async with open_store(store_settings(own_server)) as store:
        await all_transient(questions(store))
        own_server.start()
        await store.write([row(0, flow=1.0)])
        own_server.kill()
        with pytest.raises(Transient):
            await store.write([row(1, flow=1.0)])
        own_server.start()
        await store.write([row(1, flow=1.0)])
        assert await all_rows(store) == [row(0, flow=1.0), row(1, flow=1.0)]


async def test_a_wiped_server_is_set_up_again(influx1: Influx1) -> None:
    settings = store_settings(influx1)
    async with open_store(settings) as store:
        await store.write([row(0, flow=1.0)])
        influx1.query(f'DROP DATABASE "{settings.influx_bucket}"')
        with pytest.raises(Transient):
            await store.write([row(1, flow=1.0), row(1, base=LONG_AGO, flow=1.0)])
        assert (await store.write([row(1, flow=1.0)])).written == 1
        assert await all_rows(store) == [row(1, base=LONG_AGO, flow=1.0), row(1, flow=1.0)]


async def test_rows_are_stored_as_dashboards_expect_them(server: Server) -> None:
    settings = store_settings(server)
    async with open_store(settings) as store:
        await store.write([row(0, flow=1), row(1, provider="", total=2.5)])
    answer = server.query(
        'SELECT * FROM "telemetry"."autogen"."telemetry"'.replace("telemetry", settings.influx_bucket, 1)
    )
    answer = server.query(
        'SELECT "flow", "total", "point", "provider" FROM "telemetry"', settings.influx_bucket, epoch="u"
    )
    [series] = json.loads(answer)["results"][0]["series"]
    assert series["name"] == "telemetry"
    assert [values[1:] for values in series["values"]] == [[1, None, "well-1", "twin"], [None, 2.5, "well-1", None]]
    assert [values[0] for values in series["values"]] == [micros(at(0)), micros(at(1))]
    assert '["flow","float"]' in server.query("SHOW FIELD KEYS", settings.influx_bucket)


async def test_what_the_server_finds_too_old_goes_to_the_archive(server: Server) -> None:
    settings = store_settings(server)
    async with open_store(settings) as store:
        await shorten(server, settings)
        rows = [row(minute, flow=float(minute)) for minute in range(0, 9 * 24 * 60, 7)]
        report = await store.write(rows)
        assert report.written == len(rows)
        assert report.archived > 0
        assert await all_rows(store) == rows
        corrected = SeriesRow("well-1", BASE, {"flow": 5.0}, "twin")
        assert (await store.write([corrected])).archived == 1
        assert (await flows(store))[0].values == {"flow": 5.0}


async def shorten(server: Server, settings: StoreSettings) -> None:
    """Give the main bucket a retention of three days, behind the store's back."""
    if isinstance(server, Influx1):
        server.query(f'ALTER RETENTION POLICY "autogen" ON "{settings.influx_bucket}" DURATION 3d')
        return
    async with aiohttp.ClientSession(server.url, headers=server.headers) as session:
        async with session.get("/api/v2/buckets", params={"name": settings.influx_bucket}) as answer:
            [bucket] = (await answer.json())["buckets"]
        rules = {"retentionRules": [{"type": "expire", "everySeconds": 3 * 86_400}]}
        async with session.patch(f"/api/v2/buckets/{bucket['id']}", json=rules) as answer:
            assert answer.status == 200


async def test_of_a_batch_with_refused_rows_the_good_ones_are_written(server: Server) -> None:
    settings = store_settings(server)
    async with open_store(settings) as store:
        await store.write([row(0, level=1.0)])
        await foreign_line(server, settings, f"telemetry,point=x strange=1i {int(BASE.timestamp())}000000")
        bad = {3, 500, 999}
        rows = [row(n, strange=1.0) if n in bad else row(n, flow=float(n)) for n in range(1000)]
        with pytest.raises(RowRefused, match="strange") as refusal:
            await store.write([*rows, row(0, base=LONG_AGO, flow=1.0)])
        error = refusal.value
        assert (error.row, error.refused) == (rows[3], 3)
        assert (error.report.written, error.report.archived) == (998, 1)
        assert len(await flows(store)) == 998


async def foreign_line(server: Server, settings: StoreSettings, line: str) -> None:
    """Write as somebody else would."""
    path, where = "/write", {"db": settings.influx_bucket, "precision": "u"}
    if isinstance(server, Influx2):
        path, where = "/api/v2/write", {"org": server.org, "bucket": settings.influx_bucket, "precision": "us"}
    async with (
        aiohttp.ClientSession(server.url, headers=server.headers) as session,
        session.post(path, params=where, data=line) as answer,
    ):
        assert answer.status == 204, await answer.text()


async def test_setting_up_again_changes_nothing_and_lengthens_or_shortens_as_far_as_no_row_is_lost(
    server: Server,
) -> None:
    settings = store_settings(server)
    for days, expected in ((90, 90), (90, 90), (120, 120), (30, 30)):
        async with open_store(settings.model_copy(update={"retention_days": days})):
            assert await retentions(server, settings) == (expected * 86_400, 0)
    async with open_store(settings.model_copy(update={"retention_days": 30})) as store:
        await store.write([row(0, flow=1.0)])
    async with open_store(settings.model_copy(update={"retention_days": 5})) as store:
        assert await retentions(server, settings) == (30 * 86_400, 0)
        assert await all_rows(store) == [row(0, flow=1.0)]
        assert (await store.write([row(0, flow=2.0)])).archived == 1
        assert await all_rows(store) == [row(0, flow=2.0)]


async def retentions(server: Server, settings: StoreSettings) -> tuple[int, int]:
    """Of the main bucket and of the archive, in seconds; 0: for ever."""
    buckets = settings.influx_bucket, f"{settings.influx_bucket}_archive"
    if isinstance(server, Influx1):
        answers = [json.loads(server.query(f'SHOW RETENTION POLICIES ON "{bucket}"')) for bucket in buckets]
        texts = [answer["results"][0]["series"][0]["values"][0][1] for answer in answers]
        main, archive = (int(text.partition("h")[0]) * 3600 if "h" in text else 0 for text in texts)
        return main, archive
    found = []
    async with aiohttp.ClientSession(server.url, headers=server.headers) as session:
        for bucket in buckets:
            async with session.get("/api/v2/buckets", params={"name": bucket}) as answer:
                rules = (await answer.json())["buckets"][0]["retentionRules"]
                found.append(sum(rule.get("everySeconds", 0) for rule in rules))
    return found[0], found[1]


async def test_several_processes_set_up_at_once(server: Server) -> None:
    settings = store_settings(server)

    async def opened() -> int:
        async with open_store(settings) as store:
            return len(await flows(store))

    assert await asyncio.gather(*(opened() for _ in range(8))) == [0] * 8


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Influx1]:
    """A 1.x server that wants to know who asks."""
    with Influx1(tmp_path / "guarded", http="auth-enabled = true") as server:
        server.query("CREATE USER \"caudal\" WITH PASSWORD 'right' WITH ALL PRIVILEGES")
        yield server


async def test_wrong_credentials_hold_rows_back_and_right_ones_let_them_in(guarded: Influx1, influx1: Influx1) -> None:
    known = {"influx_username": "caudal", "influx_password": "right"}
    for wrong in ({}, {"influx_username": "caudal", "influx_password": "wrong"}):
        async with open_store(store_settings(guarded, **wrong)) as store:
            with pytest.raises(Transient, match="401"):
                await store.write([row(0, flow=1.0)])
    async with open_store(store_settings(guarded, **known)) as store:
        await store.write([row(0, flow=1.0)])
        assert len(await flows(store)) == 1


async def test_a_wrong_token_holds_rows_back(influx2: Influx2) -> None:
    async with open_store(store_settings(influx2, influx_token="wrong")) as store:
        with pytest.raises(Transient, match="401"):
            await store.write([row(0, flow=1.0)])


async def test_a_limit_on_the_servers_answers_cuts_nothing_off(tmp_path: Path) -> None:
    with Influx1(tmp_path / "terse", http="max-row-limit = 7") as server:
        async with open_store(store_settings(server)) as store:
            rows = [row(minute, flow=float(minute)) for minute in range(40)]
            await store.write([*rows, *(row(minute, base=LONG_AGO, flow=1.0) for minute in range(20))])
            assert len(await flows(store)) == 60
            assert len(await all_rows(store)) == 60
            minutes = await store.aggregate("well-1", ["flow"], BASE, at(40), MINUTE, Function.SUM)
            assert [sample.values["flow"] for sample in minutes] == [float(minute) for minute in range(40)]


@pytest.mark.parametrize("name", [name for name in HOSTILE if name and not set(name) & set("\\\n\0")])
async def test_even_names_that_are_never_let_in_could_do_no_harm(influx1: Influx1, name: str) -> None:
    bucket, span = store_settings(influx1).influx_bucket, (micros(at(0)), micros(at(1)))
    async with aclosing(InfluxHttp(influx1.url, None, 10.0)) as http:
        server = InfluxV1(http)
        await server.set_up({bucket: None})
        await server.write(bucket, body([SeriesRow(name, at(0), {name: 1.5}, name), row(0, flow=2.0)]))
        asked = [influxql.values(bucket, point, [name, "flow"], *span, 9) for point in (name, "x")]
        [[mine], nobodys] = await http.query(bucket, asked)
        assert (mine.values, mine.tags, nobodys) == ([[micros(at(0)), 1.5, None]], {"provider": name}, [])
        await server.delete(bucket, [Span(name, *span)])
        [left] = await http.query(bucket, ['SELECT "flow" FROM "telemetry"'])
        assert left[0].values == [[micros(at(0)), 2.0]]


class Interrupted(InfluxV1):
    """A connection that is cut after a deletion, once."""

    cut = False

    async def delete(self, bucket: str, spans: object) -> None:
        await super().delete(bucket, spans)  # type: ignore[arg-type]
        self.cut = True

    async def write(self, bucket: str, body: bytes) -> None:
        if self.cut:
            self.cut = False
            raise Transient("cut")
        await super().write(bucket, body)


async def test_an_outage_in_the_midst_of_erasing_loses_no_other_field(influx1: Influx1) -> None:
    http = InfluxHttp(influx1.url, None, 10.0)
    store = InfluxStore(http, Interrupted(http), store_settings(influx1).influx_bucket, RETENTION, SystemClock())
    try:
        await store.write([row(0, flow=1.0, total=2.0, level=3.0)])
        erase = [SeriesRow("well-1", at(0), {"level": 4.0}, "twin", erased=("flow",))]
        with pytest.raises(Transient):
            await store.write(erase)
        assert await all_rows(store) == []
        await store.write(erase)
        assert await all_rows(store) == [row(0, total=2.0, level=4.0)]
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("status", "headers", "body", "pause"),
    [
        (429, {"Retry-After": "7"}, '{"error": "slow down"}', 7.0),
        (503, {}, '{"message": "not now"}', 1.0),
        (500, {"Retry-After": "a while"}, "<html>oops</html>", 1.0),
        (200, {}, "<html>who are you looking for?</html>", 1.0),
        (200, {}, '{"results": [{"error": "timeout"}, {"error": "timeout"}]}', 1.0),
    ],
)
async def test_what_is_the_servers_fault_is_tried_again(
    status: int, headers: dict[str, str], body: str, pause: float
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers, text=body)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        given = {"store": "influx", "INFLUX_API": "1", "influx_url": f"{site.name}"}
        async with open_store(StoreSettings.model_validate(given)) as store:
            for question in questions(store)[1:]:
                with pytest.raises(Transient) as error:
                    await question()
                assert error.value.retry_after_s == pause
    finally:
        await runner.cleanup()
