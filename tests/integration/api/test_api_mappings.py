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
    ({"tiem": {"path": "t"}}, "mapping"),
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
