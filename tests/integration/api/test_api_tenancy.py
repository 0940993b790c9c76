"""Clients, users, owners and notification preferences: who may make whom, and what holds between them."""

import asyncio
import json
from typing import Any, ClassVar

import httpx
import pytest

from caudal.common.adapters.sql_catalog import SqlCatalog
from caudal.common.bus.messages import Rejected
from caudal.common.domain.readings import Inlet
from integration.api.estate import Estate, field_of, made
from integration.api.house import NOW, WELL, ApiHouse, reading

PASSWORD = "correct horse battery"


class TestClients:
    async def test_client_has_a_life(self, api: ApiHouse) -> None:
        await made(api.admin, "/api/clients/", code="a", name="Ana")
        assert (await api.admin.post("/api/clients/", json={"code": "a"})).status_code == 409
        changed = await api.operator.patch("/api/clients/a", json={"name": "Ana María"})
        assert (changed.json()["name"], changed.json()["active"]) == ("Ana María", True)
        assert (await api.admin.delete("/api/clients/a")).status_code == 204
        assert (await api.admin.get("/api/clients/a")).status_code == 404
        acts = await api.rows("select action, client from audit_log where kind = 'client' order by number")
        assert acts == [("create", "a"), ("change", "a"), ("delete", "a")]

    async def test_client_with_anything_left_stays(self, estate: Estate) -> None:
        answer = await estate.api.admin.delete("/api/clients/a")
        assert answer.status_code == 409
        reason = "users (2), points (1) still belong to this client"
        assert answer.json()["error"]["message"].startswith(reason)

    async def test_client_whose_things_were_all_removed_goes(self, api: ApiHouse) -> None:
        await made(api.admin, "/api/clients/", code="a")
        key = await made(api.admin, "/api/api-keys/", client="a", permissions=["points:read"])
        answer = await api.admin.delete("/api/clients/a")
        assert answer.json()["error"]["message"].startswith("api keys (1) still belong")
        assert (await api.admin.delete(f"/api/api-keys/{key['id']}")).status_code == 204
        assert (await api.admin.delete("/api/clients/a")).status_code == 204

    async def test_nobody_of_a_client_that_is_switched_off_comes_in(self, estate: Estate) -> None:
        client = estate.as_("client_user of a")
        assert (await client.get("/api/points/")).status_code == 200
        await estate.api.admin.patch("/api/clients/a", json={"active": False})
        estate.api.clock.advance(seconds=3)
        assert (await client.get("/api/points/")).status_code == 401


