"""/api/points/: who may, what enters, what is told, and what is written down."""

import json
from typing import Any, ClassVar

import pytest

from caudal.common.adapters.sql_catalog import SqlCatalog
from caudal.common.bus.codec import decode
from caudal.common.bus.messages import ConfigChanged
from integration.api.house import WELL, ApiHouse

FLOW: dict[str, Any] = {"code": "flow", "type": "flow"}


def told(api: ApiHouse) -> list[tuple[str, str | None]]:
    """Devices and points of the changes that were published."""
    messages = api.bus.on("telemetry/+/config")
    assert all(message.retain for message in messages)
    changes = [decode(message.payload, ConfigChanged) for message in messages]
    return [(change.device, change.point) for change in changes]


class TestListPoints:
    async def test_nobody_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/points/")).status_code == 401

    async def test_pages_search_filters_and_order(self, api: ApiHouse) -> None:
        for number in range(5):
            kind = "RIVER" if number == 3 else "WELL"
            await api.add_point(code=f"p{number}", device=f"d{number}", name=f"Río {9 - number}_%", type=kind)
        answer = (await api.reader.get("/api/points/?order=-name&page_size=2&page=2")).json()
        assert (answer["total"], answer["page"]) == (5, 2)
        assert [point["code"] for point in answer["items"]] == ["p2", "p3"]
        assert [p["code"] for p in (await api.reader.get("/api/points/?type=RIVER")).json()["items"]] == ["p3"]
        assert [p["code"] for p in (await api.reader.get("/api/points/?device=d1")).json()["items"]] == ["p1"]
        assert [p["code"] for p in (await api.reader.get("/api/points/?search=RÍO 8_%25")).json()["items"]] == ["p1"]
        assert (await api.reader.get("/api/points/?search=8_%25")).json()["total"] == 1
        assert (await api.reader.get("/api/points/?search=8x")).json()["total"] == 0
        assert (await api.reader.get("/api/points/?page=9")).json()["items"] == []

    async def test_unknown_order_is_named(self, api: ApiHouse) -> None:
        answer = await api.reader.get("/api/points/?order=password")
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"] == "order"


