"""Every list of the API over 10,000 points and 200 users in PostgreSQL, measured: how long an answer takes.

The application answers in this process, one question after the other: what is measured is its work and the database's.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
import sqlalchemy as sa
import structlog
from rich.console import Console
from rich.table import Table

from caudal.common.adapters.sql import transaction
from caudal.gateway_api.adapters.tables import sessions
from estates import settle
from integration.api.house import NOW, furnished, migrate_all, session_of
from servers.postgres import Postgres

QUESTIONS = (
    "/api/points/",
    "/api/points/?page=150",
    "/api/points/?page_size=500",
    "/api/points/?search=meter-0424",
    "/api/points/?search=sector 9",
    "/api/points/?search=nothing is called so",
    "/api/points/?client=client-7&status=MAINTENANCE",
    "/api/points/?provider=twin&order=-updated_at,name",
    "/api/points/?latitude_from=-30&latitude_to=-29",
    "/api/points/?created_from=2026-01-01T00:00:00Z&order=-created_at",
    "/api/variables/",
    "/api/variables/?type=level&order=-point",
    "/api/variables/?search=point-0999",
    "/api/variables/?point=point-05000",
    "/api/providers/",
    "/api/clients/?search=1",
    "/api/users/?order=-email",
    "/api/users/?client=client-3&search=usuario",
    "/api/users/owners/",
    "/api/users/owners/?user=user-7",
    "/api/users/owners/?search=point-049",
    "/api/users/notifications/",
    "/api/users/notifications/?user=user-7",
    "/api/api-keys/",
    "/api/roles/",
    "/api/audit/",
)
WHO = {"staff": "admin", "a client's": "user-7"}
"""Who asks: somebody who sees everything, and somebody who sees a twentieth."""
MAY = "client_admin"


async def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each question, by who asks."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory(prefix="caudal-bench-") as folder, Postgres(Path(folder) / "postgres") as server:
        url = server.database()
        await migrate_all(url)
        async with furnished(url, Path(folder) / "data") as api:
            await settle(api.engine, NOW)
            await _let_in(api.engine, WHO["a client's"])
            return {name: await _asked(api.as_(user), rounds) for name, user in WHO.items()}


async def _let_in(engine: sa.ext.asyncio.AsyncEngine, user: str) -> None:
    async with transaction(engine) as connection:
        await connection.execute(sa.text("update users set role = :role where id = :user"), {"role": MAY, "user": user})
        await connection.execute(sa.insert(sessions), [session_of(user)])


async def _asked(client: httpx.AsyncClient, rounds: int) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {question: [] for question in QUESTIONS}
    for round_ in range(rounds + 2):
        for question in QUESTIONS:
            begun = time.perf_counter()
            answer = await client.get(question)
            answer.raise_for_status()
            # The first ones prepare statements and open connections.
            if round_ >= 2:
                took[question].append((time.perf_counter() - begun) * 1000)
    return took


def p95(values: list[float]) -> float:
    """What 19 of 20 do not exceed."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def shown(took: dict[str, dict[str, list[float]]]) -> Table:
    """The figures, for people."""
    table = Table("list", *(f"{who} {what}, ms" for who in took for what in ("p50", "p95")))
    for question in QUESTIONS:
        figures = [kind(took[who][question]) for who in took for kind in (statistics.median, p95)]
        table.add_row(question, *(f"{ms:.1f}" for ms in figures))
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    took = asyncio.run(measure(arguments.rounds))
    if arguments.json:
        print(json.dumps({who: {name: p95(values) for name, values in of.items()} for who, of in took.items()}))
        return
    Console().print(shown(took))
    worst = max(p95(values) for of in took.values() for values in of.values())
    Console().print(f"worst p95: {worst:.1f} ms of the 100 ms promised")


if __name__ == "__main__":
    main()
