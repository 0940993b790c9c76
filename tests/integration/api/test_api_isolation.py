"""The isolation matrix: every operation of the documentation, as everybody, on what is somebody else's.

What is not yours answers exactly like what is not there: both are asked, and the answers are compared but for the ids
in them. Nothing of the other client may stand in any answer, and nothing of it may have changed at the end. A route
that is not covered, because it names a thing that is not known here or says nothing about who may, fails the test.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from caudal.common.adapters.sql import transaction
from caudal.common.bus.messages import Rejected
from caudal.common.domain.readings import Inlet
from caudal.gateway_api.adapters.tables import roles
from caudal.gateway_api.domain.permissions import Permission
from caudal.gateway_api.domain.tenancy import OWNER_PERMISSIONS
from caudal.gateway_api.entrypoints.access import Gate
from caudal.gateway_api.main import documentation
from figures import tell
from integration.api.house import NOW, WELL, ApiHouse, new_client, reading

DOCUMENT: dict[str, Any] = json.loads(documentation())
MARK, ABSENT = "zqa", "zqn"
"""What stands in everything that is the other client's, and in the name of nothing."""
OPERATIONS = [(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item]

PUBLIC = {
    "/api/auth/login",
    "/api/auth/refresh",
    "/api/auth/password/reset-request",
    "/api/auth/password/reset",
    "/.well-known/jwks.json",
    "/metrics",
}
"""Where nobody has to be known; what each takes is a secret of its own, or nothing."""
OF_EVERYBODY = {"/api/roles/{code}", "/api/permissions/", "/api/roles/"}
"""What belongs to no client."""
THINGS = {
    "code": "well",
    "point": "well",
    "provider": "provider",
    "key": "key",
    "entry": "rejected",
    "order": "order",
    "window": "window",
    "user": "user",
    "owner": "owner",
    "preference": "preference",
    "/api/api-keys/ key": "api key",
    "/api/providers/ code": "provider",
    "/api/clients/ code": "client",
    "/api/variables/ code": "variable",
    "/api/roles/ code": "role",
    "/api/schemas/ code": "schema",
    "/api/import/ order": "history",
    "variable": "variable",
    "valid_from": "version",
    "at": "instant",
}
"""What a place in a path names: below one path where it says so, else everywhere."""
FIELDS = {
    "code": "well",
    "point": "well",
    "points": "well",
    "device": "device",
    "client": "client",
    "provider": "provider",
    "user": "user",
    "email": "email",
    "key": "well",
    "search": "mark",
    "who": "email",
    "created_by": "email",
}
"""What a parameter or a field of a body names."""


OF_NOBODY = {"variable", "version", "instant"}
"""What names a part of a point, and so is the same for everybody."""
NAMESPACES = {("POST", "/api/points/"): {"device"}, ("POST", "/api/users/"): {"email"}}
"""What is unique among all clients: that it is taken is told, by whom is not."""


def thing_at(path: str, name: str) -> str:
    """What `{name}` of `path` is."""
    below = "/".join(path.split("/")[:3]) + "/"
    found = THINGS.get(f"{below} {name}") or THINGS.get(name)
    assert found, f"say in THINGS what {{{name}}} of {path} is"
    return found


@dataclass
class World:
    """One client with something of everything, another that asks, and who they are."""

    api: ApiHouse
    own: dict[str, str] = field(default_factory=dict)
    """Thing to its id, of the client whose things are kept apart."""
    users: dict[str, str] = field(default_factory=dict)
    key: str = ""
    """Of a program of the client that asks, which may do all that its administrators may."""
    requests: int = 0

    def as_(self, who: str) -> httpx.AsyncClient:
        if who == "key of b":
            return self.api.with_key(self.key)
        return new_client(self.api.app) if who == "nobody" else self.api.as_(self.users.get(who, who))

    def absent(self, thing: str) -> str:
        """An id like that of `thing`, of nothing."""
        own = self.own[thing]
        return own.replace(MARK, ABSENT) if MARK in own else own[::-1]

    async def send(self, client: httpx.AsyncClient, method: str, url: str, **more: Any) -> httpx.Response:
        self.requests += 1
        answer = await client.request(method, url, **more)
        assert answer.status_code < 500, (method, url, answer.text)
        return answer


@pytest.fixture
async def world(api: ApiHouse) -> World:
    return await _lived_in(World(api))


async def _lived_in(world: World) -> World:
    api = world.api
    everything = json.dumps([permission.value for permission in Permission])
    async with transaction(api.engine) as connection:
        for code, words in (("everything", everything), ("nothing", '["queues:read"]')):
            row = {"code": code, "name": "", "permissions": words, "created_at": NOW, "updated_at": NOW}
            await connection.execute(sa.insert(roles).values(row))
    for client in (MARK, "b"):
        await _made(api.admin, "/api/clients/", code=client, name=f"Cliente {client}")
        for role in ("client_admin", "client_user", "reader", "everything"):
            address = f"{role}@{client}.test"
            world.users[f"{role} of {client}"] = await api.add_user(email=address, role=role, client=client)
        # Nobody of a client may what this role says: there is what was agreed, and nothing else.
        owner = await api.add_user(email=f"owner@{client}.test", role="nothing", client=client)
        world.users[f"owner of {client}"] = owner
        users = [world.users[f"{role} of {client}"] for role in ("client_user", "client_admin")]
        world.own |= await _furnished(api, client, *users)
        well = MARK + "-well" if client == MARK else "b-well"
        agreed = {"kind": "SECONDARY", "permissions": sorted(OWNER_PERMISSIONS)}
        await _made(api.admin, "/api/users/owners/", user=owner, point=well, **agreed)
    revoked = await api.add_user(email="gone@b.test", role="client_admin", client="b")
    world.users["revoked"] = revoked
    await api.admin.patch(f"/api/users/{revoked}", json={"active": False})
    granted = (await world.as_("client_admin of b").get("/api/auth/me")).json()["permissions"]
    key = await _made(world.as_("client_admin of b"), "/api/api-keys/", permissions=granted, client="b")
    world.key = key["key"]
    # What is asked for is the first one's.
    world.own = {name: value for name, value in world.own.items() if not name.startswith("b ")}
    api.clock.advance(seconds=5)
    return world


async def _made(as_: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await as_.post(path, json=body)
    assert answer.status_code < 300, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def _imported(api: ApiHouse, client: str, administrator: str) -> str:
    """History that a client has imported, and what was rejected of it; its order."""
    mine, usual = api.as_(administrator), api.processor.answer
    api.processor.answer = {"rows": 0, "rejected": 1, "rejects_path": client, "first_rejects": [{"value": client}]}
    kept = await mine.post("/api/import/upload", files={"file": (f"{client}.csv", b"ts,id,x\n")})
    done = await mine.post("/api/import/", json={"kind": "history"})
    Path(f"{kept.json()['path']}.rejects.csv").write_text(f"row,field,value\n2,x,{client}\n")
    api.processor.answer = usual
    return done.headers["location"].rpartition("/")[2]


async def _furnished(api: ApiHouse, client: str, user: str, administrator: str) -> dict[str, str]:
    """Something of everything, whose ids and names hold the client's code."""
    names = {thing: f"{client}-{thing}" for thing in ("well", "device", "provider", "schema")}
    await _made(api.admin, "/api/providers/", code=names["provider"], client=client, name=client)
    key = await _made(api.admin, f"/api/providers/{names['provider']}/keys/", label=client)
    point = WELL | {"code": names["well"], "device": names["device"], "name": client, "client": client}
    await _made(api.admin, "/api/points/", **(point | {"provider": names["provider"]}))
    program = await _made(api.admin, "/api/api-keys/", label=client, client=client, permissions=["points:read"])
    owner = await _made(api.admin, "/api/users/owners/", user=user, point=names["well"], kind="PRIMARY")
    told = {"types": ["OFFLINE"], "channels": ["SMS"]}
    preference = await _made(api.admin, "/api/users/notifications/", user=user, point=names["well"], **told)
    flow = {"code": "flow", "variable": "flow"}
    await _made(api.admin, "/api/schemas/", code=names["schema"], client=client, name=client, fields=[flow])
    order = await _made(api.admin, "/api/telemetry/process/", point=names["well"])
    await api.keep(reading(NOW, total=1.0), reading(NOW + timedelta(hours=1), total=2.0), device=names["device"])
    entry = f"{client}-r0"
    rejected = Rejected(
        id=entry, device=names["device"], received_at=NOW, inlet=Inlet.UPLINK, reason=client, payload=client,
        topic=f"telemetry/{names['device']}/uplink",
    )  # fmt: skip
    await api.reject(rejected)
    file = {"file": (f"{client}.csv", b"ts,id,x\n")}
    await api.admin.post("/api/upload_csv", files=file)
    window = (await api.admin.post("/api/run_window")).headers["location"].rpartition("/")[2]
    history = await _imported(api, client, administrator)
    found = names | {
        "history": history,
        "client": client,
        "variable": "total",
        "key": key["id"],
        "api key": program["id"],
        "user": user,
        "owner": owner["id"],
        "preference": preference["id"],
        "order": order["id"],
        "rejected": entry,
        "window": window,
        "email": f"client_user@{client}.test",
        "role": "reader",
        "mark": client,
        "version": "beginning",
        "instant": "2026-03-01T14:00:00Z",
    }
    return found if client == MARK else {f"b {name}": value for name, value in found.items()}


# ---------------------------------------------------------------- what is asked


def filled(world: World, path: str, absent: bool) -> tuple[str, list[str]]:
    """The path about the first client's things, or about none; and the ids in it."""
    ids = []
    for name in re.findall(r"{(\w+)}", path):
        thing = thing_at(path, name)
        id = world.absent(thing) if absent and thing not in OF_NOBODY else world.own[thing]
        ids.append(id)
        path = path.replace(f"{{{name}}}", id, 1)
    return path, ids


def queries_of(world: World, method: str, path: str) -> Iterator[tuple[str, str]]:
    """Parameters of the query that can name something, and the thing."""
    operation = DOCUMENT["paths"][path][method.lower()]
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query" and parameter["name"] in FIELDS:
            yield parameter["name"], FIELDS[parameter["name"]]


def body_of(method: str, path: str) -> Any:
    """The documentation's example of a body; None: the operation takes none."""
    operation = DOCUMENT["paths"][path][method.lower()]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    schema = content["schema"]
    for option in [schema, *schema.get("anyOf", ())]:
        if "$ref" in option:
            schema = DOCUMENT["components"]["schemas"][option["$ref"].rpartition("/")[2]]
    found = content.get("example") or next(iter(schema.get("examples", ())), None)
    assert found is not None, f"{method} {path} has no example of its body"
    return found


def bodies_of(world: World, method: str, path: str, absent: bool) -> Iterator[tuple[Any, list[str]]]:
    """The example, and the example with each field that names something naming the first client's thing, or none."""
    example = body_of(method, path)
    yield example, []
    if not isinstance(example, dict):
        return
    schema = json.dumps(DOCUMENT["paths"][path][method.lower()]["requestBody"])
    properties = set(example) | set(_properties(schema))
    for name in sorted(properties & FIELDS.keys() - {"code"} - NAMESPACES.get((method, path), set())):
        id = world.absent(FIELDS[name]) if absent else world.own[FIELDS[name]]
        yield example | {name: id}, [id]


def _properties(schema: str) -> list[str]:
    found: list[str] = []
    for name in re.findall(r"#/components/schemas/(\w+)", schema):
        found += DOCUMENT["components"]["schemas"][name].get("properties", ())
    return found


def without(ids: list[str], answer: httpx.Response) -> tuple[int, str]:
    """An answer, but for the ids that it was asked with."""
    text = answer.text
    for id in sorted(ids, key=len, reverse=True):
        text = text.replace(id, "…")
    return answer.status_code, text


# ---------------------------------------------------------------- the matrix


def _gates(dependant: Dependant) -> Iterator[Any]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _gates(inner)


def permissions_of(world: World) -> dict[tuple[str, str], Permission | None]:
    """What each operation needs; None: it is anybody's, or any caller's."""
    found: dict[tuple[str, str], Permission | None] = {}
    for route in world.api.app.routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        asked = [gate.permission for gate in _gates(route.dependant) if isinstance(gate, Gate)]
        for method in route.methods:
            is_said = DOCUMENT["paths"][route.path][method.lower()].get("security") or route.path in PUBLIC
            assert is_said, f"{method} {route.path} does not say who may"
            found[method, route.path] = asked[0] if asked else None
    return found


async def test_every_route_lets_in_who_may_and_nobody_else(world: World) -> None:
    needed = permissions_of(world)
    granted = {
        role: set(json.loads(words)) for role, words in await world.api.rows("select code, permissions from roles")
    }
    refused = 0
    for method, path in OPERATIONS:
        if path in PUBLIC:
            continue
        url, _ = filled(world, path, absent=False)
        body = body_of(method, path)
        more = {"json": body} if body is not None else {}
        for who in ("nobody", "revoked"):
            assert (await world.send(world.as_(who), method, url, **more)).status_code == 401, (who, method, path)
        permission = needed[method, path]
        for role in ("admin", "operator", "reader", f"client_admin of {MARK}", f"client_user of {MARK}"):
            may = permission is None or permission in granted[role.partition(" ")[0]]
            if not may:
                answer = await world.send(world.as_(role), method, url, **more)
                assert answer.status_code == 403, (role, method, path, answer.text)
                refused += 1
            elif method == "GET":
                answer = await world.send(world.as_(role), method, url)
                assert answer.status_code != 401, (role, method, path, answer.text)
    tell("who may", operations=len(OPERATIONS), requests=world.requests, refused=refused, let_in_wrongly=0)


async def test_nothing_of_another_client_is_read_or_changed(world: World) -> None:
    before = await _snapshot(world)
    leaks: list[str] = []
    for method, path in OPERATIONS:
        if path in PUBLIC or path in OF_EVERYBODY:
            continue
        for who in OTHERS:
            leaks += [leak async for leak in _compared(world, world.as_(who), who, method, path)]
    after = await _snapshot(world)
    tell("isolation", operations=len(OPERATIONS), requests=world.requests, leaks=len(leaks))
    assert leaks == []
    assert after == before


async def test_owner_without_a_role_finds_one_point_and_nothing_else_of_the_client(world: World) -> None:
    """What is the client's beside that point stands in no answer, whichever way it is asked for."""
    admin, other = world.api.admin, f"{ABSENT}-well"
    await _made(admin, "/api/points/", **(WELL | {"code": other, "device": f"{ABSENT}-device", "client": MARK}))
    await world.api.keep(reading(NOW, total=1.0), device=f"{ABSENT}-device")
    owner, found = world.as_(f"owner of {MARK}"), set()
    for method, path in OPERATIONS:
        if method != "GET" or path in PUBLIC or path in OF_EVERYBODY:
            continue
        for absent in (False, True):
            url, ids = filled(world, path, absent=absent)
            point = world.absent("well") if absent else world.own["well"]
            for params, accept in (({}, "application/json"), ({}, "text/csv"), ({"point": point}, "application/json")):
                answer = await world.send(owner, method, url, params=params, headers={"accept": accept})
                assert ABSENT not in without([*ids, *params.values()], answer)[1], (url, answer.text)
                found |= {path} if answer.status_code == 200 else set()
    assert found == AGREED


async def _compared(world: World, client: httpx.AsyncClient, who: str, method: str, path: str) -> AsyncIterator[str]:
    """What differs between asking for the other's things and asking for nothing's."""
    own, ids = filled(world, path, absent=False)
    none, no_ids = filled(world, path, absent=True)
    asked: list[tuple[str, dict[str, Any], list[str], str, dict[str, Any], list[str]]] = []
    for name, thing in queries_of(world, method, path):
        mine, no = world.own[thing], world.absent(thing)
        asked.append((own, {"params": {name: mine}}, [*ids, mine], none, {"params": {name: no}}, [*no_ids, no]))
    if body_of(method, path) is not None:
        pairs = zip(bodies_of(world, method, path, False), bodies_of(world, method, path, True), strict=True)
        for (body, more), (no_body, no_more) in pairs:
            if ids or more:
                asked.append((own, {"json": body}, ids + more, none, {"json": no_body}, no_ids + no_more))
    else:
        seen = {"headers": {"accept": "text/csv"} if method == "GET" else {"if-match": '"nothing"'}}
        plain: list[dict[str, Any]] = [{}, seen]
        asked += [(own, more, ids, none, more, no_ids) for more in plain]
    for url, more, used, no_url, no_more, not_used in asked:
        answer = await world.send(client, method, url, **more)
        other = await world.send(client, method, no_url, **no_more)
        if without(used, answer) != without(not_used, other):
            yield f"{who}: {method} {url} {more}: {answer.status_code} {answer.text} | {other.status_code} {other.text}"
        elif MARK in without(used, answer)[1]:
            yield f"{who}: {method} {url} {more} shows {answer.text}"


async def _snapshot(world: World) -> dict[str, Any]:
    """All that the first client has, as staff see it."""
    own, admin = world.own, world.api.admin
    paths = [
        f"/api/points/{own['well']}",
        f"/api/points/{own['well']}/journal/",
        f"/api/providers/{own['provider']}",
        f"/api/providers/{own['provider']}/keys/",
        f"/api/api-keys/{own['api key']}",
        f"/api/clients/{MARK}",
        f"/api/users/?client={MARK}",
        f"/api/users/owners/?point={own['well']}",
        f"/api/users/notifications/?point={own['well']}",
        f"/api/telemetry/raw/?point={own['well']}",
        f"/api/telemetry/rejected/{own['rejected']}",
        f"/api/telemetry/process/{own['order']}",
    ]
    found = {}
    for path in paths:
        answer = await admin.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert MARK in answer.text or own["key"] in answer.text or own["order"] in answer.text
        found[path] = answer.text
    return found


OTHERS = ("everything of b", "client_admin of b", "client_user of b", "reader of b", "owner of b", "key of b")
"""Everybody of the client that asks."""
AGREED = {
    "/api/auth/me",
    "/api/points/",
    "/api/points/{code}",
    "/api/points/{code}/journal/",
    "/api/points/{code}/status",
    "/api/points/{code}/versions/",
    "/api/points/{code}/versions/{valid_from}",
    "/api/points/{code}/meter-swaps/",
    "/api/variables/",
    "/api/variables/{point}/{code}",
    "/api/telemetry/data/",
    "/api/telemetry/summary/",
    "/api/telemetry/raw/",
    "/api/telemetry/rejected/",
    "/api/telemetry/rejected/{entry}",
    "/api/telemetry/process/{order}",
    "/api/users/notifications/",
}
"""Where somebody finds something who may do nothing but what was agreed at one point."""
OF_STAFF = {"/flush", "/api/admin/queues/"}
"""What is the platform's own, beside its windows."""


async def test_owner_of_everything_sees_its_own(world: World) -> None:
    client = world.as_(f"everything of {MARK}")
    for method, path in OPERATIONS:
        if method != "GET" or path in PUBLIC or path in OF_EVERYBODY | OF_STAFF or "window" in path:
            continue
        url, _ = filled(world, path, absent=False)
        needs_point = any(name == "point" for name, _ in queries_of(world, method, path))
        answer = await world.send(client, method, url, params={"point": world.own["well"]} if needs_point else {})
        assert answer.status_code == 200, (path, answer.text)


async def test_code_of_a_deleted_point_stays_with_its_client(world: World) -> None:
    assert (await world.api.admin.delete(f"/api/points/{world.own['well']}")).status_code == 204
    body = WELL | {"code": world.own["well"], "device": "fresh"}
    answer = await world.as_("client_admin of b").post("/api/points/", json=body)
    assert answer.status_code == 409
    assert (await world.as_(f"client_admin of {MARK}").post("/api/points/", json=body)).status_code == 201
