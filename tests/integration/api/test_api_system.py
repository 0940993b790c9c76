"""What holds for every route: documentation, figures, headers, and the shape of errors."""

from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from caudal.common.domain.errors import Transient
from caudal.common.domain.readings import Inlet
from caudal.gateway_api.adapters.sql_ledger import SqlLedger
from caudal.gateway_api.entrypoints.app import Bounds, create_app
from caudal.gateway_api.entrypoints.schemas.catalog import PointBody
from caudal.gateway_api.main import documentation
from integration.api.house import NOW, ApiHouse, furnished, new_client, reading

MINUTE = timedelta(minutes=1)
OPEN = {
    "/api/auth/login",
    "/api/auth/refresh",
    "/api/auth/password/reset-request",
    "/api/auth/password/reset",
    "/.well-known/jwks.json",
    "/metrics",
}


class TestAccess:
    async def test_nobody_comes_in_anywhere_but_where_the_door_is_open(self, api: ApiHouse) -> None:
        let_in = set()
        for path, operations in api.app.openapi()["paths"].items():
            for method in operations:
                filled = path.replace("{", "").replace("}", "")
                answer = await api.client.request(method, filled, json={} if method in ("post", "patch") else None)
                if answer.status_code != 401:
                    let_in.add(path)
        assert let_in == OPEN

    async def test_security_is_documented_for_every_closed_route(self, api: ApiHouse) -> None:
        for path, operations in api.app.openapi()["paths"].items():
            for operation in operations.values():
                assert bool(operation.get("security")) == (path not in OPEN), path


