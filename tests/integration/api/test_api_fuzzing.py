"""Whatever comes: no 5xx, and every refusal in the one shape."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from prometheus_client import CollectorRegistry

from caudal.common.bus.messages import Rejected
from caudal.common.domain.readings import Inlet
from caudal.gateway_api.entrypoints.app import Bounds, create_app
from integration.api.house import NOW, ApiHouse, furnished, reading

schema = schemathesis.openapi.from_dict(create_app(None, Bounds(), CollectorRegistry()).openapi())
OPERATIONS = {found.ok().label: found.ok() for found in schema.get_all_operations()}

NASTY = [
    "\x00",
    "a\x00b",
    "%",
    "../../etc/passwd",
    "' or 1=1 --",
    "💧" * 80,
    "\ufffe\u202e",
    "9" * 400,
    "-9223372036854775809",
    "1e400",
    "NaN",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-02-30T00:00:00Z",
    "2026-03-02T10:00:00.1234567890Z",
    "2016-12-31T23:59:60Z",
    "[" * 2000,
    "${jndi:ldap://x}",
    "well-1\n",
]
BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"a":' * 5000,
    b"9" * 5000,
    b"1e400",
    b'{"point": "well-1", "code": "x", "type": "flow", "scale": 1e400}',
    b'{"point": "well-1", "code": "x", "type": "flow", "scale": ' + b"9" * 400 + b"}",
    b'{"point": "well-1", "code": "x", "type": "flow", "name": "\\u0000"}',
    b'{"point": "well-1", "code": "x", "type": "flow", "name": "\\ud800"}',
    b'{"point": "well-1", "code": "x", "type": "flow", "\\ud800": 1}',
    b'{"point": "well-1", "code": "x", "type": "totalizer", "counter": {"register_bits": 99999999999999999999}}',
    b'{"code": "p", "device": "d", "mapping": {"\\ud800": "\\u0000"}}',
    b'{"code": "p", "device": "d", "mapping": {"n": 99999999999999999999999999}}',
    b'{"code": "p", "device": "d", "mapping": {"n": ' + b"9" * 400 + b"}}",
    b'{"code": "p", "device": "d", "mapping": {"n": NaN}}',
    b'{"code": "p", "device": "d", "mapping": ' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
    b'{"code": "p", "device": "d", "max_rows": 99999999999999999999}',
    b'{"code": "p", "device": "d", "sampling_minutes": -0.0}',
    b'{"code": "p", "device": "d", "sampling_minutes": 5e-324}',
    b'{"variable": "total", "at": "0001-01-01T00:00:00+14:00"}',
    b'{"variable": "total", "at": "9999-12-31T23:59:59.999999-14:00"}',
    b'{"variable": "total", "at": "2026-01-01T00:00:00Z", "starts_at": 1e308}',
    b'{"point": "well-1", "from": "0001-01-01T00:00:00+14:00"}',
    b'{"path": "\\u0000", "options": {"a": "\\u0000"}}',
    b'{"options": {"n": 99999999999999999999999999}}',
    b'{"email": "\\u0000", "password": "\\ud800"}',
    b'{"email": "x", "email": ["y"], "password": "z"}',
]


KINDS = [
    "application/json",
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/json; charset=x",
]
ODDLY_SENT = 5
"""The first bodies are sent as other kinds, too; what they are does not matter then."""
ROLES = ["admin", "operator", "reader"]
ROLES_OF_CLIENTS = ["client_admin", "client_user"]
EVERYBODY = ["nobody", "provider", *ROLES, *ROLES_OF_CLIENTS]
CASES = 2
"""Made for each operation; each is sent by everybody."""


class Laboratory:
    """The API on an event loop of its own, since hypothesis knows none."""

    def __init__(self, runner: asyncio.Runner, api: ApiHouse, key: str, clients: dict[str, httpx.AsyncClient]) -> None:
        self._runner = runner
        self._api = api
        roles = {role: api.as_(role) for role in ROLES}
        self._clients = {"nobody": api.client, "provider": api.with_key(key)} | roles | clients

    def send(self, role: str, request: httpx.Request) -> httpx.Response:
        """The answer to a request of somebody in this role."""
        client = self._clients[role]
        request.headers.update(client.headers)
        return self._runner.run(client.send(request))

    def check(self, role: str, request: httpx.Request) -> httpx.Response:
        """The answer, if it is a proper one."""
        answer = self.send(role, request)
        assert answer.status_code < 500, (role, request.method, request.url, request.content[:300], answer.text)
        if answer.status_code >= 400:
            error = answer.json()["error"]
            assert error["code"], answer.text
            assert error["message"], answer.text
        return answer


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def laboratory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """An API with a point, readings, a rejected payload, a provider and an upload, on each database in turn."""
    folder = tmp_path_factory.mktemp("fuzzing")
    if request.param == "sqlite":
        (folder / "caudal.db").write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
        url = f"sqlite+aiosqlite:///{folder / 'caudal.db'}"
    else:
        url = request.getfixturevalue("postgres").database(request.getfixturevalue("postgres_template"))
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        api = runner.run(stack.enter_async_context(furnished(url, folder, order_wait_s=0, window_wait_s=0)))
        key = runner.run(_lived_in(api))
        yield Laboratory(runner, api, key, runner.run(_of_a_client(api)))
        runner.run(stack.aclose())


async def _lived_in(api: ApiHouse) -> str:
    key = await api.add_provider()
    await api.add_point(provider="acme")
    await api.keep(reading(NOW, total=1.0))
    entry = Rejected(
        id="r0", device="meter-1", received_at=NOW, inlet=Inlet.UPLINK, topic="telemetry/meter-1/uplink", reason="x"
    )
    await api.reject(entry)
    await api.admin.post("/api/upload_csv", files={"file": ("a.csv", b"ts,id,x\n")})
    return key


async def _of_a_client(api: ApiHouse) -> dict[str, httpx.AsyncClient]:
    await api.admin.post("/api/clients/", json={"code": "andes"})
    addresses = {role: f"{role}@andes.test" for role in ROLES_OF_CLIENTS}
    return {
        role: api.as_(await api.add_user(email=email, role=role, client="andes")) for role, email in addresses.items()
    }


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_no_5xx_whatever_the_documentation_allows(laboratory: Laboratory, label: str) -> None:
    operation = OPERATIONS[label]

    @settings(max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def send(case: Any) -> None:
        for role in EVERYBODY:
            request = _request_of(case)
            if request is not None:
                laboratory.check(role, request)

    send()


def _request_of(case: Any) -> httpx.Request | None:
    """What the case would send; None: no client could send it."""
    try:
        prepared = requests.Request(**case.as_transport_kwargs(base_url="http://caudal.test")).prepare()
        headers = {name: value for name, value in prepared.headers.items() if name.lower() != "content-length"}
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        return httpx.Request(str(prepared.method), str(prepared.url), headers=headers, content=body)
    except (ValueError, requests.exceptions.RequestException, httpx.InvalidURL):
        return None


PATHS = sorted({operation.path for operation in OPERATIONS.values()})


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "TRACE"])
def test_any_method_on_any_path_is_answered(laboratory: Laboratory, method: str) -> None:
    for path in PATHS:
        filled = path.replace("{", "x-").replace("}", "")
        answer = laboratory.send("admin", httpx.Request(method, f"http://caudal.test{filled}"))
        assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("nasty", NASTY)
def test_nasty_text_in_every_parameter(laboratory: Laboratory, nasty: str) -> None:
    for operation in OPERATIONS.values():
        if operation.method.upper() == "DELETE":
            continue
        path = operation.path
        for name in (parameter.name for parameter in operation.path_parameters):
            path = path.replace(f"{{{name}}}", quote(nasty, safe=""))
        base = f"http://caudal.test{path}"
        for name in [None, *(parameter.name for parameter in operation.query)]:
            query = {"point": "well-1"} | ({name: nasty} if name else {})
            request = httpx.Request(operation.method.upper(), httpx.URL(base, params=query))
            laboratory.check("admin", request)


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_nasty_body_on_every_route_that_reads_one(laboratory: Laboratory, number: int) -> None:
    for operation in OPERATIONS.values():
        if operation.method.upper() not in ("POST", "PATCH"):
            continue
        path = operation.path
        for name, value in (("provider", "acme"), ("point", "well-1"), ("entry", "r0")):
            path = path.replace(f"{{{name}}}", value)
        path = path.replace(
            "{code}", "acme" if "/providers/" in path else "total" if "/variables/" in path else "well-1"
        )
        for kind in KINDS if number < ODDLY_SENT else KINDS[:1]:
            role = "provider" if "/uplink/" in path else "admin"
            headers = {"Content-Type": kind}
            url = f"http://caudal.test{path}"
            request = httpx.Request(operation.method.upper(), url, headers=headers, content=BODIES[number])
            laboratory.check(role, request)


def test_what_was_configured_survived_it(laboratory: Laboratory) -> None:
    answer = laboratory.check("admin", httpx.Request("GET", "http://caudal.test/api/points/well-1"))
    assert answer.json()["device"] == "meter-1"
