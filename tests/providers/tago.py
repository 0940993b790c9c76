"""TagoIO's `GET /data`."""

from typing import Any

from aiohttp import web

from providers.simulator import Measured, Refused, Simulator, checked_instant, checked_number, checked_query, iso

DEFAULT_QTY = 15
MOST_QTY = 10_000


class Tago(Simulator):
    """Tokens belong to devices. 15 rows unless more are asked for, newest first.

    Args:
        header: Where the token is looked for: `Device-Token`, `Authorization` or `token`.
    """

    def __init__(self, header: str = "Device-Token") -> None:
        super().__init__()
        self.header = header
        self.tokens: dict[str, str] = {}
        """Token → device."""
        self.says_no_with_200 = False
        """Whether a refusal stands only in the body."""

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/data", self._values)]

    def refusal(self, refused: Refused) -> web.Response:
        status = 200 if self.says_no_with_200 else refused.status
        return web.json_response({"status": False, "message": str(refused)}, status=status)

    async def _values(self, request: web.Request) -> web.Response:
        device = self.tokens.get(request.headers.get(self.header, ""))
        if device is None:
            raise Refused(401, "Authorization denied")
        query = checked_query(request, "variable", "query", "start_date", "end_date", "qty", "skip")
        if "variable" not in query:
            raise Refused(400, "variable is missing")
        rows = self._last(device, query) if "query" in query else self._stretch(device, query)
        return web.json_response({"status": True, "result": [_item(row) for row in self.ordered(rows)]})

    def _last(self, device: str, query: dict[str, str]) -> list[Measured]:
        if query["query"] != "last_item" or len(query) > 2:
            raise Refused(400, "query is not last_item alone")
        return self.measured(device, query["variable"], None, None)[:1]

    def _stretch(self, device: str, query: dict[str, str]) -> list[Measured]:
        qty = checked_number(query.get("qty"), DEFAULT_QTY, MOST_QTY)
        skip = int(query["skip"]) if query.get("skip", "x").isdecimal() else 0
        start, end = checked_instant(query.get("start_date")), checked_instant(query.get("end_date"))
        return self.measured(device, query["variable"], start, end)[skip : skip + qty]


def _item(row: Measured) -> dict[str, Any]:
    time = row.time_text if row.time_text is not None else iso(row.at)
    return {"variable": row.key, "value": row.value, "unit": "", "group": f"{hash(row.at):x}"[-12:], "time": time}
