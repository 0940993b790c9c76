"""What was agreed with an owner: done and found at that point, whatever the role says, and nowhere else."""

import httpx
import pytest

from caudal.common.bus.messages import Rejected
from caudal.common.domain.readings import Inlet
from integration.api.estate import Estate, made
from integration.api.house import NOW, reading


def unreadable(device: str) -> Rejected:
    """Something of a device that could not be read."""
    topic = f"telemetry/{device}/uplink"
    return Rejected(
        id=f"r-{device}", device=device, received_at=NOW, inlet=Inlet.UPLINK, topic=topic, reason="x", payload="x"
    )


async def agree(estate: Estate, *permissions: str, point: str = "well-a") -> httpx.AsyncClient:
    user = estate.ids["client_user of a"]
    body = {"user": user, "point": point, "kind": "ADMINISTRATOR", "permissions": permissions}
    await made(estate.as_("client_admin of a"), "/api/users/owners/", **body)
    return estate.as_("client_user of a")


async def test_owner_configures_that_point_and_no_other(estate: Estate) -> None:
    await estate.api.add_point(code="well-a2", device="meter-a2", client="a")
    user = estate.as_("client_user of a")
    assert (await user.patch("/api/points/well-a", json={"name": "x"})).status_code == 403
    await agree(estate, "points:write")
    assert (await user.patch("/api/points/well-a", json={"name": "x"})).status_code == 200
    assert (await user.patch("/api/variables/well-a/flow", json={"name": "Q"})).status_code == 200
    swap = {"variable": "total", "at": "2026-03-01T10:00:00Z", "starts_at": 0}
    assert (await user.post("/api/points/well-a/meter-swaps/", json=swap)).status_code == 201
    for point in ("well-a2", "well-b", "nothing"):
        assert (await user.patch(f"/api/points/{point}", json={"name": "x"})).status_code == 403
        assert (await user.patch(f"/api/variables/{point}/flow", json={"name": "Q"})).status_code == 403


async def test_what_was_agreed_about_one_point_opens_no_other_by_a_second_name(estate: Estate) -> None:
    await estate.api.add_point(code="well-a2", device="meter-a2", client="a")
    user = await agree(estate, "points:write", "telemetry:write")
    named = {"point": "well-a", "code": "well-a"}
    assert (await user.patch("/api/points/well-a2", params=named, json={"name": "x"})).status_code == 403
    body = {"point": "well-a2", "code": "level", "type": "level"}
    assert (await user.post("/api/variables/", params=named, json=body)).status_code == 403
    process = "/api/telemetry/process/"
    assert (await user.post(process, params=named, json={"point": "well-a2"})).status_code == 403
    assert (await user.post(process, json={"point": "well-a"})).status_code < 300


@pytest.mark.parametrize("name", ["%00", "a%00b", "x" * 300, "%ff", "a b"])
async def test_point_of_no_name_is_asked_for_nowhere(estate: Estate, name: str) -> None:
    user = estate.as_("client_user of a")
    assert (await user.patch(f"/api/points/{name}", json={"name": "x"})).status_code in (403, 422)
    answer = await user.post("/api/telemetry/process/", content=f'{{"point": "{name.replace("%", chr(92) + "u00")}"}}')
    assert answer.status_code in (403, 422)


async def test_nothing_else_is_in_it(estate: Estate) -> None:
    user = await agree(estate, "points:write")
    assert (await user.delete("/api/points/well-a")).status_code == 403
    assert (await user.post("/api/points/", json={"code": "new", "device": "new"})).status_code == 403
    level = {"point": "well-a", "code": "level", "type": "level"}
    assert (await user.post("/api/variables/?fold=true", json=level)).status_code == 403
    change = {"name": "y"}
    assert (await user.patch("/api/points/well-a?fold=true", json=change)).status_code == 403
    assert (await user.patch("/api/points/well-a", json={"client": "b"})).status_code == 422


async def test_owner_adds_a_variable_there(estate: Estate) -> None:
    await estate.api.add_point(code="well-a2", device="meter-a2", client="a")
    user = await agree(estate, "points:write", "telemetry:write")
    body = {"code": "level", "type": "level"}
    for point, status in (("well-a2", 403), ("well-b", 403), ("nothing", 403), ("well-a", 201)):
        for fold in ("", "?fold=true"):
            more = {"point": point, "code": f"level{len(fold)}"}
            answer = await user.post(f"/api/variables/{fold}", json=body | more)
            assert answer.status_code == status, answer.text
    for json_text in ("null", "[]", '{"point": ["well-a"]}', '{"point": null}', "{"):
        assert (await user.post("/api/variables/", content=json_text)).status_code == 403


async def blind(estate: Estate) -> None:
    """Take from the user's role all that could be agreed."""
    await estate.api.admin.post("/api/roles/", json={"code": "blind", "permissions": ["schemas:read"]})
    user = estate.ids["client_user of a"]
    await estate.api.admin.patch(f"/api/users/{user}", json={"role": "blind"})
    estate.api.clock.advance(seconds=3)