class TestCreatePoint:
    async def test_nobody_may_not(self, api: ApiHouse) -> None:
        answer = await api.client.post("/api/points/", json=WELL)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorized"
        assert answer.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize(
        ("body", "field", "reason"),
        [
            ({"code": "p"}, "device", "is missing"),
            (WELL | {"nope": 1}, "nope", "there is no such field"),
            (WELL | {"code": "a b"}, "code", "'a b' is not 1 to 64 of A-Z a-z 0-9 _ -"),
            (WELL | {"credentials": {"token": "\ud800"}}, "credentials.token", "has a character that cannot be stored"),
            (WELL | {"credentials": {"a b": "x"}}, "credentials.a b", "'a b' is not 1 to 64 of A-Z a-z 0-9 _ -"),
            (WELL | {"mapping": {"values": [1]}}, "mapping.values", "must be a text or an object"),
            (WELL | {"mapping": {"values": "*", "x": 1}}, "mapping.x", "there is no such field"),
            (WELL | {"mapping": 5}, "mapping", "must be the name of a preset, or an object"),
            (WELL | {"rules": None}, "rules", "must be an object"),
            (WELL | {"rules": {"gap_factor": True}}, "rules.gap_factor", "must be a number"),
            (WELL | {"variables": [FLOW | {"sentinels": [-1, True]}]}, "variables.0.sentinels.1", "must be a number"),
            (WELL | {"time_zone": "localtime"}, "time_zone", "'localtime' is not a time zone such as America/Santiago"),
            (WELL | {"credentials": "x"}, "credentials", "must be an object"),
            ([], "body", "must be a JSON object; is the Content-Type application/json?"),
        ],
    )
    async def test_what_is_wrong_is_told_in_plain_words(
        self, api: ApiHouse, body: Any, field: str, reason: str
    ) -> None:
        sent = json.dumps(body).encode()
        answer = await api.operator.post("/api/points/", content=sent, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert {"field": field, "reason": reason} in answer.json()["error"]["fields"]

    async def test_reader_may_not(self, api: ApiHouse) -> None:
        answer = await api.reader.post("/api/points/", json=WELL)
        assert answer.status_code == 403
        assert "points:write" in answer.json()["error"]["message"]

    async def test_point_with_variables_is_there_for_other_services(self, api: ApiHouse) -> None:
        answer = await api.operator.post("/api/points/", json=WELL | {"mapping": {"values": "*"}, "max_rows": 5})
        assert answer.status_code == 201
        point = await SqlCatalog(api.engine).point_of("meter-1")
        assert point is not None
        assert (point.code, point.mapping, point.max_rows) == ("well-1", {"values": "*"}, 5)
        assert [variable.code for variable in point.variables] == ["total", "flow"]
        assert point.variables[0].counter is not None
        assert point.variables[0].counter.meter is not None
        assert point.variables[0].counter.meter.pulses_per_liter == 0.1

    async def test_it_is_told_and_journalled(self, api: ApiHouse) -> None:
        await api.add_point()
        assert told(api) == [("meter-1", "well-1")]
        entries = (await api.reader.get("/api/points/well-1/journal/")).json()["items"]
        assert [(e["who"], e["action"], e["before"]) for e in entries] == [("admin@caudal.test", "create", None)]
        assert entries[0]["after"]["device"] == "meter-1"

    @pytest.mark.parametrize(("field", "other"), [("code", {"device": "meter-2"}), ("device", {"code": "device"})])
    async def test_taken_code_or_device_is_a_conflict_that_says_which(
        self, api: ApiHouse, field: str, other: dict[str, str]
    ) -> None:
        await api.add_point()
        answer = await api.admin.post("/api/points/", json=WELL | other)
        assert answer.status_code == 409
        assert [entry["field"] for entry in answer.json()["error"]["fields"]] == [field]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"code": "a/b"}, "code"),
            ({"device": "#"}, "device"),
            ({"device": None}, "device"),
            ({"provider": "nobody"}, "provider"),
            ({"type": "POND"}, "type"),
            ({"status": "OFFLINE"}, "status"),
            ({"time_zone": "Mars/Olympus"}, "time_zone"),
            ({"time_zone": "../../etc/passwd"}, "time_zone"),
            ({"sampling_minutes": 0}, "sampling_minutes"),
            ({"sampling_minutes": True}, "sampling_minutes"),
            ({"sampling_minutes": "60"}, "sampling_minutes"),
            ({"max_rows": 0}, "max_rows"),
            ({"max_rows": 2**63}, "max_rows"),
            ({"max_rows": 1.5}, "max_rows"),
            ({"mapping": {}}, "mapping"),
            ({"mapping": "a preset"}, "mapping"),
            ({"name": "x" * 201}, "name"),
            ({"name": "nul\x00"}, "name"),
            ({"wells": 3}, "wells"),
            ({"rules": {"gap_factor": False}}, "rules.gap_factor"),
            ({"rules": {"gap": 1}}, "rules.gap"),
            ({"rules": {"gap_factor": 0.5}}, "rules.gap_factor"),
            ({"rules": {"gap_factor": 1e300}}, "rules.gap_factor"),
            ({"rules": {"level_change_m": -1}}, "rules.level_change_m"),
            ({"variables": [{"code": "x", "type": "flow"}] * 2}, "variables.1.code"),
            ({"variables": [{"code": "x", "type": "flux"}]}, "variables.0.type"),
            ({"variables": [{"code": "x y", "type": "flow"}]}, "variables.0.code"),
            ({"variables": [{"code": "x", "type": "flow", "scale": 0}]}, "variables.0.scale"),
            ({"variables": [{"code": "x", "type": "flow", "scale": True}]}, "variables.0.scale"),
            ({"variables": [{"code": "x", "type": "flow", "scale": "1"}]}, "variables.0.scale"),
            ({"variables": [{"code": "x", "type": "flow", "limits": {"min": 2, "max": 1}}]}, "variables.0.limits.min"),
            (
                {"variables": [{"code": "x", "type": "totalizer", "counter": {"register_bits": 7}}]},
                "variables.0.counter.register_bits",
            ),
            (
                {"variables": [{"code": "x", "type": "totalizer", "counter": {"swaps": [{"at": "2026-03-02"}]}}]},
                "variables.0.counter.swaps.0.at",
            ),
            (
                {
                    "variables": [
                        {"code": "x", "type": "totalizer", "counter": {"swaps": [{"at": "0001-01-01T00:00:00+14:00"}]}}
                    ]
                },
                "variables.0.counter.swaps.0.at",
            ),
            (
                {"variables": [{"code": "x", "type": "totalizer", "counter": {"meter": {"pulses_per_liter": -1}}}]},
                "variables.0.counter.meter.pulses_per_liter",
            ),
        ],
    )
    async def test_field_that_cannot_be_used_is_named(self, api: ApiHouse, body: dict[str, Any], field: str) -> None:
        answer = await api.admin.post("/api/points/", json=WELL | body)
        assert answer.status_code == 422, answer.text
        error = answer.json()["error"]
        assert error["code"] == "invalid_input"
        assert field in [entry["field"] for entry in error["fields"]], error
        assert all(entry["reason"] for entry in error["fields"])
        assert (await api.admin.get("/api/points/")).json()["total"] == 0
        assert not api.bus.published

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
    async def test_number_that_is_none_is_refused(self, api: ApiHouse, number: str) -> None:
        body = f'{{"code": "p", "device": "d", "variables": [{{"code": "x", "type": "flow", "scale": {number}}}]}}'
        answer = await api.admin.post("/api/points/", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["fields"][0]["field"] == "variables.0.scale"

    async def test_what_could_not_be_told_is_told_later(self, api: ApiHouse) -> None:
        api.bus.away = True
        await api.add_point()
        assert not api.bus.published
        api.bus.away = False
        assert await api.house.relay.deliver() == 1
        assert told(api) == [("meter-1", "well-1")]
        assert await api.house.relay.deliver() == 0


class TestGetPoint:
    async def test_nobody_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/points/well-1")).status_code == 401

    async def test_it_is_shown_with_its_variables(self, api: ApiHouse) -> None:
        made = await api.add_point()
        for path in ("/api/points/well-1", "/api/points/well-1/"):
            assert (await api.reader.get(path)).json() == made

    async def test_unknown_one_is_not_found(self, api: ApiHouse) -> None:
        answer = await api.reader.get("/api/points/nowhere")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


class TestPatchPoint:
    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.patch("/api/points/well-1", json={})).status_code == 401
        assert (await api.reader.patch("/api/points/well-1", json={})).status_code == 403

    async def test_what_is_not_named_stays(self, api: ApiHouse) -> None:
        made = await api.add_point(rules={"gap_factor": 5.0, "level_change_m": 2.0}, max_rows=9)
        answer = await api.admin.patch(
            "/api/points/well-1", json={"rules": {"gap_factor": 4}, "max_rows": None, "name": "Uno"}
        )
        assert answer.status_code == 200, answer.text
        rules = made["rules"] | {"gap_factor": 4.0}
        assert answer.json() == made | {"rules": rules, "max_rows": None, "name": "Uno"}
        assert (await api.admin.get("/api/points/well-1")).json() == answer.json()

    async def test_new_device_is_told_and_the_old_one_too(self, api: ApiHouse) -> None:
        await api.add_point()
        api.bus.published.clear()
        assert (await api.admin.patch("/api/points/well-1", json={"device": "meter-2"})).status_code == 200
        assert told(api) == [("meter-1", None), ("meter-2", "well-1")]
        assert await SqlCatalog(api.engine).point_of("meter-1") is None

    async def test_device_of_another_point_is_a_conflict(self, api: ApiHouse) -> None:
        await api.add_point()
        await api.add_point(code="well-2", device="meter-2")
        answer = await api.admin.patch("/api/points/well-2", json={"device": "meter-1"})
        assert answer.status_code == 409
        assert (await api.admin.get("/api/points/well-2")).json()["device"] == "meter-2"

    @pytest.mark.parametrize(
        ("body", "field"),
        [({"code": "x"}, "code"), ({"rules": {"gap_factor": True}}, "rules.gap_factor"), ({"device": None}, "device")],
    )
    async def test_field_that_cannot_be_used_is_named(self, api: ApiHouse, body: dict[str, Any], field: str) -> None:
        await api.add_point()
        answer = await api.admin.patch("/api/points/well-1", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"] == field


class TestDeletePoint:
    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.delete("/api/points/well-1")).status_code == 401
        assert (await api.reader.delete("/api/points/well-1")).status_code == 403

    async def test_it_is_gone_told_and_still_in_the_journal(self, api: ApiHouse) -> None:
        await api.add_point()
        assert (await api.admin.delete("/api/points/well-1")).status_code == 204
        assert (await api.admin.get("/api/points/well-1")).status_code == 404
        assert (await api.admin.get("/api/variables/")).json()["total"] == 0
        assert told(api)[-1] == ("meter-1", None)
        actions = [entry["action"] for entry in (await api.reader.get("/api/points/well-1/journal/")).json()["items"]]
        assert actions == ["delete", "create"]
        assert (await api.admin.delete("/api/points/well-1")).status_code == 404