class TestFigures:
    async def test_three_numbers(self, api: ApiHouse) -> None:
        said = (await api.client.get("/metrics")).json()
        assert said["uptime_sec"] >= 0
        assert (said["points_written"], said["last_flush_rows"]) == (0, None)

    async def test_readings_are_counted(self, api: ApiHouse) -> None:
        await api.add_point()
        await api.keep(reading(NOW, total=1))
        assert (await api.client.get("/metrics")).json()["points_written"] == 1

    async def test_rows_of_windows_are_counted_once_whether_or_not_a_point_claims_them(self, api: ApiHouse) -> None:
        count = api.house.door.telemetry.ledger.written_count
        rows = [reading(NOW - n * MINUTE, total=100 - n) for n in range(3)]
        await api.keep(*rows, inlet=Inlet.WINDOW, window="w1")
        await api.keep(*rows, inlet=Inlet.WINDOW, window="w2")
        await api.keep(reading(NOW, x=1), device="stranger")
        assert await count() == 3
        await api.add_point()
        await api.keep(*rows, reading(NOW + MINUTE, total=101))
        assert await count() == 4
        assert (await api.admin.delete("/api/points/well-1")).status_code == 204
        assert await count() == 4

    async def test_ledger_that_does_not_answer_is_not_counted(
        self, api: ApiHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(_ledger: SqlLedger) -> int:
            raise Transient("away")

        monkeypatch.setattr(SqlLedger, "written_count", away)
        answer = await api.client.get("/metrics")
        assert (answer.status_code, answer.json()["points_written"]) == (200, None)


class TestDocumentation:
    async def test_page_needs_nothing_from_outside(self, api: ApiHouse) -> None:
        page = await api.client.get("/docs")
        assert page.status_code == 200
        assert "http://" not in page.text
        assert "https://" not in page.text
        for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
            assert f"/docs/assets/{asset}" in page.text
            assert (await api.client.get(f"/docs/assets/{asset}")).status_code == 200
        assert (await api.client.get("/openapi.json")).json()["info"]["title"] == "Caudal"

    async def test_every_body_has_an_example_that_works(self, api: ApiHouse) -> None:
        example = PointBody.model_config["json_schema_extra"]["examples"][0]  # type: ignore[index,call-overload]
        answer = await api.admin.post("/api/points/", json=example)
        assert answer.status_code == 201, answer.text

    def test_committed_document_is_what_the_code_says(self) -> None:
        committed = Path(__file__).parents[3] / "docs" / "openapi" / "caudal.json"
        assert committed.read_text() == documentation(), "run `python -m caudal.gateway_api openapi`"


class TestErrors:
    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/nowhere", 404, "not_found"),
            ("GET", "/api/points//", 404, "not_found"),
            ("PUT", "/api/points/", 405, "method_not_allowed"),
            ("GET", "/api/points/well-1/nothing", 404, "not_found"),
            ("GET", "/docs/assets/../../main.py", 404, "not_found"),
            ("GET", "/docs/assets/%2e%2e/core.py", 404, "not_found"),
        ],
    )
    async def test_refusals_of_the_framework_have_the_one_shape(
        self, api: ApiHouse, method: str, path: str, status: int, code: str
    ) -> None:
        answer = await api.admin.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)

    @pytest.mark.parametrize("body", [b"{", b'{"a": }', b"\xff"])
    async def test_unreadable_json_is_400(self, api: ApiHouse, body: bytes) -> None:
        answer = await api.admin.post("/api/points/", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unreadable_request")
        assert [each["field"] for each in answer.json()["error"]["fields"]] == ["body"]

    async def test_bug_is_told_as_such_and_tells_nothing(self, api: ApiHouse, monkeypatch: pytest.MonkeyPatch) -> None:
        async def broken(_ledger: SqlLedger) -> int:
            raise KeyError("secret")

        monkeypatch.setattr(SqlLedger, "written_count", broken)
        answer = await api.client.get("/metrics")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "bug")
        assert "secret" not in answer.text

    async def test_body_of_a_route_that_reads_json_is_bounded(self, api: ApiHouse) -> None:
        big = b'{"name": "' + b"x" * (1024 * 1024) + b'"}'
        headers = {"Content-Type": "application/json"}
        answer = await api.admin.post("/api/points/", content=big, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
        for length in ("99999999999999999999999999", "-1", "x"):
            answer = await api.admin.post("/api/points/", content=b"{}", headers=headers | {"Content-Length": length})
            assert answer.status_code in (400, 413, 422)


class TestHeaders:
    async def test_browsers_are_told_to_be_careful(self, api: ApiHouse) -> None:
        for path in ("/api/points/", "/docs", "/nowhere", "/metrics"):
            answer = await api.client.get(path)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert "default-src" in answer.headers["content-security-policy"]

    async def test_pages_of_other_origins_may_not_call_unless_allowed(self, sqlite_url: str, tmp_path: Path) -> None:
        origin = {"Origin": "https://panel.example", "Access-Control-Request-Method": "GET"}
        async with furnished(sqlite_url, tmp_path) as api:
            answer = await api.client.options("/api/points/", headers=origin)
            assert "access-control-allow-origin" not in answer.headers
            allowing = create_app(api.house.door, Bounds(cors_origins=("https://panel.example",)), CollectorRegistry())
            answer = await new_client(allowing).options("/api/points/", headers=origin)
            assert answer.headers["access-control-allow-origin"] == "https://panel.example"
            stranger = origin | {"Origin": "https://evil.example"}
            answer = await new_client(allowing).options("/api/points/", headers=stranger)
            assert "access-control-allow-origin" not in answer.headers

    async def test_address_is_believed_from_trusted_proxies_only(self, sqlite_url: str, tmp_path: Path) -> None:
        async with furnished(sqlite_url, tmp_path) as api:
            for trusted, attempts in (((), 6), (("192.0.2.0/24",), 12)):
                app = create_app(api.house.door, Bounds(trusted_proxies=trusted), CollectorRegistry())
                async with new_client(app) as client:
                    statuses = [await self._fail(client, f"198.51.100.{n}", f"u{n}@x") for n in range(attempts)]
                assert (429 in statuses) == (not trusted)
                api.clock.advance(minutes=16)

    async def _fail(self, client: httpx.AsyncClient, address: str, email: str) -> int:
        body = {"email": email, "password": "x"}
        answer = await client.post("/api/auth/login", json=body, headers={"X-Forwarded-For": address})
        return answer.status_code
