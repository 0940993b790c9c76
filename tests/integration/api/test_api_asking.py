"""Asking providers through the API: secrets are written and never read, status is told, and a provider can be tried."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from caudal.common.adapters.sealing import Sealer, place_of
from caudal.common.adapters.sql_catalog import SqlCatalog
from caudal.common.bus.messages import Command
from caudal.common.domain.catalog import PointSource
from caudal.gateway_api.domain.signatures import signature
from caudal.ingest.adapters.sql_polling import SqlPollingRecord
from caudal.ingest.domain.breaker import Breaker
from caudal.ingest.domain.schedule import PointState
from caudal.ingest.ports import ProviderState
from integration.api.house import NOW, ApiHouse

SECRET = "s3cr3t-that-nobody-reads"
ACME: dict[str, Any] = {
    "code": "acme",
    "api": "thingsboard",
    "connection": {"base_url": "https://acme.example"},
    "authentication": {"kind": "login"},
}
SOURCE: dict[str, Any] = {"remote_id": "47-b", "keys": {"flow": "q"}}
SAID = {"device": "meter-1", "measured_at": "2026-03-02T09:00:00Z", "values": {"flow": 1}}


async def sealed_in(api: ApiHouse) -> dict[tuple[str, str, str], str]:
    """What the database has of secrets."""
    rows = await api.rows("select owner_kind, owner, name, sealed from gateway_credentials")
    return {(kind, owner, name): sealed for kind, owner, name, sealed in rows}


class TestCredentials:
    async def test_nobody_and_readers_may_not(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        assert (await api.client.get("/api/providers/acme/credentials/")).status_code == 401
        assert (await api.reader.get("/api/providers/acme/credentials/")).status_code == 403

    async def test_a_secret_is_told_by_name_and_age_alone(self, api: ApiHouse) -> None:
        made = await api.admin.post("/api/providers/", json=ACME | {"credentials": {"password": SECRET}})
        assert made.status_code == 201
        known = await api.admin.get("/api/providers/acme/credentials/")
        assert known.json() == {"password": NOW.isoformat().replace("+00:00", "Z")}
        answers = [made, known, await api.admin.get("/api/providers/"), await api.admin.get("/api/providers/acme")]
        answers.append(await api.admin.get("/api/providers/acme/status"))
        assert not [answer.text for answer in answers if SECRET in answer.text]
        ((place, sealed),) = (await sealed_in(api)).items()
        keys = (api.data_dir / "keys" / "credentials.key").read_text().split()
        assert SECRET not in sealed
        assert Sealer(keys).unseal(place_of(*place), sealed) == SECRET

    async def test_what_is_left_out_stays_and_null_forgets(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME | {"credentials": {"username": "me", "password": SECRET}})
        before = await sealed_in(api)
        answer = await api.admin.patch("/api/providers/acme", json={"credentials": {"username": None, "token": "t"}})
        assert answer.status_code == 200
        after = await sealed_in(api)
        assert {name for _, _, name in after} == {"password", "token"}
        key = ("provider", "acme", "password")
        assert after[key] == before[key]

    async def test_a_points_own_secrets_go_with_it(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        await api.add_point(provider="acme", source=SOURCE, credentials={"token": SECRET})
        assert list((await api.admin.get("/api/points/well-1/credentials/")).json()) == ["token"]
        await api.admin.delete("/api/points/well-1")
        assert await sealed_in(api) == {}
        await api.admin.delete("/api/providers/acme")

    async def test_a_point_with_secrets_of_its_own_is_asked_about_like_any_other(self, api: ApiHouse) -> None:
        await api.add_point(credentials={"token": SECRET})
        for path in ("summary/?point=well-1", "raw/?point=well-1", "rejected/?device=meter-1", "data/?point=well-1"):
            assert (await api.admin.get(f"/api/telemetry/{path}")).status_code == 200, path

    async def test_the_audit_log_names_them_and_tells_none(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME | {"credentials": {"password": SECRET}})
        rows = await api.rows("select action, before, after from audit_log")
        assert not [row for row in rows if SECRET in str(row)]
        assert [json.loads(after) for action, _, after in rows if action == "credentials"] == [
            {"set": ["password"], "forgotten": []}
        ]

    @pytest.mark.parametrize(
        "credentials",
        [{"a b": "x"}, {"token": ""}, {"token": 5}, {"token": "x" * 5000}, "token", {f"t{n}": "x" for n in range(17)}],
    )
    async def test_what_is_none_is_refused_and_not_quoted(self, api: ApiHouse, credentials: Any) -> None:
        answer = await api.admin.post("/api/providers/", json=ACME | {"credentials": credentials})
        assert answer.status_code == 422
        assert "xxxx" not in answer.text
        assert answer.json()["error"]["fields"][0]["field"].startswith("credentials")

    async def test_rotation_seals_all_with_the_newest_key(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME | {"credentials": {"password": SECRET}})
        before = await sealed_in(api)
        assert await api.house.door.asking.credentials.reseal() == 1
        after = await sealed_in(api)
        assert before.keys() == after.keys()
        assert before != after
        assert await api.house.door.asking.credentials.secret("provider", "acme", "password") == SECRET


class TestSettings:
    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"api": "soap"}, "api"),
            ({"api": None}, "api"),
            ({"connection": {}}, "connection.base_url"),
            ({"connection": {"base_url": "ftp://acme.example"}}, "connection.base_url"),
            ({"connection": {"base_url": "https://me:secret@acme.example"}}, "connection.base_url"),
            ({"connection": {"base_url": "https://acme.example", "password": "x"}}, "connection.password"),
            ({"authentication": {"kind": "magic"}}, "authentication.kind"),
        ],
    )
    async def test_what_cannot_be_used_is_named(self, api: ApiHouse, change: dict[str, Any], field: str) -> None:
        answer = await api.admin.post("/api/providers/", json=ACME | change)
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["error"]["fields"]] == [field]

    @pytest.mark.parametrize(
        "source", [{"remote_id": "", "keys": {"q": "q"}}, {"remote_id": "x", "keys": {}}, {"remote_id": "x"}]
    )
    async def test_a_source_that_cannot_be_used_is_refused(self, api: ApiHouse, source: dict[str, Any]) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        body = {"code": "w", "device": "d", "provider": "acme", "source": source}
        assert (await api.admin.post("/api/points/", json=body)).status_code == 422

    @pytest.mark.parametrize(
        ("since", "reason"),
        [
            ("2026-03-02T10:00:01Z", "must not lie in the future"),
            ("1999-12-31T23:59:59Z", "must not lie before 2000-01-01"),
            ("2026-01-01T00:00:00", "needs a time zone"),
            ("soon", None),
        ],
    )
    async def test_a_history_that_cannot_be_wanted_is_refused(
        self, api: ApiHouse, since: str, reason: str | None
    ) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        body = {"code": "w", "device": "d", "provider": "acme", "source": SOURCE | {"history_from": since}}
        made = await api.admin.post("/api/points/", json=body)
        await api.add_point(provider="acme", source=SOURCE)
        changed = await api.admin.patch("/api/points/well-1", json={"source": body["source"]})
        for answer in (made, changed):
            assert answer.status_code == 422
            (field,) = answer.json()["error"]["fields"]
            assert field["field"] == "source.history_from"
            assert reason in (None, field["reason"])

    async def test_a_history_can_be_wanted(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        since = "2026-01-01T00:00:00Z"
        await api.add_point(provider="acme", source=SOURCE | {"history_from": since})
        assert (await api.reader.get("/api/points/well-1")).json()["source"]["history_from"] == since
        (point,) = await SqlCatalog(api.engine).sourced()
        assert point.source == PointSource(**SOURCE, history_from=datetime(2026, 1, 1, tzinfo=UTC))
        assert await SqlCatalog(api.engine).codes() == ["well-1"]

    async def test_presets_make_providers(self, api: ApiHouse) -> None:
        presets = (await api.admin.get("/api/provider-presets/")).json()
        assert set(presets) == {"twin", "nettra", "novus", "tago", "tdata", "thingsio"}
        for code, preset in presets.items():
            entry = {name: preset[name] for name in ("name", "api", "connection", "authentication", "mapping")}
            assert (await api.admin.post("/api/providers/", json={"code": code} | entry)).status_code == 201


class TestStatus:
    async def test_before_anything_was_asked(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        await api.add_point(provider="acme", source=SOURCE)
        provider = (await api.reader.get("/api/providers/acme/status")).json()
        assert (provider["is_asked"], provider["last_connection"], provider["lag_s"]) == (True, None, None)
        point = (await api.reader.get("/api/points/well-1/status")).json()
        assert (point["is_asked"], point["lag_s"], point["polling"]["failures"]) == (True, None, 0)
        assert (await api.reader.get("/api/points/nowhere/status")).status_code == 404
        assert (await api.reader.get("/api/providers/nowhere/status")).status_code == 404

    async def test_connection_error_and_lag_are_shown(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        await api.add_point(provider="acme", source=SOURCE)
        record, hour = SqlPollingRecord(api.engine), timedelta(hours=1)
        state = PointState(
            point="well-1", provider="acme", asked_at=NOW, measured_until=NOW - hour, failures=2, error="E"
        )
        provider = ProviderState(
            provider="acme", connected_at=NOW - hour, error="E", error_at=NOW, breaker=Breaker(5, 1, NOW + hour)
        )
        await record.asked([state], provider)
        await record.move("well-1", {"flow": NOW - hour}, NOW)
        await record.reach("well-1", {"flow": NOW - 2 * hour, "level": NOW - 30 * hour})
        shown = (await api.reader.get("/api/providers/acme/status")).json()
        assert (shown["last_connection"], shown["last_error"], shown["lag_s"]) == ("2026-03-02T09:00:00Z", "E", 3600)
        assert (shown["polling"]["points"], shown["polling"]["failing"]) == (1, 1)
        shown = (await api.reader.get("/api/points/well-1/status")).json()
        assert (shown["lag_s"], shown["polling"]["complete_until"]) == (3600, "2026-03-02T09:00:00Z")
        assert shown["polling"]["complete_from"] == "2026-03-02T08:00:00Z"
        assert (shown["polling"]["failures"], shown["polling"]["error"]) == (2, "E")


class TestTrying:
    async def test_the_answer_is_shown(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        await api.add_point(provider="acme", source=SOURCE)
        api.processor.answer = {"outcome": "no_data", "reason": "nothing", "took_ms": 12.5, "raw": "[]", "readings": []}
        answer = await api.admin.post("/api/providers/acme/test", json={"point": "well-1"})
        assert answer.status_code == 200
        assert (answer.json()["outcome"], answer.json()["took_ms"]) == ("no_data", 12.5)
        (command,) = api.processor.commands
        assert isinstance(command, Command)
        assert (command.action, command.params) == ("test", {"point": "well-1"})
        assert api.bus.published[-1].topic == "provider/acme/command"

    async def test_a_slow_provider_is_under_way(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        api.processor.answer = None
        answer = await api.admin.post("/api/providers/acme/test")
        assert (answer.status_code, answer.json()["outcome"]) == (202, "under_way")

    async def test_what_cannot_be_tried_says_why(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json={"code": "pushes"})
        assert (await api.admin.post("/api/providers/pushes/test")).status_code == 422
        assert (await api.admin.post("/api/providers/nowhere/test")).status_code == 404
        assert (await api.reader.post("/api/providers/pushes/test")).status_code == 403
        await api.admin.post("/api/providers/", json=ACME)
        api.processor.ok, api.processor.answer = False, {"field": "point", "error": "there is none"}
        answer = await api.admin.post("/api/providers/acme/test", json={})
        assert (answer.status_code, answer.json()["error"]["fields"][0]["field"]) == (422, "point")
        assert (await api.admin.post("/api/providers/acme/test", json={"point": "nowhere"})).status_code == 404


class TestOrderingARound:
    async def test_an_order_goes_to_who_asks(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        api.processor.answer = {"outcome": "ordered"}
        answer = await api.admin.post("/api/providers/acme/poll")
        assert (answer.status_code, answer.json()["outcome"]) == (202, "ordered")
        (command,) = api.processor.commands
        assert isinstance(command, Command)
        assert (command.action, command.id) == ("poll", answer.json()["order"])
        assert api.bus.published[-1].topic == "provider/acme/command"

    async def test_who_may_not_and_what_no_round_asks(self, api: ApiHouse) -> None:
        assert (await api.admin.post("/api/providers/nowhere/poll")).status_code == 404
        await api.admin.post("/api/providers/", json=ACME)
        assert (await api.reader.post("/api/providers/acme/poll")).status_code == 403
        await api.admin.patch("/api/providers/acme", json={"active": False})
        answer = await api.admin.post("/api/providers/acme/poll")
        assert (answer.status_code, answer.json()["error"]["fields"][0]["field"]) == (422, "active")

    async def test_a_shared_provider_is_asked_at_the_word_of_staff_alone(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=ACME)
        await api.admin.post("/api/clients/", json={"code": "andes"})
        user = await api.add_user(email="a@andes.test", role="client_admin", client="andes")
        answer = await api.as_(user).post("/api/providers/acme/poll")
        assert answer.status_code == 403
        assert api.processor.commands == []


class TestSignedPushes:
    def headers(self, body: bytes, secret: str = SECRET, at: int | None = None, name: str = "m-1") -> dict[str, str]:
        """What a provider sends beside its body."""
        seconds = str(int(NOW.timestamp()) if at is None else at)
        said = signature(secret, name, seconds, body)
        return {"webhook-id": name, "webhook-timestamp": seconds, "webhook-signature": f"v1,AAAA {said}"}

    async def push(self, api: ApiHouse, headers: dict[str, str], body: bytes) -> int:
        answer = await api.client.post("/api/telemetry/uplink/acme", content=body, headers=headers)
        return answer.status_code

    async def test_a_signature_is_as_good_as_a_key(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json={"code": "acme", "credentials": {"webhook_secret": SECRET}})
        body = json.dumps(SAID).encode()
        assert await self.push(api, self.headers(body), body) == 202
        assert [message.topic for message in api.bus.published] == ["provider/acme/push"]

    async def test_what_is_overheard_and_sent_again_is_taken_once(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json={"code": "acme", "credentials": {"webhook_secret": SECRET}})
        body = json.dumps(SAID).encode()
        assert [await self.push(api, self.headers(body), body) for _ in range(3)] == [202, 202, 202]
        assert len(api.bus.published) == 1

    async def test_whatever_does_not_fit_is_refused(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json={"code": "acme", "credentials": {"webhook_secret": SECRET}})
        body, now = json.dumps(SAID).encode(), int(NOW.timestamp())
        good = self.headers(body)
        wrong = [
            self.headers(body, secret="another"),
            self.headers(body + b" "),
            self.headers(body, at=now - 301),
            self.headers(body, at=now + 301),
            good | {"webhook-id": "m-2"},
            good | {"webhook-timestamp": str(now + 1)},
            good | {"webhook-timestamp": "soon"},
            good | {"webhook-signature": ""},
            good | {"webhook-signature": "v1," + "A" * 5000},
            {"webhook-signature": good["webhook-signature"]},
        ]
        assert [await self.push(api, headers, body) for headers in wrong] == [401] * len(wrong)
        assert api.bus.published == []

    async def test_a_provider_without_a_secret_cannot_sign(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json={"code": "acme"})
        body = json.dumps(SAID).encode()
        assert await self.push(api, self.headers(body, secret=""), body) == 401
        answer = await api.client.post("/api/telemetry/uplink/nowhere", content=body, headers=self.headers(body))
        assert answer.status_code == 401