class TestUsers:
    async def test_password_lets_in_and_is_never_shown(self, estate: Estate) -> None:
        await made(estate.api.admin, "/api/users/", email="new@a.test", role="reader", client="a", password=PASSWORD)
        login = {"email": " New@A.test", "password": PASSWORD}
        answer = await estate.api.client.post("/api/auth/login", json=login)
        assert answer.status_code == 200
        listed = (await estate.api.admin.get("/api/users/")).text
        assert "password" not in listed
        written = str(await estate.api.rows("select after from audit_log where kind = 'user'"))
        assert "new@a.test" in written
        assert PASSWORD not in written
        assert "argon" not in written

    @pytest.mark.parametrize("body", [{"email": "x"}, {"role": "king"}, {"client": "nobody"}, {"password": "short"}])
    async def test_what_cannot_be_used_is_named(self, estate: Estate, body: dict[str, str]) -> None:
        whole = {"email": "x@a.test", "role": "client_user", "client": "a"} | body
        answer = await estate.api.admin.post("/api/users/", json=whole)
        assert answer.status_code == 422
        assert field_of(answer) == next(iter(body))

    @pytest.mark.parametrize("address", ["CLIENT_USER@a.test", " client_user@a.test ", "ｃlient_user@a.test"])
    async def test_address_is_taken_once_however_it_is_written(self, estate: Estate, address: str) -> None:
        other = f"/api/users/{estate.ids['client_admin of a']}"
        for answer in (
            await estate.api.admin.post("/api/users/", json={"email": address, "role": "reader"}),
            await estate.api.admin.patch(other, json={"email": address}),
        ):
            assert answer.status_code == 409, answer.text
            assert field_of(answer) == "email"

    async def test_address_that_was_changed_lets_in(self, estate: Estate) -> None:
        user = await made(estate.api.admin, "/api/users/", email="new@a.test", role="reader", password=PASSWORD)
        changed = await estate.api.admin.patch(f"/api/users/{user['id']}", json={"email": " José@A.test"})
        assert changed.json()["email"] == "josé@a.test"
        # The same letters, as another keyboard composes them.
        login = {"email": "Jose\u0301@a.test", "password": PASSWORD}
        assert (await estate.api.client.post("/api/auth/login", json=login)).status_code == 200

    async def test_administrator_of_a_client_makes_users_of_it_and_of_no_other(self, estate: Estate) -> None:
        client = estate.as_("client_admin of a")
        user = await made(client, "/api/users/", email="new@a.test", role="client_user")
        assert user["client"] == "a"
        for role, of, status in (
            ("client_user", "b", 422),
            ("operator", "a", 403),
            ("admin", "a", 422),
            ("operator", None, 403),
        ):
            answer = await client.post("/api/users/", json={"email": "x@a.test", "role": role, "client": of})
            assert answer.status_code == status, (role, of, answer.text)
        assert (await client.patch(f"/api/users/{user['id']}", json={"role": "operator"})).status_code == 403
        assert (await client.patch(f"/api/users/{user['id']}", json={"client": "b"})).status_code == 422
        assert (await client.patch(f"/api/users/{user['id']}", json={"client": None})).status_code == 403
        listed = (await client.get("/api/users/")).json()
        assert {each["client"] for each in listed["items"]} == {"a"}

    async def test_nobody_touches_who_has_more(self, api: ApiHouse) -> None:
        for send in (api.operator.patch, api.operator.delete):
            body: dict[str, Any] = {"json": {"active": False}} if send.__name__ == "patch" else {}
            assert (await send("/api/users/admin", **body)).status_code == 403
        assert (await api.operator.patch("/api/users/operator", json={"role": "admin"})).status_code == 403

    async def test_last_administrator_stays(self, api: ApiHouse) -> None:
        await made(api.admin, "/api/clients/", code="a")
        for field, value in (("active", False), ("role", "operator")):
            answer = await api.admin.patch("/api/users/admin", json={field: value})
            assert (answer.status_code, field_of(answer)) == (409, field)
        assert (await api.admin.delete("/api/users/admin")).status_code == 409
        other = await made(api.admin, "/api/users/", email="second@caudal.test", role="admin")
        assert (await api.admin.patch(f"/api/users/{other['id']}", json={"active": False})).status_code == 200
        assert (await api.admin.delete("/api/users/admin")).status_code == 409, "who is switched off does not count"

    async def test_of_two_who_take_the_last_two_away_one_fails(self, api: ApiHouse) -> None:
        other = await made(api.admin, "/api/users/", email="second@caudal.test", role="admin")
        client = api.admin
        answers = await asyncio.gather(
            *(client.patch(f"/api/users/{user}", json={"role": "operator"}) for user in ("admin", other["id"]))
        )
        assert sorted(answer.status_code for answer in answers) in ([200, 403], [200, 409])
        left = await api.rows("select count(*) from users where role = 'admin'")
        assert left == [(1,)]

    async def test_who_is_switched_off_is_outside(self, estate: Estate) -> None:
        client = estate.as_("client_user of a")
        assert (await client.get("/api/auth/me")).status_code == 200
        path = f"/api/users/{estate.ids['client_user of a']}"
        assert (await estate.as_("client_admin of a").patch(path, json={"active": False})).status_code == 200
        estate.api.clock.advance(seconds=3)
        assert (await client.get("/api/auth/me")).status_code == 401

    async def test_user_who_moves_leaves_the_old_clients_points_behind(self, estate: Estate) -> None:
        user = estate.ids["client_user of a"]
        await made(estate.api.admin, "/api/users/owners/", user=user, point="well-a", kind="PRIMARY")
        told = {"types": ["OFFLINE"], "channels": ["EMAIL"]}
        await made(estate.api.admin, "/api/users/notifications/", user=user, point="well-a", **told)
        await made(estate.api.admin, "/api/users/notifications/", user=user, **told)
        assert (await estate.api.admin.patch(f"/api/users/{user}", json={"client": "b"})).status_code == 200
        assert (await estate.api.admin.get("/api/users/owners/")).json()["total"] == 0
        kept = (await estate.api.admin.get("/api/users/notifications/")).json()["items"]
        assert [each["point"] for each in kept] == [None]

    @pytest.mark.parametrize("ended_by", ["user moves", "user goes", "point moves", "point goes"])
    async def test_what_a_user_had_at_a_point_ends_with_a_line_in_the_log(self, estate: Estate, ended_by: str) -> None:
        user, admin = estate.ids["client_user of a"], estate.api.admin
        owner = await made(admin, "/api/users/owners/", user=user, point="well-a", kind="PRIMARY")
        told = {"user": user, "point": "well-a", "types": ["OFFLINE"], "channels": ["EMAIL"]}
        kept = await made(admin, "/api/users/notifications/", **told)
        path = f"/api/users/{user}" if ended_by.startswith("user") else "/api/points/well-a"
        moves = ended_by.endswith("moves")
        answer = await (admin.patch(path, json={"client": "b"}) if moves else admin.delete(path))
        assert answer.is_success, answer.text
        lines = (await estate.as_("client_admin of a").get("/api/audit/?action=delete&point=well-a")).json()["items"]
        ended = {line["key"]: (line["before"], line["client"]) for line in lines if line["kind"] != "point"}
        assert ended == {owner["id"]: (owner, "a"), kept["id"]: (kept, "a")}
        assert ("delete", owner["id"]) not in await seen_by(estate, "client_admin of b")

    async def test_log_of_a_move_is_the_staffs_and_all_else_the_clients_own(self, estate: Estate) -> None:
        user = estate.ids["client_user of a"]
        owner = await made(estate.api.admin, "/api/users/owners/", user=user, point="well-a", kind="PRIMARY")
        told = {"types": ["OFFLINE"], "channels": ["EMAIL"]}
        kept = await made(estate.api.admin, "/api/users/notifications/", user=user, **told)
        await estate.api.admin.patch(f"/api/users/{user}", json={"client": "b"})
        of_a = await seen_by(estate, "client_admin of a")
        of_b = await seen_by(estate, "client_admin of b")
        assert {("create", owner["id"]), ("create", kept["id"]), ("create", user)} <= of_a
        assert not [line for line in of_b if line[1] in (owner["id"], kept["id"], user)]
        assert ("change", user) not in of_a
        assert ("change", user) in await seen_by(estate, "admin")

    @pytest.mark.parametrize(
        "password", ["x" * 11, "Somebody@A.test", "correct horse\x00battery", "correct \ud800 battery"]
    )
    async def test_password_that_could_not_be_typed_or_is_too_easy_is_refused(
        self, estate: Estate, password: str
    ) -> None:
        body = json.dumps({"email": "somebody@a.test", "role": "reader", "client": "a", "password": password})
        headers = {"Content-Type": "application/json"}
        answer = await estate.api.admin.post("/api/users/", content=body, headers=headers)
        assert (answer.status_code, field_of(answer)) == (422, "password")


