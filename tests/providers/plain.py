"""A provider of no known kind, with every habit that such APIs have."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Literal
from zoneinfo import ZoneInfo

from aiohttp import web

from providers.simulator import Measured, Refused, Simulator, checked_number, checked_query

MOST_ROWS = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Shape = Literal["rows", "entries", "series"]
Paging = Literal["time", "page", "offset", "cursor", "none"]

WRITTEN: dict[str, Callable[[datetime, ZoneInfo], Any]] = {
    "rfc3339": lambda at, zone: at.astimezone(zone).isoformat(),
    "naive": lambda at, zone: at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S"),
    "day_first": lambda at, zone: at.astimezone(zone).strftime("%d/%m/%Y %H:%M:%S"),
    "epoch_s": lambda at, zone: (at - _EPOCH) // timedelta(seconds=1),
    "epoch_ms": lambda at, zone: (at - _EPOCH) // timedelta(milliseconds=1),
    "tdatetime": lambda at, zone: (
        (at.astimezone(zone).replace(tzinfo=None) - datetime(1899, 12, 30)) / timedelta(days=1)
    ),
}
"""How times are written."""

READ: dict[str, Callable[[str, ZoneInfo], datetime]] = {
    "rfc3339": lambda text, zone: datetime.fromisoformat(text),
    "naive": lambda text, zone: datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone),
    "day_first": lambda text, zone: datetime.strptime(text, "%d/%m/%Y %H:%M:%S").replace(tzinfo=zone),
    "epoch_s": lambda text, zone: _EPOCH + timedelta(seconds=int(text)),
    "epoch_ms": lambda text, zone: _EPOCH + timedelta(milliseconds=int(text)),
}
"""How times in questions are read."""


class Plain(Simulator):
    """`GET /api/devices/{device}/history` after a login, or with a key.

    Args:
        shape: Of the rows.
        paging: How one gets at what did not fit.
        writes: How times are written: a name of `WRITTEN`.
        reads: How times are asked for: a name of `READ`.
        zone: Of times without one.
        newest_first: Order of the rows.
        credentials: Header and value, or parameter and value, without which nothing is answered; None: a login.
    """

    base = "/api"

    def __init__(
        self,
        shape: Shape = "rows",
        paging: Paging = "time",
        writes: str = "rfc3339",
        reads: str = "rfc3339",
        zone: str = "UTC",
        newest_first: bool = True,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.paging, self.writes, self.reads = shape, paging, writes, reads
        self.zone, self.newest_first, self.credentials = ZoneInfo(zone), newest_first, credentials
        self.users: dict[str, str] = {}
        self.most_rows = MOST_ROWS
        """Rows that it gives at once, whatever it is asked for."""
        self._issued = 0

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/login", self._log_in), web.get("/api/devices/{device}/history", self._values)]

    async def _log_in(self, request: web.Request) -> web.Response:
        said = await request.json()
        if self.users.get(said.get("user", "")) != said.get("pass"):
            raise Refused(403, f"go away, {said.get('user')} with your {said.get('pass')}")
        self._issued += 1
        token = self.issue(f"opaque-token-{self._issued:04d}")
        return web.json_response({"session": {"key": token}})

    def _check_caller(self, request: web.Request) -> None:
        name, value = self.credentials or ("Authorization", f"Bearer {self.valid}" if self.valid else "-")
        if request.headers.get(name) != value and request.query.get(name) != value:
            raise Refused(401, "who are you?")

    async def _values(self, request: web.Request) -> web.Response:
        self._check_caller(request)
        known = ("vars", "from", "to", "size", "page", "offset", "cursor")
        query = checked_query(request, *known, *(self.credentials or ())[:1])
        device = request.match_info["device"]
        keys = query["vars"].split(",") if "vars" in query else sorted({row.key for row in self.rows})
        rows = [row for key in keys for row in self.measured(device, key, None, None)]
        start, end = self._bound(query.get("from")), self._bound(query.get("to"))
        rows = [row for row in rows if (not start or row.at >= start) and (not end or row.at <= end)]
        if not rows and not any(row.device == device for row in self.rows):
            return web.json_response({"data": {"items": {} if self.shape == "series" else []}, "next": None})
        return web.json_response(self._cut(rows, query))

    def _bound(self, text: str | None) -> datetime | None:
        try:
            return READ[self.reads](text, self.zone).astimezone(UTC) if text else None
        except ValueError:
            raise Refused(400, f"{text!r} is no time") from None

    def _cut(self, rows: list[Measured], query: dict[str, str]) -> dict[str, Any]:
        size = min(checked_number(query.get("size"), 50, 10**6), self.most_rows)
        if self.shape == "series":
            strands = {key: [row for row in rows if row.key == key] for key in query["vars"].split(",")}
            return {"data": {"items": {key: self._items(strand)[:size] for key, strand in strands.items()}}}
        items = self._items(rows)
        first = {
            "page": (int(query.get("page", "1")) - 1) * size,
            "offset": int(query.get("offset", "0")),
            "cursor": int(query.get("cursor", "c0")[1:]),
        }.get(self.paging, 0)
        if self.paging == "none":
            size = len(items) or 1
        rest = first + size < len(items)
        following = f"c{first + size}" if self.paging == "cursor" and rest else None
        return {"data": {"items": self.ordered(items[first : first + size])}, "next": following}

    def _items(self, rows: list[Measured]) -> list[dict[str, Any]]:
        ordered = sorted(rows, key=lambda row: row.at, reverse=self.newest_first)
        if self.shape != "rows":
            return [{"name": row.key, "value": row.value, "when": self._time(row)} for row in ordered]
        return [self._row(list(group)) for _, group in groupby(ordered, key=lambda row: row.at)]

    def _row(self, group: list[Measured]) -> dict[str, Any]:
        return {"when": self._time(group[0]), "values": {row.key: row.value for row in group}}

    def _time(self, row: Measured) -> Any:
        return row.time_text if row.time_text is not None else WRITTEN[self.writes](row.at, self.zone)
