"""Idempotency-Key and If-Match: what is asked twice is done once, and nobody overwrites what they have not seen."""

import asyncio
import json
from typing import Any

import pytest

from caudal.gateway_api.main import documentation
from integration.api.house import WELL, ApiHouse

OPERATIONS: dict[tuple[str, str], dict[str, Any]] = {
    (method, path): operation
    for path, item in json.loads(documentation())["paths"].items()
    for method, operation in item.items()
}
KEY = {"Idempotency-Key": "order 1"}


def headers_of(operation: dict[str, Any]) -> set[str]:
    return {each["name"].lower() for each in operation.get("parameters", ()) if each["in"] == "header"}


def test_every_post_but_those_about_a_session_takes_an_idempotency_key() -> None:
    posts = {path: each for (method, path), each in OPERATIONS.items() if method == "post"}
    without = [path for path, each in posts.items() if "idempotency-key" not in headers_of(each)]
    assert len(posts) - len(without) >= 20
    assert [path for path in without if not path.startswith("/api/auth/")] == []


def test_every_change_takes_if_match() -> None:
    changing = {name: each for name, each in OPERATIONS.items() if name[0] in ("patch", "put", "delete")}
    without = [name for name, each in changing.items() if "if-match" not in headers_of(each)]
    assert len(changing) > 20
    assert without == []


class TestIdempotencyKey:
    async def test_fifty_at_once_make_one(self, api: ApiHouse) -> None:
        client = api.admin
        answers = await asyncio.gather(*(client.post("/api/points/", json=WELL, headers=KEY) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.text for answer in answers}) == 1
        assert len({answer.headers["etag"] for answer in answers}) == 1
        assert await api.rows("select count(*) from points") == [(1,)]
        assert len((await api.admin.get("/api/points/well-1/journal/")).json()["items"]) == 1

    async def test_fifty_keys_at_once_for_one_thing_make_one(self, api: ApiHouse) -> None:
        client = api.admin
        answers = await asyncio.gather(
            *(client.post("/api/points/", json=WELL, headers={"Idempotency-Key": f"k{n}"}) for n in range(50))
        )
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 49

    async def test_what_is_kept_of_a_key_does_not_tell_it(self, api: ApiHouse) -> None:
        await api.admin.post("/api/points/", json=WELL, headers=KEY)
        ((kept, digest),) = await api.rows("select key, digest from gateway_repeats")
        assert KEY["Idempotency-Key"] not in kept
        await api.admin.post("/api/points/", json=WELL, headers={"Idempotency-Key": "order 2"})
        await api.admin.delete("/api/points/well-1")
        await api.admin.post("/api/points/", json=WELL, headers={"Idempotency-Key": "order 3"})
        digests = [row[0] for row in await api.rows("select digest from gateway_repeats")]
        assert len(digests) == 2 == len({digest, *digests})

    async def test_another_body_or_another_path_is_refused(self, api: ApiHouse) -> None:
        await api.admin.post("/api/points/", json=WELL, headers=KEY)
        for path, body in (("/api/points/", WELL | {"name": "x"}), ("/api/providers/", {"code": "acme"})):
            answer = await api.admin.post(path, json=body, headers=KEY)
            assert answer.status_code == 422
            assert answer.json()["error"]["fields"][0]["field"] == "Idempotency-Key"
        assert await api.rows("select count(*) from providers") == [(0,)]

    async def test_another_user_may_use_the_same_key(self, api: ApiHouse) -> None:
        assert (await api.admin.post("/api/points/", json=WELL, headers=KEY)).status_code == 201
        other = WELL | {"code": "well-2", "device": "meter-2"}
        assert (await api.operator.post("/api/points/", json=other, headers=KEY)).status_code == 201

    async def test_a_file_that_is_sent_again_is_kept_once(self, api: ApiHouse) -> None:
        client, table = api.admin, {"file": ("a.csv", b"ts,id,flow\n")}
        sent = [client.post("/api/upload_csv", files=table, headers=KEY) for _ in range(10)]
        answers = await asyncio.gather(*sent)
        assert {(answer.status_code, answer.json()["path"]) for answer in answers} == {(200, answers[0].json()["path"])}
        assert [path.as_posix() for path in (api.data_dir / "windows").iterdir()] == [answers[0].json()["path"]]
        assert await api.rows("select count(*) from gateway_uploads") == [(1,)]
        other = await client.post("/api/upload_csv", files={"file": ("a.csv", b"ts,id,level\n")}, headers=KEY)
        assert other.json()["error"]["fields"][0]["field"] == "Idempotency-Key"
        assert len(list((api.data_dir / "windows").iterdir())) == 1

    async def test_an_order_that_comes_again_is_given_once(self, api: ApiHouse) -> None:
        await api.add_point()
        sent = [api.admin.post("/api/telemetry/process/", json={"point": "well-1"}, headers=KEY) for _ in range(10)]
        answers = await asyncio.gather(*sent)
        assert len({answer.text for answer in answers}) == 1
        assert len(api.processor.commands) == 1

    async def test_what_failed_may_be_tried_again(self, api: ApiHouse) -> None:
        bad = WELL | {"provider": "nobody"}
        assert (await api.admin.post("/api/points/", json=bad, headers=KEY)).status_code == 422
        await api.add_provider("nobody")
        assert (await api.admin.post("/api/points/", json=bad, headers=KEY)).status_code == 201

    async def test_who_may_not_does_not_use_the_key_up(self, api: ApiHouse) -> None:
        assert (await api.reader.post("/api/points/", json=WELL, headers=KEY)).status_code == 403
        assert await api.rows("select * from gateway_repeats") == []

    async def test_secret_of_a_new_key_is_told_once_and_never_kept(self, api: ApiHouse) -> None:
        await api.add_provider()
        first, again = [await api.admin.post("/api/providers/acme/keys/", json={}, headers=KEY) for _ in range(2)]
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json()["key"].startswith("caudal_")
        assert again.json() == first.json() | {"key": None}
        kept = await api.rows("select answer from gateway_repeats")
        assert first.json()["key"] not in str(kept)


