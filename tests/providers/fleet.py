"""Stand-ins for the six providers with a few hours of values each, and the file that a script finds them by."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from providers.cases import KEYS, Case, nettra, novus, tago, tdata, thingsio, twin

OPENED = {"twin": twin, "nettra": nettra, "novus": novus, "tago": tago, "tdata": tdata, "thingsio": thingsio}
STEP = timedelta(minutes=5)
COUNT = 36
"""Instants that each device measured."""

Values = dict[datetime, dict[str, float]]


def open_fleet(stack: ExitStack, now: datetime | None = None) -> tuple[dict[str, Case], dict[str, Values]]:
    """The six, and what the device at each of them measured until `now`: some flows are 0, some levels are missing."""
    last = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
    cases = {name: opened(stack) for name, opened in OPENED.items()}
    measured: dict[str, Values] = {}
    for number, (name, case) in enumerate(cases.items()):
        measured[name] = {last - (COUNT - row) * STEP: _row(number, row) for row in range(COUNT)}
        for at, values in measured[name].items():
            for variable, value in values.items():
                case.put(variable, at, value)
    return cases, measured


def _row(number: int, row: int) -> dict[str, float]:
    is_still = row % 12 == 11
    pulses = 10_000 * (number + 1) + 30 * (row - row // 12)
    values: dict[str, float] = {"total": pulses, "flow": 0 if is_still else 10.0}
    return values if row % 7 == 3 else values | {"level": 30 + number + row / 100}


def described(cases: dict[str, Case]) -> dict[str, dict[str, Any]]:
    """Where each is and how a device there is asked for, as docs/guides/first_fleet.py takes it."""
    return {
        name: {
            "base_url": case.simulator.url,
            "remote_id": case.remote_id,
            "keys": dict(KEYS),
            "credentials": case.secrets,
        }
        for name, case in cases.items()
    }
