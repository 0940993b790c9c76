"""What a point's readings are judged by, over time: versions, meter swaps, and what is to be folded again."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from caudal.common.adapters.sql_catalog import SqlCatalog
from caudal.common.domain.payloads.zones import Zones, zones_of
from integration.api.house import NOW, ApiHouse, reading

DAY = timedelta(days=1)
BASE = "/api/points/well-1/versions"
SWAPS = "/api/points/well-1/meter-swaps"


def ago(days: float) -> str:
    return (NOW - DAY * days).isoformat().replace("+00:00", "Z")


def constant(pulses_per_liter: float) -> dict[str, Any]:
    return {"counter": {"meter": {"pulses_per_liter": pulses_per_liter}}}


@pytest.fixture
async def measured(api: ApiHouse) -> ApiHouse:
    """A well with a reading a day for ten days, the last one a day ago."""
    await api.add_point()
    await api.keep(*(reading(NOW - DAY * days, total=1000 + 100 * (10 - days), flow=1) for days in range(1, 11)))
    api.bus.published.clear()
    return api


async def versions(api: ApiHouse) -> list[tuple[str | None, str | None, float]]:
    items = (await api.reader.get(f"{BASE}/")).json()["items"]
    return [
        (each["valid_from"], each["valid_until"], each["variables"][0]["counter"]["meter"]["pulses_per_liter"])
        for each in items
    ]


class TestChange:
    async def test_now_is_from_when_on_a_change_is_valid_if_nobody_says(self, measured: ApiHouse) -> None:
        answer = await measured.admin.patch("/api/variables/well-1/total", json=constant(0.2))
        assert answer.status_code == 200, answer.text
        assert "fold" not in answer.json(), "the past stays as it is"
        assert await versions(measured) == [(None, ago(0), 0.1), (ago(0), None, 0.2)]
        point = await SqlCatalog(measured.engine).point("well-1")
        assert point is not None
        assert [version.valid_until for version in point.earlier] == [NOW]

    async def test_a_point_without_a_past_has_one_version_however_often_it_is_changed(self, api: ApiHouse) -> None:
        await api.add_point()
        for number in (0.2, 0.3):
            await api.admin.patch("/api/variables/well-1/total", json=constant(number))
        assert await versions(api) == [(None, None, 0.3)]

    @pytest.mark.parametrize("begin", [None, "beginning"])
    async def test_since_ever_corrects_the_past_and_says_how_much_is_to_be_folded(
        self, measured: ApiHouse, begin: str | None
    ) -> None:
        answer = await measured.admin.patch("/api/variables/well-1/total", json=constant(0.2) | {"valid_from": begin})
        assert answer.json()["fold"] == {"from": None, "to": None, "readings": 10, "order": None}
        assert await versions(measured) == [(None, None, 0.2)]
        assert not measured.processor.commands

    async def test_in_mid_past_is_about_what_was_measured_after_it(self, measured: ApiHouse) -> None:
        body = {"sampling_minutes": 15, "valid_from": ago(3)}
        answer = await measured.operator.patch("/api/points/well-1?fold=true", json=body)
        fold = answer.json()["fold"]
        assert (fold["from"], fold["to"], fold["readings"]) == (ago(3), None, 3)
        order = await measured.reader.get(f"/api/telemetry/process/{fold['order']}")
        assert order.json()["state"] == "done"
        [command] = measured.processor.commands
        assert (command.action, command.params["point"]) == ("process", "well-1")
        assert command.params["from"] == (NOW - DAY * 3).isoformat()

    async def test_names_make_no_version(self, measured: ApiHouse) -> None:
        await measured.admin.patch("/api/points/well-1", json={"name": "Otro", "latitude": 1, "longitude": 2})
        await measured.admin.patch("/api/variables/well-1/total", json={"name": "Volumen"})
        assert len(await versions(measured)) == 1

    async def test_variable_comes_for_all_the_past_and_goes_from_now_on(self, measured: ApiHouse) -> None:
        level = {"point": "well-1", "code": "level", "type": "level"}
        added = await measured.admin.post("/api/variables/", json=level)
        assert (added.status_code, added.json()["fold"]["readings"]) == (201, 10)
        assert len(await versions(measured)) == 1
        deleted = await measured.admin.delete("/api/variables/well-1/level")
        assert (deleted.status_code, deleted.json()) == (200, {})
        items = (await measured.reader.get(f"{BASE}/")).json()["items"]
        assert [[variable["code"] for variable in each["variables"]] for each in items] == [
            ["total", "flow", "level"],
            ["total", "flow"],
        ]

    async def test_variable_that_never_was_there_goes_with_the_past(self, measured: ApiHouse) -> None:
        answer = await measured.admin.delete(f"/api/variables/well-1/flow?valid_from={ago(3)}")
        assert answer.json()["fold"] == {"from": ago(3), "to": None, "readings": 3, "order": None}
        assert len(await versions(measured)) == 2
        answer = await measured.operator.delete("/api/variables/well-1/total?valid_from=beginning&fold=true")
        assert (answer.json()["fold"]["from"], answer.json()["fold"]["readings"]) == (None, 10)
        [command] = measured.processor.commands
        assert (command.action, command.params["point"]) == ("process", "well-1")
        refused = await measured.admin.delete("/api/variables/well-1/total?valid_from=yesterday")
        assert refused.json()["error"]["fields"][0]["field"] == "valid_from"

    @pytest.mark.parametrize("begin", [ago(-1), "yesterday", "2026-03-01", 5, True, [], "0001-01-01T00:00:00+14:00"])
    async def test_begin_that_cannot_be_used_is_named(self, measured: ApiHouse, begin: Any) -> None:
        for path in ("/api/points/well-1", "/api/variables/well-1/flow"):
            answer = await measured.admin.patch(path, json={"valid_from": begin})
            assert answer.status_code == 422, answer.text
            assert answer.json()["error"]["fields"][0]["field"] == "valid_from"

    async def test_fold_needs_its_own_permission_and_nothing_is_changed_without(self, measured: ApiHouse) -> None:
        body = {"code": "editor", "name": "", "permissions": ["points:read", "points:write"]}
        assert (await measured.admin.post("/api/roles/", json=body)).status_code == 201
        user = await measured.add_user(email="editor@caudal.test", role="editor")
        answer = await measured.as_(user).patch("/api/points/well-1?fold=true", json={"name": "x"})
        assert answer.status_code == 403
        assert "telemetry:write" in answer.json()["error"]["message"]
        assert (await measured.as_(user).patch("/api/points/well-1", json={"name": "x"})).status_code == 200

    async def test_change_stands_when_the_fold_cannot_be_ordered(self, measured: ApiHouse) -> None:
        measured.bus.away = True
        body = constant(0.2) | {"valid_from": None}
        answer = await measured.admin.patch("/api/variables/well-1/total?fold=true", json=body)
        assert answer.status_code == 200
        assert (answer.json()["fold"]["readings"], answer.json()["fold"]["order"]) == (10, None)

    async def test_readings_are_judged_by_what_was_valid_when_they_were_measured(self, measured: ApiHouse) -> None:
        await measured.admin.patch("/api/variables/well-1/total", json=constant(0.2) | {"valid_from": ago(0.5)})
        await measured.keep(
            reading(NOW - DAY * 0.75, total=1950), reading(NOW - DAY * 0.5, total=2000), reading(NOW, total=2100)
        )
        params = {"point": "well-1", "variables": "total", "from": ago(1.5), "to": ago(-1)}
        samples = (await measured.reader.get("/api/telemetry/data/", params=params)).json()["samples"]
        assert [sample["values"]["total"] for sample in samples] == pytest.approx([19, 19.5, 19.75, 20.25])


class TestVersions:
    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        for method in ("PATCH", "DELETE"):
            for client, status in ((api.client, 401), (api.reader, 403)):
                answer = await client.request(method, f"{BASE}/beginning", json={} if method == "PATCH" else None)
                assert answer.status_code == status
        assert (await api.client.get(f"{BASE}/")).status_code == 401
        assert (await api.reader.get(f"{BASE}/")).status_code == 404

    async def test_one_is_corrected_by_itself_and_journalled(self, measured: ApiHouse) -> None:
        await measured.admin.patch("/api/variables/well-1/total", json=constant(0.2) | {"valid_from": ago(5)})
        first = await measured.reader.get(f"{BASE}/beginning")
        variables = first.json()["variables"]
        variables[0]["counter"]["meter"]["pulses_per_liter"] = 0.4
        seen = {"If-Match": first.headers["etag"]}
        answer = await measured.admin.patch(f"{BASE}/beginning", json={"variables": variables}, headers=seen)
        assert answer.status_code == 200, answer.text
        assert answer.json()["fold"] == {"from": None, "to": ago(5), "readings": 5, "order": None}
        assert await versions(measured) == [(None, ago(5), 0.4), (ago(5), None, 0.2)]
        last = (await measured.reader.get("/api/points/well-1/journal/")).json()["items"][0]
        assert (last["action"], last["kind"], last["key"]) == ("change", "version", "beginning")
        again = await measured.admin.patch(f"{BASE}/beginning", json={"sampling_minutes": 5}, headers=seen)
        assert again.status_code == 412

    async def test_one_can_be_moved_between_its_neighbours(self, measured: ApiHouse) -> None:
        await measured.admin.patch("/api/variables/well-1/total", json=constant(0.2) | {"valid_from": ago(5)})
        answer = await measured.admin.patch(f"{BASE}/{ago(5)}", json={"valid_from": ago(4)})
        assert (answer.status_code, answer.json()["valid_from"]) == (200, ago(4))
        assert answer.json()["fold"]["readings"] == 1
        for begin in (None, ago(-1)):
            refused = await measured.admin.patch(f"{BASE}/{ago(4)}", json={"valid_from": begin})
            assert refused.status_code == 422
            assert refused.json()["error"]["fields"][0]["field"] == "valid_from"

    async def test_one_is_removed_but_never_the_only_one(self, measured: ApiHouse) -> None:
        await measured.admin.patch("/api/variables/well-1/total", json=constant(0.2) | {"valid_from": ago(5)})
        gone = await measured.admin.delete(f"{BASE}/{ago(5)}")
        assert (gone.status_code, gone.json()["fold"]["readings"]) == (200, 5)
        assert await versions(measured) == [(None, None, 0.1)]
        assert (await measured.admin.delete(f"{BASE}/{ago(5)}")).status_code == 404
        assert (await measured.admin.delete(f"{BASE}/beginning")).status_code == 409

    async def test_null_is_the_default_as_in_a_point(self, measured: ApiHouse) -> None:
        said = {"sampling_minutes": 5, "time_zone": "America/Lima", "rules": {"gap_factor": 7}}
        nothing = dict.fromkeys(said)
        assert (await measured.admin.patch(f"{BASE}/beginning", json=said)).json()["rules"]["gap_factor"] == 7
        for path in (f"{BASE}/beginning", "/api/points/well-1"):
            answer = (await measured.admin.patch(path, json=nothing | {"valid_from": None})).json()
            assert (answer["sampling_minutes"], answer["time_zone"], answer["rules"]["gap_factor"]) == (60, "UTC", 3)
            await measured.admin.patch(path, json=said | {"valid_from": None})

    @pytest.mark.parametrize("body", [{"sampling_minutes": 0}, {"rules": {"gap": 1}}, {"variables": [{"code": "x"}]}])
    async def test_field_that_cannot_be_used_is_named(self, measured: ApiHouse, body: dict[str, Any]) -> None:
        answer = await measured.admin.patch(f"{BASE}/beginning", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"].startswith(next(iter(body)))


class TestTimeZone:
    async def zones(self, api: ApiHouse) -> list[tuple[str | None, str]]:
        items = (await api.reader.get(f"{BASE}/")).json()["items"]
        return [(each["valid_from"], each["time_zone"]) for each in items]

    async def test_change_makes_a_version_and_no_fold_since_what_is_stored_stays(self, measured: ApiHouse) -> None:
        body = {"time_zone": "America/Santiago", "valid_from": ago(5)}
        answer = await measured.admin.patch("/api/points/well-1?fold=true", json=body)
        assert (answer.status_code, answer.json()["time_zone"], "fold" in answer.json()) == (
            200,
            body["time_zone"],
            False,
        )
        assert not measured.processor.commands
        assert await self.zones(measured) == [(None, "UTC"), (ago(5), "America/Santiago")]
        found = (await measured.reader.get(f"{BASE}/?time_zone=UTC")).json()
        assert [each["valid_from"] for each in found["items"]] == [None]
        found = (await measured.reader.get(f"{BASE}/?valid_from_from={ago(6)}&search=santiago")).json()
        assert [each["valid_from"] for each in found["items"]] == [ago(5)]
        point = await SqlCatalog(measured.engine).point("well-1")
        assert point is not None
        assert zones_of(point) == Zones(("UTC", "America/Santiago"), (NOW - DAY * 5,))

    async def test_zone_of_one_version_is_corrected_by_itself(self, measured: ApiHouse) -> None:
        await measured.admin.patch("/api/points/well-1", json={"time_zone": "America/Santiago", "valid_from": ago(5)})
        answer = await measured.operator.patch(f"{BASE}/beginning", json={"time_zone": "America/Lima"})
        assert (answer.status_code, answer.json()["time_zone"], "fold" in answer.json()) == (200, "America/Lima", False)
        assert await self.zones(measured) == [(None, "America/Lima"), (ago(5), "America/Santiago")]
        last = (await measured.reader.get("/api/points/well-1/journal/")).json()["items"][0]
        assert (last["before"]["time_zone"], last["after"]["time_zone"]) == ("UTC", "America/Lima")
        refused = await measured.operator.patch(f"{BASE}/beginning", json={"time_zone": "Mars/Olympus"})
        assert (refused.status_code, refused.json()["error"]["fields"][0]["field"]) == (422, "time_zone")

    async def test_versions_kept_without_a_zone_have_the_one_that_the_point_had(self, measured: ApiHouse) -> None:
        await measured.admin.patch("/api/variables/well-1/total", json=constant(0.2) | {"valid_from": ago(5)})
        async with measured.engine.begin() as connection:
            old = "update point_versions set body = replace(body, '\"time_zone\":\"UTC\",', '')"
            assert (await connection.execute(sa.text(old))).rowcount == 1
        assert await self.zones(measured) == [(None, "UTC"), (ago(5), "UTC")]
        await measured.admin.patch("/api/points/well-1", json={"time_zone": "America/Lima", "valid_from": ago(3)})
        assert await self.zones(measured) == [(None, "UTC"), (ago(5), "UTC"), (ago(3), "America/Lima")]


class TestMeterSwaps:
    async def test_swap_is_part_of_every_version_and_can_be_taken_back(self, measured: ApiHouse) -> None:
        await measured.admin.patch("/api/variables/well-1/total", json=constant(0.2))
        body = {"variable": "total", "at": ago(2.5), "starts_at": 7}
        made = await measured.operator.post(f"{SWAPS}/?fold=true", json=body, headers={"Idempotency-Key": "k"})
        assert made.status_code == 201, made.text
        fold = made.json()["fold"]
        assert (fold["from"], fold["to"], fold["readings"]) == (ago(2.5), None, 2)
        again = await measured.operator.post(f"{SWAPS}/?fold=true", json=body, headers={"Idempotency-Key": "k"})
        assert again.json() == made.json()
        assert len(measured.processor.commands) == 1
        point = await SqlCatalog(measured.engine).point("well-1")
        assert point is not None
        counters = [each.variables[0].counter for each in (*point.earlier, point)]
        assert [[swap.at for swap in counter.swaps] for counter in counters if counter] == [[NOW - DAY * 2.5]] * 2
        listed = (await measured.reader.get(f"{SWAPS}/?variable=total")).json()
        assert [(item["variable"], item["at"], item["starts_at"]) for item in listed["items"]] == [
            ("total", ago(2.5), 7)
        ]
        path = f"{SWAPS}/total/{ago(2.5)}"
        assert (await measured.operator.delete(path, headers={"If-Match": '"old"'})).status_code == 412
        seen = {"If-Match": made.headers["etag"]}
        assert (await measured.operator.delete(path, headers=seen)).json()["fold"]["readings"] == 2
        assert (await measured.operator.delete(path)).status_code == 404
        assert (await measured.reader.get(f"{SWAPS}/")).json()["total"] == 0
        journal = (await measured.reader.get("/api/points/well-1/journal/")).json()["items"]
        assert [entry["action"] for entry in journal[:2]] == ["meter_swap_removed", "meter_swap"]