class TestMeterSwap:
    SWAP: ClassVar[dict[str, Any]] = {
        "variable": "total",
        "at": "2026-03-01T10:00:00-04:00",
        "starts_at": 7,
        "note": "flooded",
    }

    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.post("/api/points/well-1/meter-swaps/", json=self.SWAP)).status_code == 401
        assert (await api.reader.post("/api/points/well-1/meter-swaps/", json=self.SWAP)).status_code == 403

    async def test_swaps_are_kept_in_order_and_journalled(self, api: ApiHouse) -> None:
        await api.add_point()
        later = self.SWAP | {"at": "2026-03-01T20:00:00Z"}
        assert (await api.operator.post("/api/points/well-1/meter-swaps/", json=later)).status_code == 201
        answer = await api.operator.post("/api/points/well-1/meter-swaps/", json=self.SWAP)
        assert answer.status_code == 201
        swaps = [(swap["at"], swap["starts_at"]) for swap in answer.json()["counter"]["swaps"]]
        assert swaps == [("2026-03-01T14:00:00Z", 7.0), ("2026-03-01T20:00:00Z", 7.0)]
        last = (await api.reader.get("/api/points/well-1/journal/")).json()["items"][0]
        assert (last["action"], last["kind"], last["key"]) == ("meter_swap", "variable", "total")
        assert last["who"] == "operator@caudal.test"
        assert len(last["before"]["counter"]["swaps"]) == 1
        assert len(last["after"]["counter"]["swaps"]) == 2
        assert told(api)[-1] == ("meter-1", "well-1")

    async def test_same_instant_twice_is_a_conflict(self, api: ApiHouse) -> None:
        await api.add_point()
        await api.admin.post("/api/points/well-1/meter-swaps/", json=self.SWAP)
        answer = await api.admin.post("/api/points/well-1/meter-swaps/", json=self.SWAP | {"starts_at": 0})
        assert (answer.status_code, answer.json()["error"]["fields"][0]["field"]) == (409, "at")

    @pytest.mark.parametrize(
        ("change", "status", "field"),
        [
            ({"at": "2026-03-01T10:00:00"}, 422, "at"),
            ({"at": 12345}, 422, "at"),
            ({"at": "0001-01-01T00:00:00+14:00"}, 422, "at"),
            ({"at": "9999-12-31T23:59:59-14:00"}, 422, "at"),
            ({"starts_at": "7"}, 422, "starts_at"),
            ({"note": "\x00"}, 422, "note"),
            ({"variable": "flow"}, 422, "variable"),
            ({"variable": "level"}, 404, None),
        ],
    )
    async def test_bad_swap_is_refused(
        self, api: ApiHouse, change: dict[str, Any], status: int, field: str | None
    ) -> None:
        await api.add_point()
        answer = await api.admin.post("/api/points/well-1/meter-swaps/", json=self.SWAP | change)
        assert answer.status_code == status, answer.text
        assert [entry["field"] for entry in answer.json()["error"]["fields"]] == ([field] if field else [])


class TestJournal:
    async def test_nobody_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/points/well-1/journal/")).status_code == 401

    @pytest.mark.parametrize("statement", ["delete from audit_log", "update audit_log set who = 'me'"])
    async def test_it_cannot_be_edited(self, api: ApiHouse, statement: str) -> None:
        await api.add_point()
        with pytest.raises(Exception, match="append only"):
            await api.rows(statement)
