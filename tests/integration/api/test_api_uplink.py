"""/api/telemetry/uplink/{provider}: acknowledged when the broker has it, and published once per Idempotency-Key."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from caudal.common.bus.codec import decode
from caudal.common.bus.contents import unpacked
from caudal.common.bus.messages import Push
from caudal.common.ports import Outgoing
from caudal.gateway_api.handlers import intake
from caudal.gateway_api.main import KEEP_REPEATS
from integration.api.house import NOW, ApiHouse

BODY = {"device": "meter-1", "measured_at": "2026-03-02T09:00:00Z", "values": {"flow": 0}}
PATH = "/api/telemetry/uplink/acme"


def pushes(api: ApiHouse) -> list[Push]:
    """What was published for ingest."""
    return [decode(message.payload, Push) for message in api.bus.on("provider/+/push")]


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
        assert (await api.with_key(other).post(PATH, json=BODY)).status_code == 403

    async def test_provider_that_was_switched_off_may_not(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        await api.admin.patch("/api/providers/acme", json={"active": False})
        assert (await api.with_key(key).post(PATH, json=BODY)).status_code == 403
        assert not pushes(api)

    async def test_key_is_read_from_authorization_too(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        answer = await api.client.post(PATH, json=BODY, headers={"Authorization": f"ApiKey {key}"})
        assert answer.status_code == 202


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
