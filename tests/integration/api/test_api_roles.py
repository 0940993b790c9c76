"""/api/roles/, /api/api-keys/ and /api/audit/: permissions as data, programs' keys, and who did what."""

import asyncio
from datetime import timedelta
from typing import Any, ClassVar

import httpx
import pytest
import sqlalchemy as sa

from caudal.common.adapters.sql import transaction
from caudal.gateway_api.adapters.tables import clients, sessions, users
from caudal.gateway_api.domain.permissions import STAFF_ONLY, Permission
from integration.api.house import NOW, ApiHouse, new_client, session_of

NIGHT = {"code": "night", "name": "Night shift", "permissions": ["points:read", "telemetry:read"]}


async def tenant(api: ApiHouse, client: str, role: str = "client_admin") -> httpx.AsyncClient:
    """Somebody of a client, which is made if need be."""
    user = f"{role}-{client}"
    row: dict[str, Any] = {"name": "", "active": True, "created_at": NOW, "updated_at": NOW}
    async with transaction(api.engine) as connection:
        if not await connection.scalar(sa.select(clients.c.code).where(clients.c.code == client)):
            await connection.execute(sa.insert(clients).values(**row, code=client))
        email = f"{user}@caudal.test"
        await connection.execute(
            sa.insert(users).values(**row, id=user, email=email, password_hash="", role=role, client=client)
        )
        await connection.execute(sa.insert(sessions).values(session_of(user)))
    return api.as_(user)


class TestRoles:
    async def test_nobody_and_others_may_not_change_them(self, api: ApiHouse) -> None:
        for client, status in ((api.client, 401), (api.reader, 403), (api.operator, 403)):
            assert (await client.post("/api/roles/", json=NIGHT)).status_code == status
            assert (await client.patch("/api/roles/reader", json={"name": "x"})).status_code == status
            assert (await client.delete("/api/roles/reader")).status_code == status

    async def test_shipped_ones_are_there_and_administrators_may_everything(self, api: ApiHouse) -> None:
        said = (await api.operator.get("/api/roles/")).json()
        assert [role["code"] for role in said["items"]] == [
            "admin",
            "client_admin",
            "client_user",
            "operator",
            "reader",
        ]
        assert said["items"][0]["permissions"] == sorted(Permission)
        assert (await api.operator.get("/api/permissions/")).json() == sorted(Permission)

    async def test_change_counts_for_who_has_the_role_within_seconds(self, api: ApiHouse) -> None:
        assert (await api.reader.get("/api/audit/")).status_code == 403
        words = ["audit:read", "points:read"]
        answer = await api.admin.patch("/api/roles/reader", json={"permissions": words})
        assert answer.json()["permissions"] == words
        api.clock.advance(seconds=2)
        assert (await api.reader.get("/api/audit/")).status_code == 200
        assert (await api.reader.get("/api/providers/")).status_code == 403

    async def test_role_is_made_changed_knowingly_and_deleted(self, api: ApiHouse) -> None:
        made = await api.admin.post("/api/roles/", json=NIGHT)
        assert made.status_code == 201
        assert (await api.admin.post("/api/roles/", json=NIGHT)).status_code == 409
        seen = {"If-Match": made.headers["etag"]}
        assert (await api.admin.patch("/api/roles/night", json={"name": "Day"}, headers=seen)).status_code == 200
        assert (await api.admin.patch("/api/roles/night", json={"name": "Noon"}, headers=seen)).status_code == 412
        assert (await api.admin.delete("/api/roles/night")).status_code == 204
        assert (await api.admin.get("/api/roles/night")).status_code == 404

    async def test_there_are_always_administrators_and_nobody_without_a_role(self, api: ApiHouse) -> None:
        assert (await api.admin.patch("/api/roles/admin", json={"permissions": ["points:read"]})).status_code == 409
        assert (await api.admin.patch("/api/roles/admin", json={"name": "Chief"})).status_code == 200
        assert (await api.admin.delete("/api/roles/admin")).status_code == 409
        assert (await api.admin.delete("/api/roles/operator")).status_code == 409

    async def test_nobody_gives_more_than_they_have(self, api: ApiHouse) -> None:
        assert (await api.admin.patch("/api/roles/reader", json={"permissions": ["roles:write"]})).status_code == 200
        api.clock.advance(seconds=2)
        assert (await api.reader.patch("/api/roles/night", json=NIGHT | {"code": "a"})).status_code == 422
        assert (await api.reader.post("/api/roles/", json=NIGHT)).status_code == 403

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"permissions": []}, "permissions"),
            ({"permissions": ["everything"]}, "permissions.0"),
            ({"code": "a b"}, "code"),
            ({"name": 5}, "name"),
            ({"more": 1}, "more"),
        ],
    )
    async def test_field_that_cannot_be_used_is_named(self, api: ApiHouse, change: dict[str, Any], field: str) -> None:
        answer = await api.admin.post("/api/roles/", json=NIGHT | change)
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"] == field

    async def test_nobody_of_a_client_reaches_beyond_it_whatever_the_role_says(self, api: ApiHouse) -> None:
        boss = await tenant(api, "andes", "admin")
        may = (await boss.get("/api/auth/me")).json()
        assert (may["client"], set(may["permissions"])) == ("andes", set(Permission) - STAFF_ONLY)
        assert (await boss.post("/api/roles/", json=NIGHT)).status_code == 403

    async def test_nobody_of_a_client_that_was_switched_off_comes_in(self, api: ApiHouse) -> None:
        boss = await tenant(api, "andes")
        assert (await boss.get("/api/points/")).status_code == 200
        async with api.engine.begin() as connection:
            await connection.exec_driver_sql("update clients set active = false")
        api.clock.advance(seconds=2)
        assert (await boss.get("/api/points/")).status_code == 401


