"""/api/providers/: only administrators manage them, and a key is shown once."""

from typing import Any

import pytest

from caudal.common.adapters.sql_catalog import SqlCatalog
from caudal.common.domain.catalog import PointSource, Provider
from integration.api.house import ApiHouse

ACME: dict[str, Any] = {"code": "acme", "name": "Acme", "mapping": {"values": "*"}, "time_zone": "America/Santiago"}
UNSAID = {"client": None, "type": "HTTP_API", "api": None, "connection": {}, "authentication": {}}
UNSAID |= {"active": True, "testing": False} | dict.fromkeys(("created_at", "updated_at"), "2026-03-02T10:00:00Z")


class TestProviders:
    async def test_nobody_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/providers/")).status_code == 401
        assert (await api.client.post("/api/providers/", json=ACME)).status_code == 401
        assert (await api.client.get("/api/providers/acme")).status_code == 401
        assert (await api.client.patch("/api/providers/acme", json={})).status_code == 401
        assert (await api.client.delete("/api/providers/acme")).status_code == 401

    async def test_reader_may_look_and_nothing_else(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        assert (await api.reader.get("/api/providers/acme")).status_code == 200
        assert (await api.reader.post("/api/providers/", json=ACME | {"code": "b"})).status_code == 403
        assert (await api.reader.patch("/api/providers/acme", json={"active": False})).status_code == 403
        assert (await api.reader.delete("/api/providers/acme")).status_code == 403

    async def test_it_is_there_for_other_services(self, api: ApiHouse) -> None:
        answer = await api.admin.post("/api/providers/", json=ACME)
        assert answer.status_code == 201
        assert answer.json() == ACME | UNSAID
        assert await SqlCatalog(api.engine).provider("acme") == Provider(**ACME)
        assert (await api.admin.post("/api/providers/", json=ACME)).status_code == 409

    async def test_change_is_told_to_its_points(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        await api.add_point(provider="acme")
        before = len(api.bus.published)
        answer = await api.admin.patch("/api/providers/acme", json={"mapping": "flat", "active": False})
        assert answer.json() == ACME | UNSAID | {"mapping": "flat", "active": False}
        assert [message.topic for message in api.bus.published[before:]] == ["telemetry/meter-1/config"]
        assert (await api.admin.get("/api/providers/?active=false&search=acm")).json()["total"] == 1
        assert (await api.admin.get("/api/providers/?active=true")).json()["total"] == 0

    async def test_how_it_is_asked_is_there_for_other_services(self, api: ApiHouse) -> None:
        asked = {
            "api": "tago",
            "connection": {"base_url": "https://acme.example"},
            "authentication": {"kind": "none"},
        }
        answer = await api.admin.post("/api/providers/", json=ACME | asked | {"testing": True})
        assert answer.json() == ACME | UNSAID | asked | {"testing": True}
        source = {"remote_id": "47-b", "keys": {"flow": "q"}}
        assert (await api.add_point(provider="acme", source=source))["source"] == source | {"history_from": None}
        catalog = SqlCatalog(api.engine)
        assert await catalog.providers() == [Provider(**ACME, **asked, testing=True)]
        assert [point.source for point in await catalog.sourced()] == [PointSource(**source)]
        answer = await api.admin.patch("/api/points/well-1", json={"source": None})
        assert answer.json()["source"] is None
        assert await catalog.sourced() == []

    async def test_mapping_is_replaced_as_a_whole(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        answer = await api.admin.patch("/api/providers/acme", json={"mapping": {"device": "id"}})
        assert answer.json()["mapping"] == {"device": "id"}

    async def test_it_stays_while_points_belong_to_it(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        await api.add_point(provider="acme")
        assert (await api.admin.delete("/api/providers/acme")).status_code == 409
        await api.admin.delete("/api/points/well-1")
        assert (await api.admin.delete("/api/providers/acme")).status_code == 204
        assert (await api.admin.get("/api/providers/acme")).status_code == 404
        assert (await api.admin.delete("/api/providers/acme")).status_code == 404

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"code": "a.b"}, "code"),
            ({"active": 1}, "active"),
            ({"mapping": 5}, "mapping"),
            ({"time_zone": ""}, "time_zone"),
        ],
    )
    async def test_field_that_cannot_be_used_is_named(self, api: ApiHouse, change: dict[str, Any], field: str) -> None:
        answer = await api.admin.post("/api/providers/", json=ACME | change)
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["fields"][0]["field"].startswith(field)


class TestKeys:
    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        for client, status in ((api.client, 401), (api.reader, 403)):
            assert (await client.get("/api/providers/acme/keys/")).status_code == status
            assert (await client.post("/api/providers/acme/keys/")).status_code == status
            assert (await client.delete("/api/providers/acme/keys/k")).status_code == status

    async def test_secret_is_shown_once_and_kept_nowhere(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        answer = await api.admin.post("/api/providers/acme/keys/", json={"label": "plant"})
        assert answer.status_code == 201
        assert answer.headers["cache-control"] == "no-store"
        key = answer.json()
        listed = (await api.admin.get("/api/providers/acme/keys/")).json()
        assert listed == [{name: value for name, value in key.items() if name != "key"}]
        assert (listed[0]["prefix"], listed[0]["permissions"]) == (key["key"][:13], ["telemetry:push"])
        kept = await api.rows("select * from api_keys")
        assert key["key"] not in str(kept)

    async def test_revoked_key_is_useless(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        assert (await api.with_key(key).post("/api/telemetry/uplink/acme", json={})).status_code == 202
        kept = (await api.admin.get("/api/providers/acme/keys/")).json()[0]["id"]
        assert (await api.admin.delete(f"/api/providers/acme/keys/{kept}")).status_code == 204
        assert (await api.with_key(key).post("/api/telemetry/uplink/acme", json={})).status_code == 401
        assert (await api.admin.delete(f"/api/providers/acme/keys/{kept}")).status_code == 404
        assert (await api.admin.get("/api/providers/acme/keys/")).json() == []

    async def test_unknown_provider_is_not_found(self, api: ApiHouse) -> None:
        assert (await api.admin.post("/api/providers/nobody/keys/")).status_code == 404
        assert (await api.admin.get("/api/providers/nobody/keys/")).status_code == 404
