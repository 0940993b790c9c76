"""Dynamic schemas over HTTP, and their records, with a real processor computing them."""

import asyncio
import random
import time
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

import pytest

from caudal.common.adapters.sql_catalog import SqlCatalog
from caudal.common.bus.messages import RawReading, RawReadings
from caudal.common.bus.topics import SCHEMA_CONFIG
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Delivery
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.adapters.sql_records import SqlRecordBook, SqlSchemas
from caudal.processor.entrypoints.bus import BusEntrypoint
from caudal.processor.entrypoints.schemas import SchemaEntrypoint
from caudal.processor.handlers.readings import Desk, keep
from caudal.processor.handlers.recording import RecordDesk, record_teller, review
from integration.api.estate import Estate, field_of, made
from integration.api.house import ApiHouse, reading

START = datetime.fromisoformat("2026-03-02T00:00:00Z")
DAILY: dict[str, Any] = {
    "code": "daily",
    "kind": "REPORT",
    "fields": [
        {"code": "flow", "variable": "flow", "aggregate": "mean"},
        {"code": "volume", "variable": "total", "aggregate": "increase"},
        {"code": "ratio", "expression": "volume / flow"},
    ],
    "rules": [{"code": "wet", "expression": "flow > 1"}],
    "display": {"chart": "bars"},
}


async def processed(api: ApiHouse, *batches: tuple[str, list[RawReading]]) -> None:
    """Let the processor hear what the API told, take in readings, and compute."""
    async with aclosing(SqlLedger(api.engine)) as ledger:
        catalog = SqlCatalog(api.engine)
        desk = RecordDesk(SqlRecordBook(api.engine), ledger, SqlSchemas(api.engine), catalog, api.bus, api.clock)
        bus = BusEntrypoint(Desk(ledger, catalog), Forgetful(), api.bus, api.clock, lambda: None)
        entrypoint = SchemaEntrypoint(desk, bus.quiet, lambda: None)
        await entrypoint.start()
        heard = [message for message in api.bus.published if SCHEMA_CONFIG.parse(message.topic)]
        api.bus.published.clear()
        if heard:
            await entrypoint.take([Delivery(message.topic, message.payload) for message in heard])
        for device, readings in batches:
            bundle = RawReadings(device=device, inlet=Inlet.UPLINK, readings=readings)
            await keep(Desk(ledger, catalog), [bundle])
        await review(desk, ["meter-a", "meter-b"])
        teller = record_teller(desk, time.monotonic)
        while await teller.step():
            pass


class Forgetful:
    """A catalog with nothing to forget."""

    def forget(self, device: str) -> None:
        """Nothing."""


def day(number: int, flow: float, hours: int = 3) -> list[RawReading]:
    start = START + timedelta(days=number)
    return [reading(start + timedelta(hours=hour), flow=flow + hour) for hour in range(hours)]


async def records(client: Any, query: str = "", code: str = "daily") -> list[dict[str, Any]]:
    answer = await client.get(f"/api/schemas/{code}/records/{query}")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