class TestIfMatch:
    async def test_what_was_made_is_what_is_read_is_what_was_changed(self, api: ApiHouse) -> None:
        bodies = {"/api/points/": WELL, "/api/providers/": {"code": "acme", "mapping": {"values": "*"}}}
        for path, body in bodies.items():
            made = await api.admin.post(path, json=body)
            item = f"{path}{body['code']}"
            assert (await api.admin.get(item)).headers["etag"] == made.headers["etag"]
            changed = await api.admin.patch(item, json={"name": "x"}, headers={"If-Match": made.headers["etag"]})
            assert changed.status_code == 200
            assert changed.headers["etag"] != made.headers["etag"]
            assert (await api.admin.get(item)).headers["etag"] == changed.headers["etag"]

    @pytest.mark.parametrize("item", ["/api/points/well-1", "/api/variables/well-1/flow", "/api/providers/acme"])
    async def test_stale_change_is_refused_and_changes_nothing(self, api: ApiHouse, item: str) -> None:
        await api.add_provider()
        await api.add_point()
        seen = (await api.admin.get(item)).headers["etag"]
        changed = await api.admin.patch(item, json={"name": "mine"})
        for send in (api.admin.patch, api.admin.delete):
            body: dict[str, Any] = {"json": {"name": "yours"}} if send.__name__ == "patch" else {}
            answer = await send(item, headers={"If-Match": seen}, **body)
            assert answer.status_code == 412
            assert answer.json()["error"]["code"] == "stale"
        assert (await api.admin.get(item)).headers["etag"] == changed.headers["etag"]
        several = {"If-Match": f'"other", {changed.headers["etag"]}'}
        assert (await api.admin.delete(item, headers=several)).is_success

    async def test_of_fifty_at_once_who_saw_the_same_one_wins(self, api: ApiHouse) -> None:
        await api.add_point()
        client = api.admin
        seen = {"If-Match": (await client.get("/api/points/well-1")).headers["etag"]}
        answers = await asyncio.gather(
            *(client.patch("/api/points/well-1", json={"name": f"n{n}"}, headers=seen) for n in range(50))
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 49

    async def test_any_version_is_the_callers_word(self, api: ApiHouse) -> None:
        await api.add_point()
        answer = await api.admin.patch("/api/points/well-1", json={"name": "x"}, headers={"If-Match": "*"})
        assert answer.status_code == 200