async def seen_by(estate: Estate, who: str) -> set[tuple[str, str]]:
    """Action and key of what somebody finds in the audit log."""
    client = estate.api.admin if who == "admin" else estate.as_(who)
    found = (await client.get("/api/audit/", params={"page_size": 500})).json()["items"]
    return {(line["action"], line["key"]) for line in found}


class TestOwners:
    async def test_owner_has_a_life(self, estate: Estate) -> None:
        client = estate.as_("client_admin of a")
        body = {"user": estate.ids["client_user of a"], "point": "well-a", "kind": "PRIMARY"}
        owner = await made(client, "/api/users/owners/", **body, permissions=["points:read"])
        assert (await client.post("/api/users/owners/", json=body)).status_code == 409
        await made(client, "/api/users/owners/", **(body | {"kind": "ADMINISTRATOR"}))
        item = f"/api/users/owners/{owner['id']}"
        changed = await client.patch(item, json={"permissions": ["telemetry:read"]})
        assert changed.json()["permissions"] == ["telemetry:read"]
        assert changed.json()["kind"] == "PRIMARY"
        assert (await client.delete(item)).status_code == 204
        assert (await client.get("/api/users/owners/")).json()["total"] == 1
        assert len(await estate.api.rows("select * from catalog_owners")) == 1

    async def test_user_and_point_belong_together(self, estate: Estate) -> None:
        ids, admin, own = estate.ids, estate.api.admin, estate.as_("client_admin of a")
        foreign: list[tuple[httpx.AsyncClient, dict[str, str], int, str]] = [
            (admin, {"user": ids["client_user of b"], "point": "well-a"}, 409, "user"),
            (own, {"user": ids["client_user of b"], "point": "well-a"}, 422, "user"),
            (own, {"user": ids["client_user of a"], "point": "well-b"}, 422, "point"),
            (own, {"user": ids["client_user of a"], "point": "nothing"}, 422, "point"),
        ]
        for client, body, status, field in foreign:
            answer = await client.post("/api/users/owners/", json=body | {"kind": "PRIMARY"})
            assert (answer.status_code, field_of(answer)) == (status, field)

    async def test_agreements_are_about_one_point(self, estate: Estate) -> None:
        body = {"user": estate.ids["client_user of a"], "point": "well-a", "kind": "PRIMARY"}
        for permissions in (["users:write"], ["points:read", "points:read"], ["everything"]):
            answer = await estate.api.admin.post("/api/users/owners/", json=body | {"permissions": permissions})
            assert answer.status_code == 422

    async def test_point_that_moves_to_another_client_leaves_its_people_behind(self, estate: Estate) -> None:
        user = estate.ids["client_user of a"]
        await made(estate.api.admin, "/api/users/owners/", user=user, point="well-a", kind="PRIMARY")
        assert (await estate.api.admin.patch("/api/points/well-a", json={"client": "b"})).status_code == 200
        assert (await estate.api.admin.get("/api/users/owners/")).json()["total"] == 0
        assert (await estate.as_("client_user of b").get("/api/points/well-a")).status_code == 200


