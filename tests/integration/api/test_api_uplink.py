"""/api/telemetry/uplink/{provider}: acknowledged when the broker has it, and published once per Idempotency-Key."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from caudal.common.bus.codec import decode, encode
from caudal.common.bus.contents import unpacked
from caudal.common.bus.messages import KeyUsed, Push
from caudal.common.ports import Delivery, Outgoing
from caudal.gateway_api.handlers import intake
from caudal.gateway_api.main import KEEP_REPEATS
from integration.api.house import NOW, ApiHouse, furnished

BODY = {"device": "meter-1", "measured_at": "2026-03-02T09:00:00Z", "values": {"flow": 0}}
PATH = "/api/telemetry/uplink/acme"


def pushes(api: ApiHouse) -> list[Push]:
    """What was published for ingest."""
    return [decode(message.payload, Push) for message in api.bus.on("provider/+/push")]


async def test_push_is_refused_while_the_disk_is_too_full(sqlite_url: str, tmp_path: Path) -> None:
    """A broker would acknowledge it, and lose it when it is stopped before there is room."""
    async with furnished(sqlite_url, tmp_path, min_free_bytes=2**60) as api:
        answer = await api.with_key(await api.add_provider()).post(PATH, json=BODY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "out_of_space")
        assert not pushes(api)


class TestWhoMay:
    async def test_nobody_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.post(PATH, json=BODY)).status_code == 401
        for key in ("", "caudal_", "caudal_wrong", "wrong", "\xe9".encode()):
            assert (await api.with_key(key).post(PATH, json=BODY)).status_code == 401

    async def test_user_is_no_provider(self, api: ApiHouse) -> None:
        await api.add_provider()
        assert (await api.admin.post(PATH, json=BODY)).status_code == 401

    async def test_another_providers_key_may_not(self, api: ApiHouse) -> None:
        await api.add_provider()
        other = await api.add_provider("other")
        refused = await api.with_key(other).post(PATH, json=BODY)
        assert refused.status_code == 403
        nowhere = await api.with_key(other).post("/api/telemetry/uplink/nobody", json=BODY)
        assert (nowhere.status_code, nowhere.text) == (403, refused.text)

    async def test_provider_that_was_switched_off_may_not(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        await api.admin.patch("/api/providers/acme", json={"active": False})
        assert (await api.with_key(key).post(PATH, json=BODY)).status_code == 403
        assert not pushes(api)

    async def test_key_is_read_from_authorization_too(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        answer = await api.client.post(PATH, json=BODY, headers={"Authorization": f"ApiKey {key}"})
        assert answer.status_code == 202

    async def test_no_key_works_once_the_providers_client_is_switched_off(self, api: ApiHouse) -> None:
        await api.admin.post("/api/clients/", json={"code": "andes"})
        key = await api.add_provider(client="andes")
        assert (await api.with_key(key).post(PATH, json=BODY)).status_code == 202
        await api.admin.patch("/api/clients/andes", json={"active": False})
        assert (await api.with_key(key).post(PATH, json=BODY)).status_code == 401
        assert await api.rows("select active from catalog_api_keys") in ([(False,)], [(0,)])


class TestDevice:
    """A device that has a key of its own."""

    PATH = "/api/telemetry/uplink/"

    async def key(self, api: ApiHouse, device: str = "meter-1", **more: Any) -> str:
        body = {"device": device, "permissions": ["telemetry:push"]} | more
        answer = await api.admin.post("/api/api-keys/", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["key"])

    async def test_nobody_and_providers_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.post(self.PATH, json=BODY)).status_code == 401
        assert (await api.admin.post(self.PATH, json=BODY)).status_code == 401
        assert (await api.with_key(await api.add_provider()).post(self.PATH, json=BODY)).status_code == 403
        assert not api.bus.published

    async def test_what_it_sends_goes_to_its_own_topic_as_it_came(self, api: ApiHouse) -> None:
        raw = b'{"measured_at": "2026-03-02T09:00:00Z", "values": {"flow": 0}, "serial": "\xc3\xa9"}'
        answer = await api.with_key(await self.key(api)).post(self.PATH, content=raw)
        assert answer.status_code == 202, answer.text
        assert [message.payload for message in api.bus.on("telemetry/meter-1/uplink")] == [raw]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (BODY | {"device": "meter-2"}, "device"),
            ({"readings": [BODY, BODY | {"device": "meter-2"}]}, "readings[1].device"),
            ([BODY | {"device": "meter-2"}], "[0].device"),
        ],
    )
    async def test_foreign_device_is_refused_by_its_field(self, api: ApiHouse, body: object, field: str) -> None:
        answer = await api.with_key(await self.key(api)).post(self.PATH, json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"] == field
        assert not api.bus.published

    async def test_its_key_opens_no_providers_door_and_nothing_else(self, api: ApiHouse) -> None:
        await api.add_provider()
        key = api.with_key(await self.key(api, provider="acme"))
        assert (await key.post(PATH, json=BODY)).status_code == 403
        assert (await key.get("/api/points/")).status_code == 403

    async def test_key_of_a_client_is_worth_nothing_once_the_device_is_anothers(self, api: ApiHouse) -> None:
        for code in ("andes", "costa"):
            await api.admin.post("/api/clients/", json={"code": code})
        key = api.with_key(await self.key(api, client="andes"))
        assert (await key.post(self.PATH, json=BODY)).status_code == 202
        await api.add_point(client="andes")
        assert (await key.post(self.PATH, json=BODY)).status_code == 202
        await api.admin.patch("/api/points/well-1", json={"client": "costa"})
        assert (await key.post(self.PATH, json=BODY)).status_code == 403

    async def test_same_idempotency_key_is_published_once(self, api: ApiHouse) -> None:
        key = api.with_key(await self.key(api))
        headers = {"Idempotency-Key": "order 1"}
        answers = [await key.post(self.PATH, json=BODY, headers=headers) for _ in range(3)]
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len(api.bus.published) == 1

    async def test_what_no_message_can_carry_is_refused(self, api: ApiHouse) -> None:
        answer = await api.with_key(await self.key(api)).post(self.PATH, json=BODY | {"more": "x" * 260_000})
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"] == "body"

    async def test_its_last_use_is_known_whichever_door_it_came_to(self, api: ApiHouse) -> None:
        key = await self.key(api)
        await api.with_key(key).post(self.PATH, json=BODY)
        (entry,) = (await api.admin.get("/api/api-keys/")).json()["items"]
        assert entry["last_used_at"] == "2026-03-02T10:00:00Z"
        for minutes, seen in ((5, "10:05:00"), (3, "10:05:00")):
            used = KeyUsed(key=entry["id"], used_at=NOW + timedelta(minutes=minutes))
            await api.bus.deliver(Delivery(f"key/{entry['id']}/used", encode(used)))
            (entry,) = (await api.admin.get("/api/api-keys/")).json()["items"]
            assert entry["last_used_at"] == f"2026-03-02T{seen}Z"


class TestPush:
    async def test_body_is_published_as_it_came(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        raw = b' {"b": 1.50, "a": [null, "\xc3\xa9"]}\n'
        answer = await api.with_key(key).post(PATH, content=raw)
        assert answer.status_code == 202
        (push,) = pushes(api)
        assert (push.id, push.provider, push.received_at) == (answer.json()["id"], "acme", NOW)
        assert unpacked(push.content, push.encoding) == raw

    async def test_mebibyte_fits(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        raw = json.dumps([BODY] * 11_000).encode()[:-1]
        raw += b" " * (1024 * 1024 - len(raw) - 1) + b"]"
        assert (await api.with_key(key).post(PATH, content=raw)).status_code == 202
        (push,) = pushes(api)
        assert unpacked(push.content, push.encoding) == raw
        answer = await api.with_key(key).post(PATH, content=raw + b" ")
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")

    async def test_body_without_announced_length_is_bounded_too(self, api: ApiHouse) -> None:
        key = await api.add_provider()

        async def endless() -> Any:
            for _ in range(100_000):
                yield b"[" * 65_536

        answer = await api.with_key(key).post(PATH, content=endless())
        assert answer.status_code == 413

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" ",
            b"{",
            b"nonsense",
            b"5",
            b'"text"',
            b"[NaN]",
            b"[1e999]",
            b"\xff\xfe",
            b"[" * 3000,
            b'{"a":"\xff"}',
        ],
    )
    async def test_what_is_no_json_is_refused(self, api: ApiHouse, body: bytes) -> None:
        key = await api.add_provider()
        answer = await api.with_key(key).post(PATH, content=body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["fields"][0]["field"] in ("body", "[0]")
        assert not pushes(api)

    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity"])
    async def test_compressed_body_is_refused(self, api: ApiHouse, encoding: str) -> None:
        key = await api.add_provider()
        answer = await api.with_key(key).post(PATH, json=BODY, headers={"Content-Encoding": encoding})
        assert answer.status_code == 415

    async def test_broker_away_says_when_to_try_again(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        api.bus.away = True
        answer = await api.with_key(key).post(PATH, json=BODY, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        api.bus.away = False
        answer = await api.with_key(key).post(PATH, json=BODY, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 202
        assert len(pushes(api)) == 1

    async def test_broker_that_says_nothing_is_not_waited_for(
        self, api: ApiHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = await api.add_provider()
        monkeypatch.setattr(intake, "PUSH_S", 0.05)

        async def silent(_messages: Sequence[Outgoing]) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(api.bus, "publish", silent)
        answer = await api.with_key(key).post(PATH, json=BODY, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 503
        assert await api.rows("select * from gateway_repeats") == []


class TestIdempotencyKey:
    async def test_same_body_gets_the_same_answer_and_is_published_once(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        headers = {"Idempotency-Key": "order 1"}
        answers = [await api.with_key(key).post(PATH, json=BODY, headers=headers) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len(pushes(api)) == 1

    async def test_another_body_is_refused(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        headers = {"Idempotency-Key": "order 1"}
        await api.with_key(key).post(PATH, json=BODY, headers=headers)
        answer = await api.with_key(key).post(PATH, json=BODY | {"device": "meter-2"}, headers=headers)
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"] == "Idempotency-Key"
        assert len(pushes(api)) == 1

    async def test_another_provider_may_use_the_same_key(self, api: ApiHouse) -> None:
        headers = {"Idempotency-Key": "order 1"}
        for code in ("acme", "other"):
            key = await api.add_provider(code)
            path = f"/api/telemetry/uplink/{code}"
            assert (await api.with_key(key).post(path, json=BODY, headers=headers)).status_code == 202
        assert len(pushes(api)) == 2

    async def test_fifty_at_once_are_published_once(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        client = api.with_key(key)
        headers = {"Idempotency-Key": "order 1"}
        answers = await asyncio.gather(*(client.post(PATH, json=BODY, headers=headers) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len(pushes(api)) == 1

    async def test_what_a_crash_left_is_taken_over_under_its_own_id(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        headers = {"Idempotency-Key": "order 1"}
        first = (await api.with_key(key).post(PATH, json=BODY, headers=headers)).json()["id"]
        async with api.engine.begin() as connection:
            await connection.exec_driver_sql("update gateway_repeats set state = 'claimed'")
        api.clock.advance(seconds=31)
        again = await api.with_key(key).post(PATH, json=BODY, headers=headers)
        assert again.json()["id"] == first
        assert [push.id for push in pushes(api)] == [first, first]

    async def test_keys_are_forgotten_after_a_day(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        headers = {"Idempotency-Key": "order 1"}
        await api.with_key(key).post(PATH, json=BODY, headers=headers)
        now = api.clock.advance(hours=25)
        assert await api.house.repeats.expire(now, KEEP_REPEATS) == 1
        assert (await api.with_key(key).post(PATH, json={}, headers=headers)).status_code == 202

    @pytest.mark.parametrize("text", ["", "x" * 256, "caf\u00e9", "a\tb"])
    async def test_key_that_is_none_is_named(self, api: ApiHouse, text: str) -> None:
        key = await api.add_provider()
        headers = [(b"idempotency-key", text.encode("latin-1"))]
        answer = await api.with_key(key).post(PATH, json=BODY, headers=headers)
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"].lower() == "idempotency-key"