class TestApiKeys:
    BODY: ClassVar[dict[str, Any]] = {"label": "SCADA", "permissions": ["points:read"]}

    async def make(self, by: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
        answer = await by.post("/api/api-keys/", json=self.BODY | changes)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        for client, status in ((api.client, 401), (api.reader, 403)):
            assert (await client.get("/api/api-keys/")).status_code == status
            assert (await client.post("/api/api-keys/", json=self.BODY)).status_code == status
            for method in ("get", "patch", "delete"):
                more = {"json": {}} if method == "patch" else {}
                assert (await client.request(method, "/api/api-keys/k", **more)).status_code == status

    async def test_key_may_what_it_was_made_for_and_no_more(self, api: ApiHouse) -> None:
        key = (await self.make(api.admin))["key"]
        assert (await api.with_key(key).get("/api/points/")).status_code == 200
        shorter = new_client(api.app, {"Authorization": f"ApiKey {key}"})
        assert (await shorter.get("/api/points/")).status_code == 200
        assert (await api.with_key(key).get("/api/providers/")).status_code == 403
        assert (await api.with_key(key).post("/api/telemetry/uplink/acme", json={})).status_code == 403
        for path in ("/api/auth/logout", "/api/auth/password"):
            assert (await api.with_key(key).post(path)).status_code == 401

    async def test_providers_key_reads_nothing(self, api: ApiHouse) -> None:
        key = await api.add_provider()
        assert (await api.with_key(key).get("/api/points/")).status_code == 403
        assert (await api.with_key(key).get("/api/auth/me")).status_code == 401

    async def test_revoked_or_ended_key_is_useless(self, api: ApiHouse) -> None:
        ends_at = (NOW + timedelta(hours=1)).isoformat()
        first, second = await self.make(api.admin), await self.make(api.admin, expires_at=ends_at)
        assert (await api.admin.delete(f"/api/api-keys/{first['id']}")).status_code == 204
        assert (await api.admin.delete(f"/api/api-keys/{first['id']}")).status_code == 404
        assert (await api.with_key(first["key"]).get("/api/points/")).status_code == 401
        assert (await api.with_key(second["key"]).get("/api/points/")).status_code == 200
        api.clock.advance(hours=1)
        assert (await api.with_key(second["key"]).get("/api/points/")).status_code == 401

    async def test_last_use_is_known_to_the_minute(self, api: ApiHouse) -> None:
        key = (await self.make(api.admin))["key"]

        async def used() -> object:
            return (await api.admin.get("/api/api-keys/")).json()["items"][0]["last_used_at"]

        assert await used() is None
        for seconds, seen in ((0, "10:00:00"), (59, "10:00:00"), (1, "10:01:00")):
            api.clock.advance(seconds=seconds)
            await api.with_key(key).get("/api/points/")
            assert await used() == f"2026-03-02T{seen}Z"

    async def test_key_belongs_to_its_makers_client(self, api: ApiHouse) -> None:
        andes, costa = await tenant(api, "andes"), await tenant(api, "costa")
        made = await self.make(andes)
        assert made["client"] == "andes"
        assert [key["id"] for key in (await andes.get("/api/api-keys/")).json()["items"]] == [made["id"]]
        assert (await costa.get("/api/api-keys/")).json()["total"] == 0
        assert (await costa.delete(f"/api/api-keys/{made['id']}")).status_code == 404
        for change in ({"client": "costa"}, {"permissions": ["providers:write"]}, {"device": "meter-1"}):
            assert (await andes.post("/api/api-keys/", json=self.BODY | change)).status_code == 403
        async with api.engine.begin() as connection:
            await connection.exec_driver_sql("update clients set active = false where code = 'andes'")
        assert (await api.with_key(made["key"]).get("/api/points/")).status_code == 401

    async def test_key_is_shown_and_using_it_is_no_change_of_it(self, api: ApiHouse) -> None:
        made = await api.admin.post("/api/api-keys/", json=self.BODY)
        path = f"/api/api-keys/{made.json()['id']}"
        shown = await api.admin.get(path)
        assert shown.json() | {"key": made.json()["key"]} == made.json()
        await api.with_key(made.json()["key"]).get("/api/points/")
        used = await api.admin.get(path)
        assert used.json()["last_used_at"] == "2026-03-02T10:00:00Z"
        assert used.headers["etag"] == shown.headers["etag"] == made.headers["etag"]

    async def test_name_and_end_change_and_less_is_allowed_at_once(self, api: ApiHouse) -> None:
        made = await self.make(api.admin, permissions=["points:read", "telemetry:read"])
        path, program = f"/api/api-keys/{made['id']}", api.with_key(made["key"])
        ends_at = "2026-03-02T11:00:00Z"
        change = {"label": "night", "permissions": ["telemetry:read"], "expires_at": ends_at}
        changed = await api.admin.patch(path, json=change)
        assert changed.json() == {name: made[name] for name in made if name != "key"} | change
        assert (await program.get("/api/points/")).status_code == 403
        assert (await program.get("/api/telemetry/raw/")).status_code == 200
        api.clock.advance(hours=1)
        assert (await program.get("/api/telemetry/raw/")).status_code == 401
        assert (await api.admin.patch(path, json={"expires_at": None})).json()["expires_at"] is None
        assert (await program.get("/api/telemetry/raw/")).status_code == 200
        first, second = (await api.admin.get("/api/audit/", params={"action": "change", "order": "number"})).json()[
            "items"
        ]
        assert (first["before"]["label"], first["after"]["label"]) == ("SCADA", "night")
        assert (second["before"]["expires_at"], second["after"]["expires_at"]) == (ends_at, None)

    async def test_key_that_somebody_else_changed_is_not_overwritten(self, api: ApiHouse) -> None:
        made = await self.make(api.admin)
        path = f"/api/api-keys/{made['id']}"
        seen = {"If-Match": (await api.admin.get(path)).headers["etag"]}
        assert (await api.admin.patch(path, json={"label": "day"}, headers=seen)).status_code == 200
        assert (await api.admin.patch(path, json={"label": "night"}, headers=seen)).status_code == 412
        assert (await api.admin.delete(path, headers=seen)).status_code == 412
        fresh = {"If-Match": (await api.admin.get(path)).headers["etag"]}
        assert (await api.admin.delete(path, headers=fresh)).status_code == 204
        for answer in (await api.admin.get(path), await api.admin.patch(path, json={"label": "day"})):
            assert answer.status_code == 404

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"permissions": ["points:read", "points:write"]}, "permissions"),
            ({"permissions": []}, "permissions"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
            ({"expires_at": "tomorrow"}, "expires_at"),
            ({"label": "x" * 300}, "label"),
            ({"client": "andes"}, "client"),
        ],
    )
    async def test_key_is_never_given_more_and_never_ends_in_the_past(
        self, api: ApiHouse, change: dict[str, Any], field: str
    ) -> None:
        made = await self.make(api.admin)
        answer = await api.admin.patch(f"/api/api-keys/{made['id']}", json=change)
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["fields"][0]["field"] == field
        assert await api.rows("select action from audit_log where kind = 'api_key'") == [("create",)]

    async def test_only_who_could_make_a_key_lets_it_live_longer(self, api: ApiHouse) -> None:
        andes, costa = await tenant(api, "andes"), await tenant(api, "costa")
        ends_at, later = "2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z"
        own = await self.make(api.admin, client="andes", permissions=["providers:write"], expires_at=ends_at)
        device = {"device": "meter-1", "permissions": ["telemetry:push"]}
        pushing = await self.make(api.admin, client="andes", expires_at=ends_at, **device)
        for key in (own, pushing):
            path = f"/api/api-keys/{key['id']}"
            for longer in (later, None):
                assert (await andes.patch(path, json={"expires_at": longer})).status_code == 403
            for less in ({"label": "x"}, {"expires_at": "2026-03-02T10:30:00Z"}):
                assert (await andes.patch(path, json=less)).status_code == 200
            assert (await api.admin.patch(path, json={"expires_at": later})).status_code == 200
            for answer in (await costa.get(path), await costa.patch(path, json={"label": "x"})):
                assert answer.status_code == 404

    async def test_a_key_makes_none_that_outlives_it_and_does_not_prolong_itself(self, api: ApiHouse) -> None:
        ends_at, later = "2026-03-02T11:00:00Z", "2026-03-02T11:00:01Z"
        maker = await self.make(api.admin, permissions=["keys:write", "keys:read"], expires_at=ends_at)
        program = api.with_key(maker["key"])
        body = {"label": "made by a key", "permissions": ["keys:read"]}
        for longer in ({}, {"expires_at": None}, {"expires_at": later}):
            answer = await program.post("/api/api-keys/", json=body | longer)
            assert (answer.status_code, "no longer than" in answer.text) == (403, True)
        assert (await program.post("/api/api-keys/", json=body | {"expires_at": ends_at})).status_code == 201
        for longer in (None, later):
            answer = await program.patch(f"/api/api-keys/{maker['id']}", json={"expires_at": longer})
            assert answer.status_code == 403
        endless = api.with_key((await self.make(api.admin, permissions=["keys:write", "keys:read"]))["key"])
        assert (await endless.post("/api/api-keys/", json=body)).status_code == 201

    async def test_secret_is_kept_nowhere_and_repetitions_do_not_tell_it(self, api: ApiHouse) -> None:
        headers = {"Idempotency-Key": "once"}
        answers = [await api.admin.post("/api/api-keys/", json=self.BODY, headers=headers) for _ in range(2)]
        key = answers[0].json()["key"]
        assert answers[1].json() == answers[0].json() | {"key": None}
        for table in ("api_keys", "audit_log", "gateway_repeats"):
            assert key not in str(await api.rows(f"select * from {table}"))

    @pytest.mark.parametrize(
        ("change", "status", "field"),
        [
            ({"permissions": []}, 422, "permissions"),
            ({"permissions": ["all"]}, 422, "permissions.0"),
            ({"client": "none"}, 422, "client"),
            ({"provider": "none"}, 422, "provider"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "expires_at"),
            ({"label": "x" * 300}, 422, "label"),
        ],
    )
    async def test_bad_key_is_refused(
        self, api: ApiHouse, change: dict[str, Any], status: int, field: str | None
    ) -> None:
        answer = await api.admin.post("/api/api-keys/", json=self.BODY | change)
        assert answer.status_code == status, answer.text
        assert [entry["field"] for entry in answer.json()["error"]["fields"]] == ([field] if field else [])