class TestOwnNotifications:
    BODY: ClassVar[dict[str, Any]] = {"types": ["OFFLINE"], "channels": ["EMAIL"]}

    async def test_user_keeps_what_is_the_users_own(self, estate: Estate) -> None:
        user = estate.as_("client_user of a")
        kept = await made(user, "/api/users/notifications/", **self.BODY, point="well-a")
        assert kept["user"] == estate.ids["client_user of a"]
        item = f"/api/users/notifications/{kept['id']}"
        assert (await user.get(item)).json() == kept
        assert (await user.patch(item, json={"daily_summary": True})).json()["daily_summary"] is True
        assert (await user.get("/api/users/notifications/")).json()["total"] == 1
        assert (await user.delete(item)).status_code == 204

    async def test_anybody_elses_is_not_there(self, estate: Estate) -> None:
        user, other = estate.as_("client_user of a"), estate.ids["client_admin of a"]
        foreign = await made(estate.as_("client_admin of a"), "/api/users/notifications/", **self.BODY)
        assert foreign["user"] == other
        for id, headers in ((foreign["id"], {}), (foreign["id"], {"If-Match": '"x"'}), ("nothing", {})):
            item = f"/api/users/notifications/{id}"
            assert (await user.get(item)).status_code == 404
            assert (await user.patch(item, json={"types": []}, headers=headers)).status_code == 404
            assert (await user.delete(item, headers=headers)).status_code == 404
        assert (await user.get("/api/users/notifications/", params={"user": other})).json()["total"] == 0
        answers = [
            await user.post("/api/users/notifications/", json=self.BODY | {"user": id}) for id in (other, "nobody")
        ]
        assert [(answer.status_code, field_of(answer)) for answer in answers] == [(422, "user")] * 2

    async def test_key_has_no_wishes(self, estate: Estate) -> None:
        body = {"permissions": ["points:read"], "client": "a"}
        key = estate.api.with_key((await made(estate.api.admin, "/api/api-keys/", **body))["key"])
        assert (await key.get("/api/users/notifications/")).status_code == 403
        assert (await key.post("/api/users/notifications/", json=self.BODY)).status_code == 403


