"""ThingsBoard's way with time series: all values are texts, all times milliseconds."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from providers.simulator import Measured, Refused, Simulator, checked_number, checked_query

DEFAULT_LIMIT = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Thingsboard(Simulator):
    """Values of all keys at once, each cut off at `limit`.

    Args:
        api_key: Static key in the header X-API-Key; empty: user and password give a token that expires.
    """

    base = "/tdata/v1"

    def __init__(self, api_key: str = "") -> None:
        super().__init__()
        self.api_key = api_key
        self.users: dict[str, str] = {}
        self._issued = 0

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/tdata/v1/login", self._log_in),
            web.get("/tdata/v1/telemetry/DEVICE/{device}/values/timeseries", self._values),
        ]

    def refusal(self, refused: Refused) -> web.Response:
        said = {"status": refused.status, "message": str(refused), "errorCode": 11 if refused.status == 401 else 31}
        return web.json_response(said, status=refused.status)

    async def _log_in(self, request: web.Request) -> web.Response:
        said = await request.json()
        if set(said) != {"username", "password"}:
            raise Refused(400, "username and password, please")
        if self.users.get(said["username"]) != said["password"]:
            raise Refused(401, f"Invalid username or password: {said['password']}")
        self._issued += 1
        token = self.issue(f"eyJhbGciOiJIUzUxMiJ9.eyJuIjo{self._issued:04d}.c2lnbmF0dXJl")
        return web.json_response({"token": token, "refreshToken": f"refresh-{self._issued}"})

    def _check_caller(self, request: web.Request) -> None:
        if self.api_key:
            if request.headers.get("X-API-Key") != self.api_key:
                raise Refused(401, "Authentication failed")
        elif not self.valid or request.headers.get("Authorization") != f"Bearer {self.valid}":
            raise Refused(401, "Token has expired")

    async def _values(self, request: web.Request) -> web.Response:
        self._check_caller(request)
        device = request.match_info["device"]
        query = checked_query(request, "keys", "startTs", "endTs", "limit", "asc")
        if not {"keys", "startTs", "endTs"} <= set(query) or query.get("asc", "false") not in ("true", "false"):
            raise Refused(400, "keys, startTs, endTs, please; asc is true or false")
        start, end = _instant(query["startTs"]), _instant(query["endTs"])
        if start > end:
            raise Refused(400, "startTs is after endTs")
        if not any(row.device == device for row in self.rows):
            raise Refused(404, "Device is not found")
        limit, answer = checked_number(query.get("limit"), DEFAULT_LIMIT, 10**6), {}
        for key in query["keys"].split(","):
            rows = self.measured(device, key, start, end)
            if query.get("asc") == "true":
                rows.reverse()
            if rows:
                answer[key] = [_item(row) for row in self.ordered(rows[:limit])]
        return web.json_response(answer)


def _instant(text: str) -> datetime:
    if not text.isdecimal():
        raise Refused(400, f"{text!r} is no time in milliseconds")
    return _EPOCH + timedelta(milliseconds=int(text))


def _item(row: Measured) -> dict[str, Any]:
    time = (row.at - _EPOCH) // timedelta(milliseconds=1) if row.time_text is None else row.time_text
    value = row.value
    if isinstance(value, bool):
        value = str(value).lower()
    return {"ts": time, "value": value if value is None or isinstance(value, str) else str(value)}
