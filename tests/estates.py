"""A fleet as large as a region's, put into the catalog at once: clients, users, points, owners and preferences."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import transaction
from caudal.gateway_api.adapters.tables import (
    clients,
    notification_preferences,
    owners,
    points,
    providers,
    users,
    variables,
)
from caudal.gateway_api.domain.listing import search_text

CLIENTS = 20
USERS = 200
PROVIDERS = ("novus", "nettra", "tago", "tdata", "thingsio", "twin")
KINDS = ("WELL", "WELL", "WELL", "RIVER", "LAKE", "SPRING")
VARIABLES = {"flow": "flow", "level": "level", "total": "totalizer"}
WORDS = ("[]", '["points:read","telemetry:read"]')
"""What was agreed with every other owner."""
AT_ONCE = 1000


async def settle(engine: AsyncEngine, at: datetime, how_many: int = 10_000) -> None:
    """Points with three variables each, users who own some; then statistics, as autovacuum would gather them."""
    kept = {"created_at": at, "updated_at": at}
    fleet: list[tuple[sa.Table, Iterator[dict[str, Any]]]] = [
        (clients, ({"code": f"client-{n}", "name": f"Cliente {n}", "active": True} | kept for n in range(CLIENTS))),
        (providers, (_provider(code) | kept for code in PROVIDERS)),
        (users, (_user(n) | kept for n in range(USERS))),
        (points, (_point(n) | kept for n in range(how_many))),
        (variables, (_variable(n, place) for n in range(how_many) for place in range(len(VARIABLES)))),
        (owners, (_owner(n) | kept for n in range(how_many // 2))),
        (notification_preferences, (_preference(n) | kept for n in range(how_many // 10))),
    ]
    async with transaction(engine) as connection:
        for table, rows in fleet:
            pending = [*rows]
            for start in range(0, len(pending), AT_ONCE):
                await connection.execute(sa.insert(table), pending[start : start + AT_ONCE])
        await connection.execute(sa.text("analyze"))


def _provider(code: str) -> dict[str, Any]:
    named = {"code": code, "name": code.title(), "type": "HTTP_API", "time_zone": "UTC", "active": True}
    return named | {"connection": "{}", "authentication": "{}", "mapping": '"caudal"', "testing": False}


def _user(n: int) -> dict[str, Any]:
    of = {"role": "client_user", "client": f"client-{n % CLIENTS}", "active": True, "password_hash": ""}
    return {"id": f"user-{n}", "email": f"user-{n}@caudal.test", "name": f"Usuario {n}"} | of


def _point(n: int) -> dict[str, Any]:
    code, name, device = f"point-{n:05}", f"Pozo {n * 31 % 9973} sector {n % 97}", f"meter-{n * 7919 % 100_003:06}"
    return {
        "code": code,
        "device": device,
        "client": f"client-{n % CLIENTS}",
        "provider": PROVIDERS[n % len(PROVIDERS)],
        "type": KINDS[n % len(KINDS)],
        "status": "ACTIVE" if n % 50 else "MAINTENANCE",
        "name": name,
        "search_text": search_text(code, name, device),
        "latitude": -17.5 - n % 380 / 10,
        "longitude": -70.0 - n % 40 / 10,
        "time_zone": "America/Santiago",
        "sampling_minutes": 60.0,
        "rules": "{}",
    }


def _variable(n: int, place: int) -> dict[str, Any]:
    code, kind = [*VARIABLES.items()][place]
    body = f'{{"code":"{code}","type":"{kind}"}}'
    point = f"point-{n:05}"
    searched = search_text(code, "", point)
    named = {"point": point, "code": code, "name": "", "search_text": searched}
    return named | {"position": place, "type": kind, "body": body}


def _owner(n: int) -> dict[str, Any]:
    # Of one client: its users are those whose number leaves the same rest.
    user = f"user-{(n % CLIENTS) + CLIENTS * (n // CLIENTS % (USERS // CLIENTS))}"
    return {"id": f"owner-{n}", "user": user, "point": f"point-{n:05}", "kind": "PRIMARY", "permissions": WORDS[n % 2]}


def _preference(n: int) -> dict[str, Any]:
    told = {"types": '["OFFLINE"]', "channels": '["EMAIL"]', "time_zone": "UTC", "daily_summary": False}
    return {"id": f"preference-{n}", "user": f"user-{n % USERS}", "point": f"point-{n:05}"} | told