class TestClaims:
    """Which devices somebody of a client may take for a point."""

    POINT: ClassVar[dict[str, Any]] = {"code": "new", "device": "meter-9"}

    async def take(self, estate: Estate, who: str = "client_admin of a") -> httpx.Response:
        return await estate.as_(who).post("/api/points/", json=self.POINT)

    async def test_device_that_nobody_has_heard_of_is_free(self, estate: Estate) -> None:
        assert (await self.take(estate)).status_code == 201

    async def test_device_that_was_heard_of_is_the_staffs_to_give(self, estate: Estate) -> None:
        await estate.api.keep(reading(NOW, flow=1.0), device="meter-9")
        answer = await self.take(estate)
        assert (answer.status_code, field_of(answer)) == (409, "device")
        moved = await estate.as_("client_admin of a").patch("/api/points/well-a", json={"device": "meter-9"})
        assert (moved.status_code, field_of(moved)) == (409, "device")
        given = await estate.api.admin.post("/api/points/", json=self.POINT | {"client": "a"})
        assert given.status_code == 201

    async def test_what_could_not_be_read_of_a_device_is_the_staffs_to_give_too(self, estate: Estate) -> None:
        rejected = Rejected(
            id="r1", device="meter-9", received_at=NOW, inlet=Inlet.UPLINK, reason="x", payload="secret",
            topic="telemetry/meter-9/uplink",
        )  # fmt: skip
        await estate.api.reject(rejected)
        assert (await self.take(estate)).status_code == 409

    async def test_key_of_a_device_says_whose_it_is(self, estate: Estate) -> None:
        await estate.api.keep(reading(NOW, flow=1.0), device="meter-9")
        body = {"permissions": ["telemetry:push"], "device": "meter-9", "client": "a"}
        await made(estate.api.admin, "/api/api-keys/", **body)
        assert (await self.take(estate, "client_admin of b")).status_code == 409
        assert (await self.take(estate)).status_code == 201

    async def test_point_that_is_made_again_takes_its_own_device_back(self, estate: Estate) -> None:
        assert (await self.take(estate)).status_code == 201
        await estate.api.keep(reading(NOW, flow=1.0), device="meter-9")
        assert (await estate.as_("client_admin of a").delete("/api/points/new")).status_code == 204
        assert (await self.take(estate, "client_admin of b")).status_code == 409
        assert (await self.take(estate)).status_code == 201


class TestNotifications:
    BODY: ClassVar[dict[str, Any]] = {
        "types": ["THRESHOLD", "OFFLINE"],
        "channels": ["EMAIL", "IN_APP"],
        "quiet_from": "22:00",
        "quiet_to": "07:00",
        "time_zone": "America/Santiago",
        "daily_summary": True,
    }

    async def test_preference_has_a_life(self, estate: Estate) -> None:
        client = estate.as_("client_admin of a")
        user = estate.ids["client_user of a"]
        kept = await made(client, "/api/users/notifications/", user=user, point="well-a", **self.BODY)
        assert {name: kept[name] for name in self.BODY} == self.BODY
        again = await client.post("/api/users/notifications/", json=self.BODY | {"user": user, "point": "well-a"})
        assert again.status_code == 409
        item = f"/api/users/notifications/{kept['id']}"
        changed = await client.patch(item, json={"quiet_from": None, "quiet_to": None, "channels": ["SMS"]})
        assert (changed.json()["quiet_from"], changed.json()["channels"]) == (None, ["SMS"])
        rows = await estate.api.rows("select email, client, point, types from catalog_notifications")
        assert rows == [("client_user@a.test", "a", "well-a", '["THRESHOLD","OFFLINE"]')]
        assert (await client.delete(item)).status_code == 204

    @pytest.mark.parametrize(
        ("field", "change"),
        [
            ("quiet_from", {"quiet_from": "25:00"}),
            ("quiet_to", {"quiet_to": None}),
            ("quiet_to", {"quiet_to": "22:00"}),
            ("time_zone", {"time_zone": "Mars"}),
            ("types.0", {"types": ["GOSSIP"]}),
            ("channels", {"channels": ["SMS", "SMS"]}),
            ("point", {"point": "well-b"}),
            ("user", {"user": "nobody"}),
        ],
    )
    async def test_what_cannot_be_used_is_named(self, estate: Estate, field: str, change: dict[str, Any]) -> None:
        body = self.BODY | {"user": estate.ids["client_user of a"]} | change
        answer = await estate.as_("client_admin of a").post("/api/users/notifications/", json=body)
        assert answer.status_code == 422
        assert field_of(answer) == field


