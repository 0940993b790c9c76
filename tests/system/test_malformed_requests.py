"""Thousands of malformed bodies at the doors over HTTP: no 5xx, and what was taken is stored or kept as rejected."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from figures import tell
from malformed import malformed
from servers.installation import ADMIN, Installation

COUNT = 10_000
"""At the door that takes telemetry; the others are in `integration/api/test_api_malformed.py`."""
FEWER = 2000
"""At doors that take none."""
CONNECTIONS = 16
GOOD_EVERY = 200
"""So often the same connection asks something good."""
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
PATIENCE_S = 120.0


def push(number: int) -> Any:
    at = (START + timedelta(seconds=number)).isoformat()
    return {"readings": [{"device": f"pushed-{number}", "ts": at, "flow": number}], "note": number}


def login(number: int) -> Any:
    return {"email": f"user-{number}@example.org", "password": "not-a-real-password"}


def point(number: int) -> Any:
    meter = {"pulses_per_liter": 0.1, "calibration_factor": 1.0}
    total = {"code": "total", "type": "totalizer", "counter": {"kind": "total", "meter": meter}}
    mapping = {"time": {"path": "t", "zone": "America/Santiago"}, "values": {"total": {"path": "n", "scale": 2}}}
    point = {"code": f"p-{number}", "device": f"d-{number}", "name": "Pozo", "type": "WELL", "time_zone": "UTC"}
    return point | {"sampling_minutes": 60, "mapping": mapping, "max_rows": 100, "variables": [total]}


Answer = tuple[int, dict[str, Any]]


async def answered(site: Installation, path: str, headers: Mapping[str, str], bodies: Sequence[bytes]) -> list[Answer]:
    """Status and body of each answer, over a few connections that stay open."""
    port = site.services["gateway_api"].port
    said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    found: list[Answer] = [(0, {})] * len(bodies)

    async def worker(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(first, len(bodies), CONNECTIONS):
            body = bodies[number]
            head = f"POST {path} HTTP/1.1\r\nHost: caudal\r\n{said}Content-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            found[number] = await one(reader)
            if number % GOOD_EVERY == 0:
                writer.write(b"GET /health/live HTTP/1.1\r\nHost: caudal\r\n\r\n")
                assert (await one(reader))[0] == 200
        writer.close()
        await writer.wait_closed()

    async with asyncio.TaskGroup() as group:
        for first in range(CONNECTIONS):
            group.create_task(worker(first))
    return found


async def one(reader: asyncio.StreamReader) -> Answer:
    """The next answer on a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return int(head.split(" ", 2)[1]), json.loads(await reader.readexactly(length))


def judged(title: str, answers: Sequence[Answer], seconds: float) -> Counter[int]:
    """How many answers of each status; every refusal says why."""
    statuses = Counter(status for status, _ in answers)
    tell(f"malformed {title}", **{str(status): count for status, count in sorted(statuses.items())}, seconds=seconds)
    assert max(statuses) < 500, next(body for status, body in answers if status >= 500)
    assert all(body["error"]["code"] and body["error"]["message"] for status, body in answers if status >= 400)
    return statuses


async def asked(
    site: Installation, title: str, path: str, valid: Callable[[int], Any], count: int, **headers: str
) -> tuple[Counter[int], list[Answer]]:
    """Send malformed bodies there."""
    begun = time.monotonic()
    bodies = list(malformed(valid, count))
    answers = await answered(site, path, {"Content-Type": "application/json", **headers}, bodies)
    return judged(title, answers, time.monotonic() - begun), answers


async def test_malformed_bodies_are_refused_or_taken_and_accounted_for(site: Installation) -> None:
    await asyncio.to_thread(site.start, "ingest", "processor", "gateway_api")
    process = site.services["gateway_api"].process
    api = site.api
    await asyncio.to_thread(api, "POST", "/api/providers/", {"code": "acme", "mapping": "flat"})
    key = (await asyncio.to_thread(api, "POST", "/api/providers/acme/keys/", {}))["key"]
    token = (await asyncio.to_thread(api, "POST", "/api/auth/login", ADMIN))["token"]

    taken, answers = await asked(site, "push", "/api/telemetry/uplink/acme", push, COUNT, **{"X-API-Key": key})
    assert taken[202] == len({body["id"] for status, body in answers if status == 202})
    points, _ = await asked(site, "point", "/api/points/", point, FEWER, Authorization=f"Bearer {token}")
    assert (await asyncio.to_thread(api, "GET", "/api/points/?page_size=1"))["total"] == points[201]
    logins, _ = await asked(site, "login", "/api/auth/login", login, FEWER)
    assert logins[200] == 0

    deadline = time.monotonic() + PATIENCE_S
    while (arrived := await arrivals(site)) < taken[202] and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
    tell("malformed push, what was taken", answered_202=taken[202], stored_or_rejected=arrived)
    assert arrived == taken[202]
    assert site.services["gateway_api"].process is process
    assert await asyncio.to_thread(site.is_ready)


async def arrivals(site: Installation) -> int:
    """How many pushes became readings, or rejects, or both: by time of receipt, of which each has its own.

    Readings of one push are a microsecond apart.
    """
    tables = ("processor_raw", "processor_rejected")
    received = " union ".join(f"select received_at as at from {table} where provider = 'acme'" for table in tables)
    before = "select from received as other where other.at = received.at - interval '1 microsecond'"
    counted = f"with received as ({received}) select count(*) from received where not exists ({before})"
    return int((await site.query(counted))[0][0])
