"""Each of the six providers, and further habits of APIs: how its stand-in is opened and how a client reaches it."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from caudal.common.domain.provider_presets import PROVIDER_PRESETS
from caudal.common.ports import Clock
from caudal.ingest.adapters.providers.opening import open_client
from caudal.ingest.ports import ProviderClient, Question
from providers.plain import Paging, Plain, Shape
from providers.simulator import Simulator
from providers.tago import Tago
from providers.thethings import Thethings
from providers.thingsboard import Thingsboard

SECRET = "s3cr3t/öf the+house"
"""Holds what an address, a header and JSON each write in their own way."""
PLAIN_SECRET = "s3cr3t-of-the-house"
"""For places that carry no more than ASCII."""
DEVICE = "pozo 7/norte"
KEYS = {"total": "tot", "flow": "q", "level": "n"}


@dataclass
class Case:
    """A provider, its stand-in, and what a point there is called."""

    simulator: Simulator
    api: str
    connection: dict[str, Any]
    authentication: dict[str, Any]
    secrets: dict[str, str]
    remote_id: str = DEVICE
    keys: Mapping[str, str] = field(default_factory=lambda: KEYS)
    zone: str | None = None
    is_text: bool = False
    """Whether it gives every value as text."""
    holds_ties: bool = True
    """Whether it can give two values of a variable for one instant."""

    def put(self, variable: str, at: datetime, value: Any, **how: Any) -> None:
        """Let the device hand in a value."""
        self.simulator.put(DEVICE, KEYS[variable], at, value, **how)

    def given(self, value: Any) -> Any:
        """`value` as the provider gives it."""
        return value if not self.is_text else str(value).lower() if isinstance(value, bool) else str(value)

    def question(self, *variables: str, start: datetime | None = None, end: datetime | None = None) -> Question:
        """About the device; all its variables, unless some are named."""
        keys = {variable: self.keys[variable] for variable in variables or self.keys}
        return Question(remote_id=self.remote_id, keys=keys, start=start, end=end)

    def client(
        self, http: httpx.AsyncClient, clock: Clock, secrets: Mapping[str, str] | None = None, **connection: Any
    ) -> ProviderClient:
        """A client as the catalog's entry describes it, with changes."""
        there = {**self.connection, "base_url": self.simulator.url, "timeout_s": 5, **connection}
        known = self.secrets if secrets is None else secrets
        return open_client(self.api, there, self.authentication, known, http, clock, self.zone)


Open = Callable[[ExitStack], Case]


def tago(stack: ExitStack) -> Case:
    """TagoIO with the device's own token."""
    return _tago(stack, "tago", "Device-Token")


def novus(stack: ExitStack) -> Case:
    """NOVUS on TagoIO with a token in Authorization."""
    return _tago(stack, "novus", "Authorization")


def _tago(stack: ExitStack, name: str, header: str) -> Case:
    simulator = stack.enter_context(Tago(header))
    simulator.tokens[PLAIN_SECRET] = DEVICE
    return _preset(name, simulator, {"token": PLAIN_SECRET})


def thingsio(stack: ExitStack) -> Case:
    """thethings.io with the thing's token in the path."""
    simulator = stack.enter_context(Thethings())
    simulator.tokens[SECRET] = DEVICE
    return _preset("thingsio", simulator, {"token": SECRET})


def nettra(stack: ExitStack) -> Case:
    """thethings.io after a login."""
    simulator = stack.enter_context(Thethings(login=True))
    simulator.tokens["operador"] = SECRET
    return _preset("nettra", simulator, {"username": "operador", "password": SECRET})


def twin(stack: ExitStack) -> Case:
    """ThingsBoard style with a key."""
    simulator = stack.enter_context(Thingsboard(PLAIN_SECRET))
    return _preset("twin", simulator, {"api_key": PLAIN_SECRET}, is_text=True)


def tdata(stack: ExitStack) -> Case:
    """ThingsBoard style with a key."""
    simulator = stack.enter_context(Thingsboard(PLAIN_SECRET))
    return _preset("tdata", simulator, {"api_key": PLAIN_SECRET}, is_text=True)


def tdata_with_login(stack: ExitStack) -> Case:
    """ThingsBoard style with user and password."""
    simulator = stack.enter_context(Thingsboard())
    simulator.users["operador"] = SECRET
    case = _preset("tdata", simulator, {"username": "operador", "password": SECRET}, is_text=True)
    case.authentication = {"kind": "login"}
    return case


def _preset(name: str, simulator: Simulator, secrets: dict[str, str], is_text: bool = False) -> Case:
    preset = PROVIDER_PRESETS[name]
    return Case(simulator, preset.api, preset.connection, preset.authentication, secrets, is_text=is_text)


def plain(
    shape: Shape = "rows",
    paging: Paging = "time",
    times: tuple[str, str] = ("rfc3339", "rfc3339"),
    zone: str = "UTC",
    newest_first: bool = True,
    kind: str = "login",
) -> Open:
    """Opens an API of no known kind.

    Args:
        shape: Of its rows.
        paging: How one gets at more.
        times: How it writes them, and how it wants them asked for.
        zone: Of times without one.
        newest_first: Order of its rows.
        kind: Of authentication.
    """

    def opened(stack: ExitStack) -> Case:
        writes, reads = times
        authentication, credentials, secrets = _credentials(kind)
        simulator = stack.enter_context(Plain(shape, paging, writes, reads, zone, newest_first, credentials))
        simulator.users["operador"] = SECRET
        named = {} if shape == "rows" else {"vars": "{keys}"}
        number = {"time": {}, "none": {}}.get(paging, {paging: f"{{{paging}}}"})
        connection = {
            "path": "/devices/{remote_id}/history",
            "params": {**named, "from": "{start}", "to": "{end}", "size": "{limit}", **number},
            "readings": "data.items",
            "form": shape,
            "variable": "name",
            "time": {"path": "when", "format": _FORMATS.get(writes, writes), "clock_change": "before"},
            "sent_time": _FORMATS.get(reads, reads),
            "order": "newest_first" if newest_first else "oldest_first",
            "paging": paging,
        }
        case = Case(simulator, "generic", connection, authentication, secrets, zone=zone)
        if shape == "rows":
            case.holds_ties, case.keys = False, {code: f"values.{key}" for code, key in KEYS.items()}
        return case

    return opened


_FORMATS = {"naive": "%Y-%m-%d %H:%M:%S", "day_first": "%d/%m/%Y %H:%M:%S"}


def _credentials(kind: str) -> tuple[dict[str, Any], tuple[str, str] | None, dict[str, str]]:
    """(authentication, what the stand-in wants to see, secrets)."""
    match kind:
        case "login":
            fields = {"login_fields": ["user", "pass"], "token": "session.key"}
            return {"kind": "login", **fields}, None, {"username": "operador", "password": SECRET}
        case "bearer":
            return {"kind": "bearer"}, ("Authorization", f"Bearer {PLAIN_SECRET}"), {"token": PLAIN_SECRET}
        case "basic":
            pair = ("Authorization", "Basic b3BlcmFkb3I6czNjcjN0L8O2ZiB0aGUraG91c2U=")
            return {"kind": "basic"}, pair, {"username": "operador", "password": SECRET}
        case "query":
            return {"kind": "query", "parameter": "apikey"}, ("apikey", SECRET), {"token": SECRET}
        case _:
            raise ValueError(kind)
