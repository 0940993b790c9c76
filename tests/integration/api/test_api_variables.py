"""/api/variables/: who may, what enters, and that the point is told."""

import asyncio
from typing import Any

import pytest

from caudal.common.adapters.sql_catalog import SqlCatalog
from integration.api.house import ApiHouse

LEVEL: dict[str, Any] = {"point": "well-1", "code": "level", "type": "level", "sensor_depth_m": 80}


class TestListVariables:
    async def test_nobody_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/variables/")).status_code == 401

    async def test_they_come_with_their_points_in_their_order(self, api: ApiHouse) -> None:
        await api.add_point()
        await api.add_point(code="alpha", device="meter-2")
        answer = (await api.reader.get("/api/variables/")).json()
        assert [(entry["point"], entry["code"]) for entry in answer["items"]] == [
            ("alpha", "total"),
            ("alpha", "flow"),
            ("well-1", "total"),
            ("well-1", "flow"),
        ]
        assert answer["total"] == 4

    @pytest.mark.parametrize(
        ("query", "codes"),
        [
            ("point=well-1", ["total", "flow"]),
            ("type=flow", ["flow"]),
            ("search=TOT", ["total"]),
            ("order=code", ["flow", "total"]),
            ("order=-code", ["total", "flow"]),
            ("point=well-9", []),
        ],
    )
    async def test_filters_search_and_order(self, api: ApiHouse, query: str, codes: list[str]) -> None:
        await api.add_point()
        answer = await api.reader.get(f"/api/variables/?{query}")
        assert [entry["code"] for entry in answer.json()["items"]] == codes


class TestTimes:
    async def test_each_variable_says_since_when_it_is_there_and_as_it_is(self, api: ApiHouse) -> None:
        made = await api.add_point()
        api.clock.advance(minutes=1)
        changed = (await api.admin.patch("/api/variables/well-1/total", json={"name": "Total"})).json()
        added = (await api.admin.post("/api/variables/", json=LEVEL)).json()
        point = (await api.reader.get("/api/points/well-1")).json()
        first, then = made["created_at"], added["created_at"]
        assert first < then
        assert made["updated_at"] == first
        assert (point["created_at"], point["updated_at"]) == (first, then)
        assert (changed["created_at"], changed["updated_at"]) == (first, then)
        assert added["updated_at"] == then
        left = (await api.reader.get("/api/variables/well-1/flow")).json()
        assert (left["created_at"], left["updated_at"]) == (first, first)
        late = (await api.reader.get(f"/api/variables/?updated_from={then}&order=-created_at")).json()["items"]
        assert [variable["code"] for variable in late] == ["level", "total"]
        file = (await api.reader.get("/api/variables/?format=csv")).text.splitlines()
        assert file[0].endswith(",created_at,updated_at")


class TestCreateVariable:
    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.post("/api/variables/", json=LEVEL)).status_code == 401
        assert (await api.reader.post("/api/variables/", json=LEVEL)).status_code == 403

    async def test_it_is_there_for_other_services_which_are_told(self, api: ApiHouse) -> None:
        await api.add_point()
        before = len(api.bus.published)
        answer = await api.operator.post("/api/variables/", json=LEVEL)
        assert answer.status_code == 201, answer.text
        assert answer.json()["sensor_depth_m"] == 80.0
        assert answer.json()["sentinels"] == [-3200.0, -999.0]
        point = await SqlCatalog(api.engine).point("well-1")
        assert point is not None
        assert [variable.code for variable in point.variables] == ["total", "flow", "level"]
        assert [message.topic for message in api.bus.published[before:]] == ["telemetry/meter-1/config"]
        assert (await api.reader.get("/api/variables/well-1/level")).json() == answer.json()

    async def test_none_of_many_at_once_is_lost(self, api: ApiHouse) -> None:
        await api.add_point()
        client = api.admin
        bodies = [LEVEL | {"code": f"level-{number}"} for number in range(12)]
        answers = await asyncio.gather(*(client.post("/api/variables/", json=body) for body in bodies))
        assert {answer.status_code for answer in answers} == {201}
        kept = (await client.get("/api/variables/?type=level&page_size=50")).json()["items"]
        assert {variable["code"] for variable in kept} == {body["code"] for body in bodies}
        journal = (await client.get("/api/points/well-1/journal/?page_size=50")).json()["items"]
        assert sum(entry["kind"] == "variable" for entry in journal) == 12

    async def test_same_code_twice_is_a_conflict(self, api: ApiHouse) -> None:
        await api.add_point()
        await api.admin.post("/api/variables/", json=LEVEL)
        answer = await api.admin.post("/api/variables/", json=LEVEL)
        assert answer.status_code == 409
        assert answer.json()["error"]["fields"][0]["field"] == "code"

    @pytest.mark.parametrize(
        ("change", "status", "field"),
        [
            ({"point": "nowhere"}, 404, None),
            ({"point": None}, 422, "point"),
            ({"code": ""}, 422, "code"),
            ({"type": "depth"}, 422, "type"),
            ({"scale": 0}, 422, "scale"),
            ({"scale": "2"}, 422, "scale"),
            ({"scale": 1e300}, 422, "scale"),
            ({"type": "temperature"}, 422, "sensor_depth_m"),
            ({"sensor_depth_m": -3}, 422, "sensor_depth_m"),
            ({"counter": {}}, 422, "counter"),
            ({"limits": {"alert_below": 5, "alert_above": 1}}, 422, "limits.alert_below"),
            ({"scale": 10**400}, 422, "scale"),
            ({"sensor_depth_m": True}, 422, "sensor_depth_m"),
            ({"limits": {"max": [1]}}, 422, "limits.max"),
            ({"limits": {"maximum": 1}}, 422, "limits.maximum"),
            ({"counter": {"meter": {}}}, 422, "counter.meter.pulses_per_liter"),
            ({"counter": {"max_flow_lps": -1}}, 422, "counter.max_flow_lps"),
            ({"sentinels": [True]}, 422, "sentinels.0"),
            ({"sentinels": [0.5] * 101}, 422, "sentinels"),
        ],
    )
    async def test_field_that_cannot_be_used_is_named(
        self, api: ApiHouse, change: dict[str, Any], status: int, field: str | None
    ) -> None:
        await api.add_point()
        answer = await api.admin.post("/api/variables/", json=LEVEL | change)
        assert answer.status_code == status, answer.text
        fields = [entry["field"] for entry in answer.json()["error"]["fields"]]
        assert any(named.endswith(field) for named in fields) if field else not fields
        assert (await api.admin.get("/api/variables/?point=well-1")).json()["total"] == 2


