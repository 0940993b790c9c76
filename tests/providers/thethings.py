"""thethings.io v2: a list of values for each resource of a thing."""

from typing import Any

from aiohttp import web

from providers.simulator import Measured, Refused, Simulator, checked_instant, checked_number, checked_query, iso

DEFAULT_LIMIT = 10
MOST_LIMIT = 1_000


class Thethings(Simulator):
    """Newest first, no cursor; more than 1000 are never given.

    Args:
        login: Whether things are read by their names after a login, instead of by their tokens.
    """

    base = "/v2"

    def __init__(self, login: bool = False) -> None:
        super().__init__()
        self.login = login
        self.tokens: dict[str, str] = {}
        """Thing token → thing; with `login`, user name → password."""
        self._issued = 0

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v2/login", self._log_in),
            web.get("/v2/things/{thing}/resources/{key}", self._values),
        ]

    def refusal(self, refused: Refused) -> web.Response:
        return web.json_response({"status": "error", "message": str(refused)}, status=refused.status)

    async def _log_in(self, request: web.Request) -> web.Response:
        said = await request.json()
        if not self.login or set(said) != {"username", "password"}:
            raise Refused(400, "username and password, please")
        if self.tokens.get(said["username"]) != said["password"]:
            raise Refused(401, f"wrong password for {said['username']}: {said['password']}")
        self._issued += 1
        token = self.issue(f"session-token-{self._issued:04d}")
        return web.json_response({"token": token})

    async def _values(self, request: web.Request) -> web.Response:
        thing, key = request.match_info["thing"], request.match_info["key"]
        if self.login:
            if not self.valid or request.headers.get("Authorization") != f"Bearer {self.valid}":
                raise Refused(401, "log in first")
        elif thing not in self.tokens:
            raise Refused(401, f"no thing has the token {thing}")
        device = thing if self.login else self.tokens[thing]
        query = checked_query(request, "limit", "startDate", "endDate")
        limit = checked_number(query.get("limit"), DEFAULT_LIMIT, 10**6)
        start, end = checked_instant(query.get("startDate")), checked_instant(query.get("endDate"))
        if not any((row.device, row.key) == (device, key) for row in self.rows):
            raise Refused(404, "resource not found")
        rows = self.measured(device, key, start, end)[: min(limit, MOST_LIMIT)]
        return web.json_response([_item(row) for row in self.ordered(rows)])


def _item(row: Measured) -> dict[str, Any]:
    return {"key": row.key, "value": row.value, "datetime": row.time_text if row.time_text is not None else iso(row.at)}