class TestPointsOfClients:
    async def test_point_says_where_and_whose_it_is(self, estate: Estate) -> None:
        place = {"latitude": -33.45, "longitude": -70.65, "altitude_m": 520.0}
        point = await estate.api.add_point(code="w", device="d", client="a", **place)
        assert {name: point[name] for name in place} == place
        assert (await estate.api.admin.get("/api/points/?latitude_to=-33&client=a")).json()["total"] == 1
        seen = await SqlCatalog(estate.api.engine).point("w")
        assert seen is not None
        assert (seen.client, seen.latitude) == ("a", -33.45)

    @pytest.mark.parametrize(
        ("field", "change"),
        [
            ("latitude", {"latitude": 91, "longitude": 0}),
            ("longitude", {"latitude": 1}),
            ("altitude_m", {"altitude_m": 9001}),
            ("client", {"client": "nobody"}),
        ],
    )
    async def test_what_cannot_be_used_is_named(self, api: ApiHouse, field: str, change: dict[str, Any]) -> None:
        answer = await api.admin.post("/api/points/", json=WELL | change)
        assert answer.status_code == 422
        assert field_of(answer) == field

    async def test_client_makes_points_of_its_own_and_no_others(self, estate: Estate) -> None:
        client = estate.as_("client_admin of a")
        point = await made(client, "/api/points/", code="w", device="d")
        assert point["client"] == "a"
        for change in ({"client": "b"}, {"client": "nobody"}):
            assert field_of(await client.post("/api/points/", json=WELL | change)) == "client"
            assert field_of(await client.patch("/api/points/w", json=change)) == "client"
        assert (await client.patch("/api/points/w", json={"client": None})).json()["client"] == "a"

    async def test_client_says_of_its_own_providers_only_where_a_points_values_are(self, estate: Estate) -> None:
        """A provider that all clients share would answer for another client's device, too."""
        there = {"provider": "shared", "source": {"remote_id": "of-somebody-else", "keys": {"total": "t"}}}
        await made(estate.api.admin, "/api/providers/", code="shared")
        client = estate.as_("client_admin of a")
        refused = await client.post("/api/points/", json={"code": "w", "device": "d", **there})
        assert refused.status_code == 403, refused.text
        assert "shared by all clients" in refused.json()["error"]["message"]
        assert (await client.get("/api/points/w")).status_code == 404
        assert (await client.patch("/api/points/well-a", json=there)).status_code == 403
        assert (await estate.api.admin.patch("/api/points/well-a", json=there)).status_code == 200
        assert (await client.patch("/api/points/well-a", json={"name": "Pozo"})).status_code == 200
        elsewhere = {"source": {"remote_id": "another", "keys": {"total": "t"}}}
        assert (await client.patch("/api/points/well-a", json=elsewhere)).status_code == 403
        await made(estate.api.admin, "/api/providers/", code="own", client="a")
        assert (await client.patch("/api/points/well-a", json={"provider": "own"} | elsewhere)).status_code == 200