async def test_owner_finds_that_point_and_what_is_its_own_in_lists(estate: Estate) -> None:
    api = estate.api
    await api.add_point(code="well-a2", device="meter-a2", client="a")
    for device in ("meter-a", "meter-a2", "meter-b"):
        await api.keep(reading(NOW, total=1.0), device=device)
        await api.reject(unreadable(device))
    await blind(estate)
    lists = ("/api/points/", "/api/variables/", "/api/telemetry/raw/", "/api/telemetry/rejected/")
    for path in lists:
        assert (await estate.as_("client_user of a").get(path)).status_code == 403
    user = await agree(estate, "points:read", "telemetry:read")
    points = (await user.get("/api/points/")).json()
    assert (points["total"], [point["code"] for point in points["items"]]) == (1, ["well-a"])
    variables = (await user.get("/api/variables/", params={"page_size": 1})).json()
    assert (variables["total"], variables["items"][0]["point"]) == (2, "well-a")
    table = (await user.get("/api/variables/", params={"format": "csv"})).text.splitlines()
    assert [line.split(",")[0] for line in table] == ["point", "well-a", "well-a"]
    for path in lists[2:]:
        assert [entry["device"] for entry in (await user.get(path)).json()["items"]] == ["meter-a"]
    for path, asked in (
        ("/api/points/", {"code": "well-a2"}),
        ("/api/points/", {"search": "meter-a2"}),
        ("/api/points/", {"client": "b"}),
        ("/api/variables/", {"point": "well-a2"}),
        ("/api/telemetry/raw/", {"point": "well-a2"}),
        ("/api/telemetry/raw/", {"device": "meter-a2"}),
        ("/api/telemetry/rejected/", {"device": "meter-b"}),
    ):
        assert (await user.get(path, params=asked)).json()["items"] == [], (path, asked)
    for device, status in (("meter-a", 200), ("meter-a2", 404), ("meter-b", 404)):
        assert (await user.get(f"/api/telemetry/rejected/r-{device}")).status_code == status
    for path in ("/api/telemetry/unclaimed/", "/api/mapping-presets/", "/api/users/", "/api/audit/"):
        assert (await user.get(path)).status_code == 403


async def test_each_agreement_opens_the_lists_of_its_own_kind(estate: Estate) -> None:
    await blind(estate)
    user = await agree(estate, "points:write", "telemetry:read")
    for path, status in (("/api/points/", 403), ("/api/variables/", 403), ("/api/telemetry/raw/", 200)):
        assert (await user.get(path)).status_code == status


async def test_owner_follows_a_fold_of_that_point_and_no_other_order(estate: Estate) -> None:
    admin, process = estate.api.admin, "/api/telemetry/process/"
    await blind(estate)
    user = await agree(estate, "telemetry:read", "telemetry:write")
    other = (await admin.post(process, json={"point": "well-b"})).json()["id"]
    own = (await user.post(process, json={"point": "well-a"})).json()["id"]
    assert (await user.get(process + own)).json()["state"] == "done"
    assert (await user.get(process + other)).status_code == 404


async def test_role_that_finds_all_goes_on_finding_all(estate: Estate) -> None:
    await estate.api.add_point(code="well-a2", device="meter-a2", client="a")
    user = await agree(estate, "points:read", "telemetry:read")
    assert (await user.get("/api/points/")).json()["total"] == 2
    assert (await user.get("/api/points/well-a2")).status_code == 200


async def test_staff_who_own_points_of_several_clients_find_these(estate: Estate) -> None:
    api = estate.api
    await api.admin.post("/api/roles/", json={"code": "blind", "permissions": ["schemas:read"]})
    await api.add_point(code="well-c", device="meter-c")
    user = await api.add_user(email="staff@caudal.test", role="blind")
    for point in ("well-a", "well-b"):
        body = {"user": user, "point": point, "kind": "SECONDARY", "permissions": ["points:read"]}
        await made(api.admin, "/api/users/owners/", **body)
    found = (await api.as_(user).get("/api/points/")).json()
    assert (found["total"], [point["code"] for point in found["items"]]) == (2, ["well-a", "well-b"])
    assert (await api.as_(user).get("/api/points/well-c")).status_code == 403


async def test_point_that_is_left_behind_is_found_no_longer(estate: Estate) -> None:
    await blind(estate)
    user = await agree(estate, "points:read")
    assert (await user.get("/api/points/")).json()["total"] == 1
    await estate.api.admin.patch("/api/points/well-a", json={"client": "b"})
    assert (await user.get("/api/points/")).status_code == 403


async def test_owner_sees_that_point_even_where_the_role_sees_none(estate: Estate) -> None:
    await blind(estate)
    client = await agree(estate, "points:read", "telemetry:read")
    assert (await client.get("/api/points/well-a")).status_code == 200
    assert (await client.get("/api/telemetry/data/", params={"point": "well-a"})).status_code == 200
    several = [("point", "well-a"), ("point", "well-b")]
    assert (await client.get("/api/telemetry/summary/", params=several)).status_code == 403


async def test_it_ends_with_the_row(estate: Estate) -> None:
    user = await agree(estate, "points:write")
    (owner,) = (await estate.api.admin.get("/api/users/owners/")).json()["items"]
    await estate.api.admin.patch(f"/api/users/owners/{owner['id']}", json={"permissions": []})
    assert (await user.patch("/api/points/well-a", json={"name": "x"})).status_code == 403


async def test_nobody_agrees_to_what_they_may_not_do_themselves(estate: Estate) -> None:
    words = ["users:read", "users:write", "points:read"]
    await estate.api.admin.post("/api/roles/", json={"code": "people", "permissions": words})
    id = await estate.api.add_user(email="people@a.test", role="people", client="a")
    body = {"user": id, "point": "well-a", "kind": "PRIMARY", "permissions": ["points:write"]}
    assert (await estate.api.as_(id).post("/api/users/owners/", json=body)).status_code == 403
    owner = await made(estate.api.as_(id), "/api/users/owners/", **(body | {"permissions": ["points:read"]}))
    change = {"permissions": ["points:write"]}
    assert (await estate.api.as_(id).patch(f"/api/users/owners/{owner['id']}", json=change)).status_code == 403
