"""/api/auth/: staying in, going out, and passwords, on both databases."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

from caudal.gateway_api.adapters.passwords import Argon2Passwords
from integration.api.house import ApiHouse, new_client

PASSWORD = "correct horse battery"
NEW = "staple battery horse"


@pytest.fixture
async def home(api: ApiHouse) -> ApiHouse:
    """An API whose users have a password, hashed cheaply."""
    passwords = Argon2Passwords(Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1))
    identity = replace(api.house.door.identity, passwords=passwords)
    api.app.state.door = replace(api.house.door, identity=identity)
    async with api.engine.begin() as connection:
        await connection.exec_driver_sql(f"update users set password_hash = '{await passwords.hashed(PASSWORD)}'")
    return api


async def come_in(api: ApiHouse, user: str = "reader", password: str = PASSWORD) -> dict[str, Any]:
    answer = await api.client.post("/api/auth/login", json={"email": f"{user}@caudal.test", "password": password})
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def holding(api: ApiHouse, said: dict[str, Any]) -> httpx.AsyncClient:
    return new_client(api.app, {"Authorization": f"Bearer {said['token']}"})


async def renew(api: ApiHouse, token: str) -> httpx.Response:
    return await api.client.post("/api/auth/refresh", json={"refresh_token": token})


class TestRefresh:
    async def test_login_says_how_long_everything_lasts(self, home: ApiHouse) -> None:
        said = await come_in(home)
        assert (said["expires_in"], said["expires_at"]) == (3600, "2026-03-02T11:00:00Z")
        assert said["refresh_expires_at"] == "2026-04-01T10:00:00Z"
        assert said["user"]["email"] == "reader@caudal.test"

    async def test_session_goes_on_with_new_tokens_until_its_end(self, home: ApiHouse) -> None:
        said = await come_in(home)
        for _ in range(3):
            home.clock.advance(days=9)
            answer = await renew(home, said["refresh_token"])
            assert answer.status_code == 200, answer.text
            assert answer.headers["cache-control"] == "no-store"
            said = answer.json()
            assert (await holding(home, said).get("/api/auth/me")).status_code == 200
        home.clock.advance(days=3)
        assert (await renew(home, said["refresh_token"])).status_code == 401

    async def test_token_that_comes_a_second_time_ends_the_session(self, home: ApiHouse) -> None:
        stolen = (await come_in(home))["refresh_token"]
        kept = (await renew(home, stolen)).json()
        home.clock.advance(seconds=6)
        assert (await renew(home, stolen)).status_code == 401
        assert (await renew(home, kept["refresh_token"])).status_code == 401
        home.clock.advance(seconds=2)
        assert (await holding(home, kept).get("/api/auth/me")).status_code == 401
        reused = "select action, who from audit_log where action = 'token_reused'"
        assert await home.rows(reused) == [("token_reused", "reader@caudal.test")]

    async def test_older_token_ends_the_session_at_once(self, home: ApiHouse) -> None:
        first = (await come_in(home))["refresh_token"]
        second = (await renew(home, first)).json()["refresh_token"]
        third = (await renew(home, second)).json()["refresh_token"]
        assert (await renew(home, first)).status_code == 401
        assert (await renew(home, third)).status_code == 401

    async def test_of_many_at_once_exactly_one_wins_and_the_session_goes_on(self, home: ApiHouse) -> None:
        token = (await come_in(home))["refresh_token"]
        answers = await asyncio.gather(*(renew(home, token) for _ in range(20)))
        won = [answer.json() for answer in answers if answer.status_code == 200]
        assert len(won) == 1
        assert sorted({answer.status_code for answer in answers}) == [200, 401]
        assert (await renew(home, won[0]["refresh_token"])).status_code == 200

    async def test_access_and_refresh_tokens_do_not_stand_for_one_another(self, home: ApiHouse) -> None:
        said = await come_in(home)
        assert (await renew(home, said["token"])).status_code == 422
        assert (await renew(home, said["token"][-100:])).status_code == 401
        swapped = new_client(home.app, {"Authorization": f"Bearer {said['refresh_token']}"})
        assert (await swapped.get("/api/auth/me")).status_code == 401

    async def test_who_was_switched_off_gets_no_more(self, home: ApiHouse) -> None:
        said = await come_in(home)
        async with home.engine.begin() as connection:
            await connection.exec_driver_sql("update users set active = false where id = 'reader'")
        assert (await renew(home, said["refresh_token"])).status_code == 401

    async def test_sessions_of_who_was_switched_off_do_not_come_back(self, home: ApiHouse) -> None:
        said = await come_in(home)
        for active in (False, True):
            answer = await home.admin.patch("/api/users/reader", json={"active": active})
            assert answer.status_code == 200, answer.text
        home.clock.advance(seconds=2)
        assert (await holding(home, said).get("/api/auth/me")).status_code == 401
        assert (await renew(home, said["refresh_token"])).status_code == 401

    async def test_no_secret_is_kept(self, home: ApiHouse) -> None:
        said = await come_in(home)
        for table in ("refresh_tokens", "sessions", "audit_log"):
            kept = str(await home.rows(f"select * from {table}"))
            assert said["refresh_token"] not in kept
            assert said["token"] not in kept

    @pytest.mark.parametrize("body", [{}, {"refresh_token": ""}, {"refresh_token": 5}, {"refresh_token": "x" * 300}])
    async def test_field_that_cannot_be_used_is_named(self, home: ApiHouse, body: object) -> None:
        answer = await home.client.post("/api/auth/refresh", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"] == "refresh_token"


class TestLogout:
    async def test_it_ends_this_session_and_no_other(self, home: ApiHouse) -> None:
        here, there = await come_in(home), await come_in(home)
        assert (await holding(home, here).post("/api/auth/logout")).status_code == 204
        home.clock.advance(seconds=2)
        assert (await holding(home, here).get("/api/auth/me")).status_code == 401
        assert (await renew(home, here["refresh_token"])).status_code == 401
        assert (await holding(home, there).get("/api/auth/me")).status_code == 200

    async def test_it_ends_all_of_the_users_sessions_if_asked_to(self, home: ApiHouse) -> None:
        here, there, other = await come_in(home), await come_in(home), await come_in(home, "operator")
        assert (await holding(home, here).post("/api/auth/logout", json={"all": True})).status_code == 204
        home.clock.advance(seconds=2)
        assert (await holding(home, there).get("/api/auth/me")).status_code == 401
        assert (await holding(home, other).get("/api/auth/me")).status_code == 200

    async def test_nobody_has_nothing_to_end(self, home: ApiHouse) -> None:
        assert (await home.client.post("/api/auth/logout")).status_code == 401

    async def test_token_in_a_session_of_somebody_else_is_nobodys(self, home: ApiHouse) -> None:
        token, _ = home.house.door.identity.tokens.issued("admin", "reader")
        assert (await holding(home, {"token": token}).get("/api/auth/me")).status_code == 401


class TestPassword:
    async def test_new_one_counts_and_other_sessions_end(self, home: ApiHouse) -> None:
        here, there = await come_in(home), await come_in(home)
        body = {"current_password": PASSWORD, "new_password": NEW}
        assert (await holding(home, here).post("/api/auth/password", json=body)).status_code == 204
        home.clock.advance(seconds=2)
        assert (await holding(home, here).get("/api/auth/me")).status_code == 200
        assert (await holding(home, there).get("/api/auth/me")).status_code == 401
        await come_in(home, password=NEW)
        old = {"email": "reader@caudal.test", "password": PASSWORD}
        assert (await home.client.post("/api/auth/login", json=old)).status_code == 401

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"current_password": "wrong"}, "current_password"),
            ({"new_password": "short"}, "new_password"),
            ({"new_password": PASSWORD}, "new_password"),
            ({"new_password": " " * 12}, "new_password"),
            ({"new_password": "a" * 20}, "new_password"),
            ({"new_password": "Reader@Caudal.test"}, "new_password"),
            ({"new_password": None}, "new_password"),
        ],
    )
    async def test_bad_change_is_refused(self, home: ApiHouse, change: dict[str, Any], field: str) -> None:
        here = holding(home, await come_in(home))
        body = {"current_password": PASSWORD, "new_password": NEW} | change
        answer = await here.post("/api/auth/password", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"] == field

    async def test_guessing_the_current_one_has_to_wait_too(self, home: ApiHouse) -> None:
        here = holding(home, await come_in(home))
        body = {"current_password": "guess", "new_password": NEW}
        statuses = [(await here.post("/api/auth/password", json=body)).status_code for _ in range(6)]
        assert statuses == [422] * 5 + [429]


class TestReset:
    async def ask(self, home: ApiHouse, email: str) -> httpx.Response:
        return await home.client.post("/api/auth/password/reset-request", json={"email": email})

    async def issue(self, by: httpx.AsyncClient, email: str = "reader@caudal.test") -> httpx.Response:
        return await by.post("/api/auth/password/resets/", json={"email": email})

    async def use(self, home: ApiHouse, token: str, password: str = NEW) -> httpx.Response:
        return await home.client.post("/api/auth/password/reset", json={"token": token, "password": password})

    async def test_users_and_strangers_get_the_same_answer(self, home: ApiHouse) -> None:
        known, unknown = await self.ask(home, "reader@caudal.test"), await self.ask(home, "stranger@caudal.test")
        assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, unknown.content)
        waiting = (await home.operator.get("/api/auth/password/resets/")).json()
        assert [entry["email"] for entry in waiting["items"]] == ["reader@caudal.test"]

    async def test_asking_too_often_has_to_wait(self, home: ApiHouse) -> None:
        statuses = [(await self.ask(home, "stranger@caudal.test")).status_code for _ in range(6)]
        assert statuses == [202] * 5 + [429]

    async def test_who_failed_to_log_in_may_ask_and_who_asks_may_still_log_in(self, home: ApiHouse) -> None:
        body = {"email": "reader@caudal.test", "password": "wrong"}
        statuses = [(await home.client.post("/api/auth/login", json=body)).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        assert (await self.ask(home, "reader@caudal.test")).status_code == 202
        home.clock.advance(minutes=15)
        for _ in range(5):
            await self.ask(home, "operator@caudal.test")
        await come_in(home, "operator")

    async def test_who_was_locked_out_comes_in_with_the_new_password(self, home: ApiHouse) -> None:
        body = {"email": "reader@caudal.test", "password": "wrong"}
        statuses = [(await home.client.post("/api/auth/login", json=body)).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        token = (await self.issue(home.admin)).json()["token"]
        assert (await self.use(home, token)).status_code == 204
        await come_in(home, password=NEW)

    async def test_asking_again_leaves_one_request_and_takes_no_token_back(self, home: ApiHouse) -> None:
        for _ in range(2):
            await self.ask(home, "reader@caudal.test")
        assert (await home.operator.get("/api/auth/password/resets/")).json()["total"] == 1
        token = (await self.issue(home.operator)).json()["token"]
        await self.ask(home, "reader@caudal.test")
        assert (await self.use(home, token)).status_code == 204

    async def test_list_is_of_requests_that_can_still_be_answered(self, home: ApiHouse) -> None:
        for name in ("reader", "operator"):
            await self.ask(home, f"{name}@caudal.test")
        asked = {"email": "reader@caudal.test", "search": "READER", "order": "-email"}
        found = (await home.operator.get("/api/auth/password/resets/", params=asked)).json()
        assert [entry["email"] for entry in found["items"]] == ["reader@caudal.test"]
        home.clock.advance(days=1)
        assert (await home.operator.get("/api/auth/password/resets/")).json()["total"] == 0

    async def test_log_knows_of_every_request_and_nothing_that_a_stranger_typed(self, home: ApiHouse) -> None:
        for email in ("reader@caudal.test", "hunter2@caudal.test"):
            await self.ask(home, email)
        lines = await home.rows("select who from audit_log where action = 'reset_requested' order by number")
        assert lines == [("reader@caudal.test",), ("nobody",)]
        assert "hunter2" not in str(await home.rows("select * from audit_log"))

    async def test_token_that_is_none_costs_no_hash(self, home: ApiHouse, monkeypatch: pytest.MonkeyPatch) -> None:
        async def dear(_password: str) -> str:
            raise AssertionError("hashed")

        monkeypatch.setattr(home.app.state.door.identity.passwords, "hashed", dear)
        assert (await self.use(home, "x")).status_code == 422

    async def test_nobody_gets_one_who_is_switched_off(self, home: ApiHouse) -> None:
        await home.admin.patch("/api/users/reader", json={"active": False})
        assert (await self.issue(home.admin)).status_code == 409

    async def test_token_sets_a_password_once_and_ends_all_sessions(self, home: ApiHouse) -> None:
        here = await come_in(home)
        await self.ask(home, "reader@caudal.test")
        issued = await self.issue(home.operator)
        assert (issued.status_code, issued.headers["cache-control"]) == (201, "no-store")
        token = issued.json()["token"]
        assert token not in str(await home.rows("select * from password_resets"))
        assert (await self.use(home, token)).status_code == 204
        assert (await self.use(home, token)).status_code == 422
        home.clock.advance(seconds=2)
        assert (await holding(home, here).get("/api/auth/me")).status_code == 401
        await come_in(home, password=NEW)
        assert (await home.operator.get("/api/auth/password/resets/")).json()["total"] == 0

    async def test_of_many_uses_at_once_one_counts(self, home: ApiHouse) -> None:
        token = (await self.issue(home.operator)).json()["token"]
        answers = await asyncio.gather(*(self.use(home, token, f"{NEW} {n}") for n in range(5)))
        assert sorted(answer.status_code for answer in answers) == [204, 422, 422, 422, 422]

    async def test_token_ends_after_a_day_and_with_the_next_one(self, home: ApiHouse) -> None:
        first = (await self.issue(home.operator)).json()["token"]
        second = (await self.issue(home.operator)).json()["token"]
        assert (await self.use(home, first)).status_code == 422
        home.clock.advance(days=1)
        assert (await self.use(home, second)).status_code == 422

    async def test_nobody_becomes_somebody_greater_by_it(self, home: ApiHouse) -> None:
        assert (await self.issue(home.operator, "admin@caudal.test")).status_code == 403
        assert (await self.issue(home.admin, "operator@caudal.test")).status_code == 201
        assert (await self.issue(home.reader)).status_code == 403
        assert (await self.issue(home.client)).status_code == 401
        assert (await self.issue(home.admin, "stranger@caudal.test")).status_code == 404

    @pytest.mark.parametrize("change", [{"role": "admin"}, {"client": "andes"}])
    async def test_token_is_for_who_the_user_was_and_not_for_somebody_greater(
        self, home: ApiHouse, change: dict[str, str]
    ) -> None:
        await home.admin.post("/api/clients/", json={"code": "andes"})
        token = (await self.issue(home.operator)).json()["token"]
        assert (await home.admin.patch("/api/users/reader", json={"name": "Ana"})).status_code == 200
        assert (await home.admin.patch("/api/users/reader", json=change)).status_code == 200
        assert (await self.use(home, token)).status_code == 422
        await come_in(home)

    async def test_old_password_is_worth_nothing_to_who_was_let_in_by_it_a_moment_before(
        self, home: ApiHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever knows it comes in, or changes it, just while its owner has it reset."""
        here = holding(home, await come_in(home))
        token = (await self.issue(home.operator)).json()["token"]
        passwords = home.app.state.door.identity.passwords
        match = passwords.match

        async def slowly(password: str, hashed: str | None) -> bool:
            found: bool = await match(password, hashed)
            assert (await self.use(home, token)).status_code == 204
            return found

        for path, body, status in (
            ("/api/auth/login", {"email": "reader@caudal.test", "password": PASSWORD}, 401),
            ("/api/auth/password", {"current_password": NEW, "new_password": "somebody else's"}, 422),
        ):
            monkeypatch.setattr(passwords, "match", slowly)
            assert (await here.post(path, json=body)).status_code == status
            monkeypatch.setattr(passwords, "match", match)
            token = (await self.issue(home.operator)).json()["token"]
            here = holding(home, await come_in(home, password=NEW))
        assert (await self.use(home, token)).status_code == 204

    @pytest.mark.parametrize("token", ["", "x", "x" * 300])
    async def test_any_other_token_is_refused(self, home: ApiHouse, token: str) -> None:
        answer = await self.use(home, token)
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"] == "token"