class TestPatchVariable:
    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.patch("/api/variables/well-1/total", json={})).status_code == 401
        assert (await api.reader.patch("/api/variables/well-1/total", json={})).status_code == 403

    async def test_objects_are_merged_and_the_rest_stays(self, api: ApiHouse) -> None:
        await api.add_point()
        patch = {"counter": {"meter": {"calibration_factor": 1.02}}, "name": "Total"}
        answer = await api.admin.patch("/api/variables/well-1/total", json=patch)
        assert answer.status_code == 200, answer.text
        assert answer.json()["counter"]["meter"] == {"pulses_per_liter": 0.1, "calibration_factor": 1.02}
        assert answer.json()["name"] == "Total"
        last = (await api.reader.get("/api/points/well-1/journal/")).json()["items"][0]
        assert (last["action"], last["key"]) == ("change", "total")
        assert last["before"]["counter"]["meter"]["calibration_factor"] == 1.0
        assert last["after"]["counter"]["meter"]["calibration_factor"] == 1.02

    async def test_null_brings_back_the_default(self, api: ApiHouse) -> None:
        await api.add_point()
        await api.admin.patch("/api/variables/well-1/flow", json={"limits": {"max": 5}, "scale": 2})
        answer = await api.admin.patch("/api/variables/well-1/flow", json={"limits": None, "scale": None})
        assert (answer.json()["limits"], answer.json()["scale"]) == (None, 1.0)

    @pytest.mark.parametrize(
        ("patch", "field"),
        [
            ({"code": "x"}, "code"),
            ({"counter": {"meter": {"calibration_factor": 0}}}, "counter.meter.calibration_factor"),
            ({"counter": {"meter": {"calibration_factor": "1"}}}, "counter.meter.calibration_factor"),
            ({"limits": {"min": 1e300, "max": 0}}, "limits.min"),
            ({"limits": {"reset_above": 95}}, "limits.reset_above"),
            ({"counter": {"meter": {"pulses_per_liter": 1e-320}}}, "counter.meter.pulses_per_liter"),
            ({"sentinels": [0.5] * 101}, "sentinels"),
        ],
    )
    async def test_field_that_cannot_be_used_is_named(self, api: ApiHouse, patch: dict[str, Any], field: str) -> None:
        await api.add_point()
        answer = await api.admin.patch("/api/variables/well-1/total", json=patch)
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["fields"][0]["field"] == field


class TestGetAndDeleteVariable:
    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/variables/well-1/total")).status_code == 401
        assert (await api.client.delete("/api/variables/well-1/total")).status_code == 401
        assert (await api.reader.delete("/api/variables/well-1/total")).status_code == 403

    async def test_it_is_gone_and_the_others_stay(self, api: ApiHouse) -> None:
        await api.add_point()
        assert (await api.admin.delete("/api/variables/well-1/total")).status_code == 200
        assert (await api.admin.get("/api/variables/well-1/total")).status_code == 404
        assert (await api.admin.get("/api/variables/well-1/flow")).status_code == 200
        assert (await api.admin.delete("/api/variables/well-1/total")).status_code == 404
        assert (await api.admin.delete("/api/variables/nowhere/total")).status_code == 404
