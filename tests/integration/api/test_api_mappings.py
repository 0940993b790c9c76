"""Mappings of points and providers: judged when they are written, and tried on a payload before they count."""

from typing import Any

from integration.api.house import WELL, ApiHouse

GOOD: dict[str, Any] = {"time": {"path": "t"}, "values": {"flow": {"path": "q", "convert": ["m3/h", "l/s"]}}}
TEMPLATE = '{"code": "p", "device": "d", "mapping": {"values": {"flow": {"shift": NUMBER}}}}'
BAD: list[tuple[Any, str]] = [
    ("caudale", "mapping"),
    ({"preset": "caudale"}, "mapping.preset"),
    ({"readings": "$.a["}, "mapping.readings"),
    ({"readings": 5}, "mapping.readings"),
    ({"time": {"path": "t", "format": "%Q"}}, "mapping.time.format"),
    ({"time": {"zone": "Chile"}}, "mapping.time.zone"),
    ({"values": {"good": {}, "flow": {"scale": 0}}}, "mapping.values.flow.scale"),
    ({"values": {"flow": {"scale": True}}}, "mapping.values.flow.scale"),
    ({"values": {"flow": {"convert": ["m3/h", "m"]}}}, "mapping.values.flow.convert"),
    ({"tiem": {"path": "t"}}, "mapping.tiem"),
]


class TestJudging:
    async def test_a_mapping_that_cannot_be_used_is_refused_by_its_field(self, api: ApiHouse) -> None:
        await api.add_point(code="well-2", device="meter-2", mapping=GOOD)
        await api.add_provider("acme", mapping=GOOD)
        for mapping, field in BAD:
            answers = [
                await api.admin.post("/api/points/", json=WELL | {"mapping": mapping}),
                await api.admin.patch("/api/points/well-2", json={"mapping": mapping}),
                await api.admin.post("/api/providers/", json={"code": "other", "mapping": mapping}),
                await api.admin.patch("/api/providers/acme", json={"mapping": mapping}),
            ]
            assert [answer.status_code for answer in answers] == [422] * 4, mapping
            assert {answer.json()["error"]["fields"][0]["field"] for answer in answers} == {field}
        assert (await api.admin.get("/api/points/well-2")).json()["mapping"] == GOOD

    async def test_numbers_that_are_none_are_refused(self, api: ApiHouse) -> None:
        for number in ("1e999", "NaN", "9" * 400):
            body = TEMPLATE.replace("NUMBER", number)
            answer = await api.admin.post("/api/points/", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in (400, 422), answer.text


class TestTrying:
    async def test_nobody_and_readers_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.post("/api/mappings/try", json={"payload": {}})).status_code == 401
        assert (await api.reader.post("/api/mappings/try", json={"payload": {}})).status_code == 403

    async def test_readings_and_reasons_are_shown_and_nothing_is_kept(self, api: ApiHouse) -> None:
        before = await api.rows("select count(*) from audit_log")
        payload = [
            {"t": "2026-03-02T09:00:00", "q": 36, "id": "pozo-7"},
            {"t": "2026-03-02T09:10:00", "q": "n/a", "id": "pozo-7"},
            {"t": "2036-03-02T09:10:00", "q": 1},
        ]
        body = {"mapping": GOOD | {"device": "id"}, "payload": payload, "time_zone": "America/Santiago"}
        answer = await api.admin.post("/api/mappings/try", json=body | {"received_at": "2026-03-02T14:00:00Z"})
        assert answer.status_code == 200
        said = answer.json()
        assert (said["readings_found"], said["parts_refused"]) == (1, 2)
        (reading,) = said["readings"]
        assert (reading["device"], reading["measured_at"]) == ("pozo-7", "2026-03-02T12:00:00Z")
        assert (reading["values"], reading["is_timed"]) == ({"flow": 10.0}, True)
        assert [refused["field"] for refused in said["refused"]] == ["[1].flow", "[2].t"]
        assert api.bus.published == []
        assert await api.rows("select count(*) from audit_log") == before

    async def test_a_long_payload_is_shown_in_part_and_counted_in_full(self, api: ApiHouse) -> None:
        payload = [{"ts": 1_772_445_600 + number, "values": {"flow": number}} for number in range(250)]
        said = (await api.admin.post("/api/mappings/try", json={"payload": payload})).json()
        assert (len(said["readings"]), said["readings_found"]) == (100, 250)

    async def test_what_cannot_be_tried_is_refused_by_its_field(self, api: ApiHouse) -> None:
        for mapping, field in BAD:
            answer = await api.admin.post("/api/mappings/try", json={"mapping": mapping, "payload": {}})
            assert answer.status_code == 422, mapping
            assert answer.json()["error"]["fields"][0]["field"] == field
        answer = await api.admin.post("/api/mappings/try", json={"payload": {}, "time_zone": "Chile/Nowhere"})
        assert (answer.status_code, answer.json()["error"]["fields"][0]["field"]) == (422, "time_zone")
        assert (await api.admin.post("/api/mappings/try", json={})).status_code == 422
        for payload in (7, None, "text", [[]], {"ts": 1, "values": {"a": [[]] * 3}}):
            answer = await api.admin.post("/api/mappings/try", json={"payload": payload})
            assert (answer.status_code, answer.json()["readings_found"]) == (200, 0)

    async def test_presets_are_shown_as_one_would_write_them(self, api: ApiHouse) -> None:
        presets = (await api.reader.get("/api/mapping-presets/")).json()
        for name, mapping in presets.items():
            body = {"mapping": mapping, "payload": {"ts": 1_772_445_600, "flow": 1}}
            assert (await api.admin.post("/api/mappings/try", json=body)).status_code == 200, name
