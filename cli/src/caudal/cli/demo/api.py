"""The platform's HTTP API, as far as the demo needs it."""

from datetime import datetime
from typing import Any

import httpx

from caudal.common.domain.errors import Permanent, Transient

TIMEOUT_S = 15.0
PAGE = 1000


class Api:
    """A logged-in caller of the API; a context manager."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S)

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def login(self, email: str, password: str) -> None:
        """Be this user from now on."""
        answer = await self._call("POST", "/api/auth/login", json={"email": email, "password": password})
        self._client.headers["Authorization"] = f"Bearer {answer['token']}"

    async def create_point(self, point: dict[str, Any]) -> None:
        """Add a catchment point with its variables."""
        await self._call("POST", "/api/points/", json=point)

    async def summary(self, point: str) -> dict[str, Any]:
        """What the ledger holds of a point."""
        answer: dict[str, Any] = await self._call("GET", "/api/telemetry/summary/", params={"point": point})
        return answer

    async def values(self, point: str, variable: str, start: datetime, end: datetime) -> list[float]:
        """The stored values of one variable in [start, end), oldest first, page by page."""
        found: list[float] = []
        asked = {"point": point, "variables": variable, "from": start.isoformat(), "to": end.isoformat(), "limit": PAGE}
        cursor: str | None = ""
        while cursor is not None:
            page = await self._call(
                "GET", "/api/telemetry/data/", params=asked | ({"cursor": cursor} if cursor else {})
            )
            found += [row["values"][variable] for row in page["samples"] if row["values"].get(variable) is not None]
            cursor = page.get("next_cursor")
        return found

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = await self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise Transient(f"{method} {path}: {error or type(error).__name__}") from error
        if answer.is_error:
            raise Permanent(f"{method} {path} answers {answer.status_code}: {answer.text[:500]}")
        return answer.json()
