"""/api/auth/: coming in, and how often one may try."""

import asyncio
import base64
from dataclasses import replace

import httpx
import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

from caudal.gateway_api.adapters.passwords import Argon2Passwords
from caudal.gateway_api.handlers.identity import ensure_admin, normal_email
from integration.api.house import ApiHouse, new_client

PASSWORD = "correct horse"


@pytest.fixture
async def lived_in(api: ApiHouse) -> ApiHouse:
    """An API whose administrator has a password, hashed cheaply."""
    passwords = Argon2Passwords(Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1))
    identity = replace(api.house.door.identity, passwords=passwords)
    api.app.state.door = replace(api.house.door, identity=identity)
    async with api.engine.begin() as connection:
        hashed = await passwords.hashed(PASSWORD)
        await connection.exec_driver_sql(f"update users set password_hash = '{hashed}' where role = 'admin'")
    return api


async def log_in(
    client: httpx.AsyncClient, email: str = "admin@caudal.test", password: str = PASSWORD
) -> httpx.Response:
    return await client.post("/api/auth/login", json={"email": email, "password": password})


class TestLogin:
    async def test_token_opens_the_door(self, lived_in: ApiHouse) -> None:
        answer = await log_in(lived_in.client, " Admin@Caudal.TEST ")
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert said["expires_at"] == "2026-03-02T11:00:00Z"
        assert said["token_type"] == "Bearer"
        assert answer.headers["cache-control"] == "no-store"
        headers = {"Authorization": f"Bearer {said['token']}"}
        me = await lived_in.client.get("/api/auth/me", headers=headers)
        assert (me.json()["email"], me.json()["role"]) == ("admin@caudal.test", "admin")
        lived_in.clock.advance(minutes=60)
        assert (await lived_in.client.get("/api/auth/me", headers=headers)).status_code == 401

    @pytest.mark.parametrize(("email", "password"), [("admin@caudal.test", "wrong"), ("nobody@caudal.test", PASSWORD)])
    async def test_wrong_password_and_unknown_user_look_alike(
        self, lived_in: ApiHouse, email: str, password: str
    ) -> None:
        answer = await log_in(lived_in.client, email, password)
        assert answer.status_code == 401
        assert answer.json()["error"]["message"] == "email or password is wrong"

    @pytest.mark.parametrize("email", ["admin@caudal.test", "nobody@caudal.test", "reader@caudal.test"])
    async def test_everybody_costs_one_hash_known_or_not_with_a_password_or_none(
        self, lived_in: ApiHouse, email: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hashes, passwords = [], lived_in.app.state.door.identity.passwords
        verify = passwords._hash.verify
        monkeypatch.setattr(passwords._hash, "verify", lambda *pair: hashes.append(pair) or verify(*pair))
        assert (await log_in(lived_in.client, email, "wrong")).status_code == 401
        assert len(hashes) == 1

    async def test_user_who_was_switched_off_stays_outside(self, lived_in: ApiHouse) -> None:
        token = (await log_in(lived_in.client)).json()["token"]
        async with lived_in.engine.begin() as connection:
            await connection.exec_driver_sql("update users set active = false where role = 'admin'")
        assert (await log_in(lived_in.client)).status_code == 401
        lived_in.clock.advance(seconds=2)
        me = await lived_in.client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert me.status_code == 401

    async def test_sixth_try_has_to_wait_even_with_the_right_password(self, lived_in: ApiHouse) -> None:
        for _ in range(5):
            assert (await log_in(lived_in.client, password="wrong")).status_code == 401
            lived_in.clock.advance(minutes=1)
        answer = await log_in(lived_in.client)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == str(10 * 60)
        elsewhere = httpx.ASGITransport(lived_in.app, client=("198.51.100.9", 1))
        async with httpx.AsyncClient(transport=elsewhere, base_url="http://caudal.test") as other_address:
            assert (await log_in(other_address)).status_code == 429
            assert (await log_in(other_address, "nobody@caudal.test", "x")).status_code == 401
        assert (await log_in(lived_in.client, "nobody@caudal.test", "x")).status_code == 429
        lived_in.clock.advance(minutes=10, seconds=1)
        assert (await log_in(lived_in.client)).status_code == 200

    async def test_addresses_of_one_line_are_one(self, lived_in: ApiHouse) -> None:
        async def tried(address: str, account: str) -> int:
            transport = httpx.ASGITransport(lived_in.app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://caudal.test") as client:
                return (await log_in(client, account, "x")).status_code

        tries = [await tried(f"2001:db8:1:2::{n}", f"nobody{n}@caudal.test") for n in range(6)]
        assert tries == [401] * 5 + [429]
        assert await tried("2001:db8:1:3::1", "somebody@caudal.test") == 401
        lines = await lived_in.rows("select distinct address from audit_log")
        assert ("2001:db8:1:2::4",) in lines

    async def test_many_at_once_are_no_way_around_it(self, lived_in: ApiHouse) -> None:
        answers = await asyncio.gather(*(log_in(lived_in.client, password=f"guess {n}") for n in range(20)))
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(401) <= 5
        assert set(statuses) <= {401, 429}

    async def test_success_forgets_the_failures_of_the_account(self, lived_in: ApiHouse) -> None:
        for _ in range(3):
            await log_in(lived_in.client, password="wrong")
            assert (await log_in(lived_in.client)).status_code == 200
        for _ in range(4):
            assert (await log_in(lived_in.client, password="wrong")).status_code == 401
        assert (await log_in(lived_in.client)).status_code == 200

    async def test_nothing_typed_is_kept_as_it_was(self, lived_in: ApiHouse) -> None:
        await log_in(lived_in.client, "hunter2@oops", "x")
        kept = await lived_in.rows("select * from gateway_login_attempts")
        assert len(kept) == 1
        assert "hunter2" not in str(kept)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"email": "a"}, "password"),
            ({"password": "a"}, "email"),
            ({"email": "", "password": "x"}, "email"),
            ({"email": "a\x00", "password": "x"}, "email"),
            ({"email": "a", "password": "x" * 300}, "password"),
            ({"email": "a", "password": 5}, "password"),
            ({"email": ["a"], "password": "x"}, "email"),
        ],
    )
    async def test_field_that_cannot_be_used_is_named(self, lived_in: ApiHouse, body: object, field: str) -> None:
        answer = await lived_in.client.post("/api/auth/login", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"] == field
        assert str(body) not in answer.text


class TestFirstAdministrator:
    async def test_there_is_one_after_the_first_start_and_no_second_one(self, api: ApiHouse) -> None:
        identity = api.house.door.identity
        async with api.engine.begin() as connection:
            await connection.exec_driver_sql("delete from users")
        made = await asyncio.gather(*(ensure_admin(identity, "Boss@Caudal.test", None) for _ in range(3)))
        passwords = [password for password in made if password]
        assert len(passwords) == 1
        assert await api.rows("select email, role from users") == [("boss@caudal.test", "admin")]
        assert (await log_in(api.client, "boss@caudal.test", passwords[0])).status_code == 200
        assert await ensure_admin(identity, "second@caudal.test", "x") is None
        assert len(await api.rows("select id from users")) == 1

    def test_addresses_have_one_spelling(self) -> None:
        assert normal_email(" A@B.cl\n") == "a@b.cl"


class TestKeySet:
    async def test_anybody_can_check_tokens(self, api: ApiHouse) -> None:
        answer = await api.client.get("/.well-known/jwks.json")
        (key,) = answer.json()["keys"]
        assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
        assert "d" not in key

    async def test_signing_key_is_its_owners_alone_and_outlives_a_restart(self, api: ApiHouse) -> None:
        path = api.data_dir / "keys" / "signing.pem"
        assert path.stat().st_mode & 0o777 == 0o600
        assert (path.parent.stat().st_mode & 0o077) == 0


class TestRoles:
    async def test_me_tells_what_one_may(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/auth/me")).status_code == 401
        said = (await api.as_("reader").get("/api/auth/me")).json()
        assert said["permissions"] == ["points:read", "providers:read", "schemas:read", "telemetry:read"]

    async def test_forged_token_is_nobody_at_the_door_too(self, api: ApiHouse) -> None:
        token, _ = api.house.door.identity.tokens.issued("admin", "admin")
        head, claims, signature = token.split(".")
        none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
        for forged in (f"{none}.{claims}.", f"{head}.{claims}.{signature[::-1]}", "x" * 1_000_000, f"{token}.x"):
            answer = await new_client(api.app, {"Authorization": f"Bearer {forged}"}).get("/api/auth/me")
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize(
        "header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b.c", "bearer x y", "ApiKey k"]
    )
    async def test_anything_but_a_token_is_nobody(self, api: ApiHouse, header: str) -> None:
        answer = await new_client(api.app, {"Authorization": header}).get("/api/points/")
        assert answer.status_code == 401