class TestAudit:
    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/audit/")).status_code == 401
        assert (await api.reader.get("/api/audit/")).status_code == 403

    async def test_it_says_who_did_what_from_where(self, api: ApiHouse) -> None:
        await api.add_point()
        answer = await api.operator.patch(
            "/api/points/well-1", json={"name": "Pozo 1"}, headers={"X-Request-ID": "r-7"}
        )
        assert answer.headers["x-request-id"] == "r-7"
        last, first = (await api.admin.get("/api/audit/")).json()["items"]
        assert (last["who"], last["action"], last["kind"]) == ("operator@caudal.test", "change", "point")
        assert (last["key"], last["point"]) == ("well-1", "well-1")
        assert (last["before"]["name"], last["after"]["name"]) == ("Pozo Uno", "Pozo 1")
        assert (last["address"], last["request"]) == ("192.0.2.7", "r-7")
        assert (last["number"], last["previous"]) == (2, first["hash"])

    async def test_logins_are_in_it_and_nothing_that_was_typed(self, api: ApiHouse) -> None:
        for email in ("reader@caudal.test", "hunter2@caudal.test"):
            await api.client.post("/api/auth/login", json={"email": email, "password": "tr0ub4dor"})
        said = (await api.admin.get("/api/audit/", params={"action": "login_failed", "order": "number"})).json()
        assert [(line["who"], line["key"]) for line in said["items"]] == [
            ("reader@caudal.test", "reader"),
            ("nobody", ""),
        ]
        kept = str(await api.rows("select * from audit_log"))
        assert "tr0ub4dor" not in kept
        assert "hunter2" not in kept

    async def test_it_is_filtered_paged_and_told_as_csv(self, api: ApiHouse) -> None:
        for number in range(5):
            await api.admin.post("/api/roles/", json=NIGHT | {"code": f"r{number}"})
        api.clock.advance(hours=1)
        await api.admin.delete("/api/roles/r0")
        asked = {"kind": "role", "who": "admin@caudal.test", "page_size": 2, "page": 2}
        said = (await api.admin.get("/api/audit/", params=asked)).json()
        assert (said["total"], [line["number"] for line in said["items"]]) == (6, [4, 3])
        late = (await api.admin.get("/api/audit/", params={"at_from": "2026-03-02T11:00:00Z"})).json()
        assert [line["action"] for line in late["items"]] == ["delete"]
        table = await api.admin.get("/api/audit/", params={"format": "csv", "key": "r0"})
        assert [line.split(",")[3:6] for line in table.text.splitlines()] == [
            ["action", "kind", "key"],
            ["delete", "role", "r0"],
            ["create", "role", "r0"],
        ]

    async def test_somebody_of_a_client_sees_what_is_that_clients(self, api: ApiHouse) -> None:
        andes, costa = await tenant(api, "andes"), await tenant(api, "costa")
        await api.add_point()
        await TestApiKeys().make(andes)
        assert (await andes.get("/api/audit/")).json()["total"] == 1
        assert (await costa.get("/api/audit/")).json()["total"] == 0
        assert (await costa.get("/api/audit/", params={"client": "andes"})).json()["total"] == 0

    async def test_what_is_not_done_is_not_written(self, api: ApiHouse) -> None:
        assert (await api.admin.delete("/api/roles/operator")).status_code == 409
        assert await api.rows("select * from audit_log") == []

    async def test_many_at_once_make_one_chain_without_a_gap(self, api: ApiHouse) -> None:
        paths = [f"w{n}" for n in range(20)]
        await asyncio.gather(*(api.admin.post("/api/points/", json={"code": n, "device": n}) for n in paths))
        lines = await api.rows("select number, previous, hash from audit_log order by number")
        assert [number for number, _, _ in lines] == list(range(1, 21))
        assert [previous for _, previous, _ in lines[1:]] == [hashed for _, _, hashed in lines[:-1]]