class TestSchemas:
    async def test_nobody_sees_or_makes_any(self, api: ApiHouse) -> None:
        for method, path in (("GET", ""), ("POST", ""), ("GET", "daily"), ("GET", "daily/records/")):
            assert (await api.client.request(method, f"/api/schemas/{path}", json=DAILY)).status_code == 401
        assert (await api.reader.post("/api/schemas/", json=DAILY)).status_code == 403
        assert (await api.reader.post("/api/schemas/daily/recompute/")).status_code == 403

    async def test_schema_has_a_life_that_the_processor_hears_of(self, api: ApiHouse) -> None:
        schema = await made(api.admin, "/api/schemas/", **DAILY)
        assert schema["fields"][2]["expression"] == "volume / flow"
        assert schema["display"] == {"chart": "bars"}
        assert (await api.admin.post("/api/schemas/", json=DAILY)).status_code == 409
        answer = await api.reader.get("/api/schemas/daily")
        assert answer.json() == schema
        changed = await api.operator.patch(
            "/api/schemas/daily", json={"period": "month"}, headers={"If-Match": answer.headers["ETag"]}
        )
        assert (changed.json()["period"], changed.json()["kind"]) == ("month", "REPORT")
        stale = await api.operator.patch("/api/schemas/daily", json={}, headers={"If-Match": answer.headers["ETag"]})
        assert stale.status_code == 412
        assert (await api.reader.get("/api/schemas/?kind=REPORT&search=dai")).json()["total"] == 1
        assert (await api.reader.get("/api/schemas/?format=csv")).text.count("daily") == 1
        assert (await api.admin.delete("/api/schemas/daily")).status_code == 204
        assert (await api.admin.get("/api/schemas/daily")).status_code == 404
        told = [message.topic for message in api.bus.published if message.topic.startswith("schema/")]
        assert told == ["schema/daily/config"] * 3
        acts = await api.rows("select action from audit_log where kind = 'schema' order by number")
        assert acts == [("create",), ("change",), ("delete",)]

    async def test_key_makes_one_schema(self, api: ApiHouse) -> None:
        headers = {"Idempotency-Key": "once"}
        answers = [await api.admin.post("/api/schemas/", json=DAILY, headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]

    @pytest.mark.parametrize(
        ("field", "changes"),
        [
            ("fields.2.expression", {"fields": [*DAILY["fields"][:2], {"code": "x", "expression": "a.__class__"}]}),
            ("fields.0.expression", {"fields": [{"code": "x", "expression": "9**9**9 +"}]}),
            ("fields.0.expression", {"fields": [{"code": "x", "expression": "later"}, *DAILY["fields"]]}),
            ("fields.0.expression", {"fields": [{"code": "x"}]}),
            ("fields.1.code", {"fields": [DAILY["fields"][0]] * 2}),
            ("fields.0.code", {"fields": [{"code": "max", "variable": "flow"}]}),
            ("rules.0.expression", {"rules": [{"code": "r", "expression": "flow + 1"}]}),
            ("time_zone", {"time_zone": "Mars/Olympus"}),
            ("points.0", {"points": ["nowhere"]}),
            ("client", {"client": "nobody"}),
            ("period", {"period": "week"}),
            ("fields", {"fields": []}),
        ],
    )
    async def test_what_cannot_be_used_is_named(self, api: ApiHouse, field: str, changes: dict[str, Any]) -> None:
        answer = await api.admin.post("/api/schemas/", json=DAILY | changes)
        assert answer.status_code == 422, answer.text
        assert field_of(answer) == field

    async def test_any_expression_is_kept_or_refused(self, api: ApiHouse) -> None:
        chosen = random.Random(7)
        letters = [*"flow19.+-*/()<>=!%,_ \"'\x00\ud800é[]{}", "**", "volume", "and", "if("]
        client = api.admin
        for number in range(150):
            text = "".join(chosen.choices(letters, k=chosen.randint(1, 40))).encode("utf-8", "replace").decode()
            body = {"code": f"s{number}", "fields": [*DAILY["fields"], {"code": "x", "expression": text}]}
            answer = await client.post("/api/schemas/", json=body)
            assert answer.status_code in (201, 422), (text, answer.text)


class TestTenancy:
    async def test_clients_see_their_own_schemas_and_shared_ones(self, estate: Estate) -> None:
        await made(estate.api.admin, "/api/schemas/", **DAILY)
        a, b = estate.as_("client_admin of a"), estate.as_("client_admin of b")
        mine = await made(a, "/api/schemas/", **DAILY | {"code": "mine"})
        assert mine["client"] == "a"
        codes = [each["code"] for each in (await a.get("/api/schemas/")).json()["items"]]
        assert codes == ["daily", "mine"]
        assert [each["code"] for each in (await b.get("/api/schemas/")).json()["items"]] == ["daily"]
        for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/records/"), ("POST", "/recompute/")):
            foreign = await b.request(method, f"/api/schemas/mine{path}", json={})
            absent = await b.request(method, f"/api/schemas/none{path}", json={})
            assert foreign.status_code == absent.status_code == 404
            assert foreign.text == absent.text.replace("none", "mine")

    async def test_clients_change_what_is_theirs_alone(self, estate: Estate) -> None:
        await made(estate.api.admin, "/api/schemas/", **DAILY)
        a = estate.as_("client_admin of a")
        for answer in (
            await a.patch("/api/schemas/daily", json={"name": "x"}),
            await a.delete("/api/schemas/daily"),
            await a.post("/api/schemas/daily/recompute/"),
        ):
            assert answer.status_code == 403, answer.text
        answer = await a.post("/api/schemas/", json=DAILY | {"code": "x", "client": "b"})
        assert (answer.status_code, field_of(answer)) == (422, "client")
        answer = await a.post("/api/schemas/", json=DAILY | {"code": "x", "points": ["well-a", "well-b"]})
        assert (answer.status_code, field_of(answer)) == (422, "points.1")
        await made(a, "/api/schemas/", **DAILY | {"code": "mine", "points": ["well-a"]})
        answer = await a.patch("/api/schemas/mine", json={"client": None})
        assert answer.status_code in (403, 422), answer.text
        assert (await estate.api.admin.delete("/api/clients/a")).status_code == 409

    async def test_records_are_seen_by_whose_the_points_are(self, estate: Estate) -> None:
        api = estate.api
        await made(api.admin, "/api/schemas/", **DAILY)
        await made(api.admin, "/api/schemas/", **DAILY | {"code": "all", "group_by": "client"})
        await processed(api, ("meter-a", day(0, 1)), ("meter-b", day(0, 5)))
        a, b = estate.as_("client_user of a"), estate.as_("client_user of b")
        for code, groups in (("daily", ["well-a", "well-b"]), ("all", ["a", "b"])):
            assert [each["group"] for each in await records(api.admin, "?order=group", code)] == groups
            assert [each["group"] for each in await records(a, "", code)] == groups[:1]
            assert [each["group"] for each in await records(b, "", code)] == groups[1:]
            assert await records(a, f"?group={groups[1]}", code) == []
            assert await records(a, "?client=b", code) == []
            assert groups[1] not in (await a.get(f"/api/schemas/{code}/records/?format=csv")).text.split()

    async def test_point_that_changes_hands_takes_its_records_along(self, estate: Estate) -> None:
        api = estate.api
        await made(api.admin, "/api/schemas/", **DAILY | {"code": "all", "group_by": "client"})
        await made(api.admin, "/api/schemas/", **DAILY | {"code": "of-a", "client": "a"})
        await processed(api, ("meter-a", day(0, 1)), ("meter-b", day(0, 5)))
        answer = await api.admin.patch("/api/points/well-a", json={"client": "b"})
        assert answer.status_code == 200, answer.text
        await processed(api)
        [whole] = await records(api.admin, "", "all")
        assert (whole["group"], whole["readings"]) == ("b", 6)
        assert await records(estate.as_("client_user of a"), "", "all") == []
        assert await records(api.admin, "", "of-a") == []

    async def test_deleted_point_takes_its_records_along_until_it_is_made_again(self, estate: Estate) -> None:
        api = estate.api
        await made(api.admin, "/api/schemas/", **DAILY)
        await processed(api, ("meter-a", day(0, 1)))
        before = await records(estate.as_("client_user of a"))
        assert len(before) == 1
        assert (await api.admin.delete("/api/points/well-a")).status_code == 204
        await processed(api)
        assert await records(api.admin) == []
        await api.add_point(code="well-a", device="meter-a", client="a")
        await processed(api)
        assert await records(estate.as_("client_user of a")) == before


class TestRecords:
    async def test_records_follow_the_readings(self, api: ApiHouse) -> None:
        await api.add_point()
        await processed(api, ("meter-1", day(0, 1)))
        await made(api.admin, "/api/schemas/", **DAILY)
        await processed(api, ("meter-1", day(1, 0, hours=1)))
        second, first = await records(api.reader)
        assert first["values"] == {"flow": 2.0, "volume": None, "ratio": None}
        assert (first["starts_at"], first["readings"], first["flags"]) == ("2026-03-02T00:00:00Z", 3, [])
        assert (second["values"]["flow"], second["flags"]) == (0.0, ["wet"])
        late = reading(START + timedelta(hours=5), flow=10.0, total=500)
        await processed(api, ("meter-1", [late]))
        [first] = await records(api.reader, "?starts_to=2026-03-03T00:00:00Z&point=well-1")
        assert first["values"] == {"flow": 4.0, "volume": 0.0, "ratio": 0.0}
        later = reading(START + timedelta(hours=30), flow=0.0, total=600)
        await processed(api, ("meter-1", [later]))
        [second] = await records(api.reader, "?starts_from=2026-03-03T00:00:00Z")
        assert second["values"] == {"flow": 0.0, "volume": 1.0, "ratio": None}
        assert second["reasons"] == {"ratio": "a division by zero"}

    async def test_file_has_a_column_for_each_field(self, api: ApiHouse) -> None:
        await api.add_point()
        await made(api.admin, "/api/schemas/", **DAILY)
        await processed(api, ("meter-1", day(0, 1)))
        answer = await api.reader.get("/api/schemas/daily/records/?format=csv")
        header, line, *rest = answer.text.splitlines()
        assert header.endswith("values.flow,values.volume,values.ratio")
        assert line.startswith("well-1,2026-03-02T00:00:00Z,well-1,")
        assert line.endswith(",2,,")
        assert rest == []

    async def test_changed_schema_has_other_records_and_a_gone_one_has_none(self, api: ApiHouse) -> None:
        await api.add_point()
        await made(api.admin, "/api/schemas/", **DAILY)
        await processed(api, ("meter-1", day(0, 1)), ("meter-1", day(1, 1)))
        assert len(await records(api.reader)) == 2
        await api.admin.patch(
            "/api/schemas/daily", json={"period": "month", "fields": DAILY["fields"][:1], "rules": []}
        )
        await processed(api)
        [month] = await records(api.reader)
        assert (month["starts_at"], month["values"], month["readings"]) == ("2026-03-01T00:00:00Z", {"flow": 2.0}, 6)
        await api.admin.patch("/api/schemas/daily", json={"active": False})
        await processed(api)
        assert await records(api.reader) == []
        await api.admin.delete("/api/schemas/daily")
        await processed(api)
        assert await api.rows("select * from processor_record_parts") == []

    async def test_recomputation_is_ordered_and_answered(self, api: ApiHouse) -> None:
        await made(api.admin, "/api/schemas/", **DAILY)
        api.processor.answer = {"records": 4}
        answer = await api.operator.post("/api/schemas/daily/recompute/")
        assert (answer.status_code, answer.json()["detail"]) == (200, {"records": 4})
        assert api.processor.commands[-1].action == "recompute"
        api.processor.answer = None
        answer = await api.operator.post("/api/schemas/daily/recompute/")
        assert answer.status_code == 202
        seen = await api.operator.get(f"/api/telemetry/process/{answer.json()['id']}")
        assert seen.json()["state"] == "sent"
        assert (await api.operator.post("/api/schemas/none/recompute/")).status_code == 404


SPAN = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"}


async def test_schema_is_tried_on_own_points_and_not_kept(estate: Estate) -> None:
    a, b = estate.as_("client_admin of a"), estate.as_("client_admin of b")
    estate.api.processor.answer = {"records": [], "left_off": 0}
    answer = await a.post("/api/schemas/preview/", json={"schema": DAILY} | SPAN)
    assert (answer.status_code, answer.json()["detail"]) == (200, {"records": [], "left_off": 0}), answer.text
    [command] = estate.api.processor.commands
    assert (command.action, command.params["schema"]["client"]) == ("preview", "a")
    assert command.params["points"] == ["well-a"]
    assert (await a.get("/api/schemas/")).json()["total"] == 0
    order = answer.json()["id"]
    seen = [(await client.get(f"/api/telemetry/process/{order}")).status_code for client in (a, b)]
    assert seen == [200, 404]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"schema": DAILY | {"points": ["well-b"]}} | SPAN, "points.0"),
        ({"schema": DAILY | {"client": "b"}} | SPAN, "client"),
        ({"schema": DAILY | {"fields": [{"code": "x", "expression": "1 +"}]}} | SPAN, "fields.0.expression"),
        ({"schema": DAILY, "from": "2026-03-01T00:00:00Z"}, "to"),
    ],
)
async def test_schema_that_could_not_be_kept_is_not_tried(estate: Estate, body: dict[str, Any], field: str) -> None:
    answer = await estate.as_("client_admin of a").post("/api/schemas/preview/", json=body)
    assert (answer.status_code, field_of(answer)) == (422, field)
    assert estate.api.processor.commands == []


async def test_order_about_a_schema_is_no_order_about_a_device_of_its_name(estate: Estate) -> None:
    a, b = estate.as_("client_admin of a"), estate.as_("client_admin of b")
    await made(b, "/api/schemas/", **DAILY | {"code": "meter-a"})
    order = (await b.post("/api/schemas/meter-a/recompute/")).json()["id"]
    seen = await asyncio.gather(*(client.get(f"/api/telemetry/process/{order}") for client in (a, b)))
    assert [answer.status_code for answer in seen] == [404, 200]
