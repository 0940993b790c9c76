"""Files as older systems write them, handed in and imported, and what a report says of them."""

from typing import Any

import httpx

from integration.api.house import ApiHouse

POINTS = (
    "\ufeffcodigo_obra;dispositivo;Nombre;tipo;Latitud;Longitud;Cota;cliente;Observaciones\r\n"
    "pozo-1;m-1;=1+1;POZO;-33,4569;-70,6483;520,5;acme;nada\r\n"
    "rio-2;m-2;'@río;Río;-33,1;-70,2;;acme;\r\n"
)


async def upload(client: httpx.AsyncClient, content: str | bytes) -> str:
    """Hand a file in; where it is kept."""
    kept = await client.post("/api/import/upload", files={"file": ("old.csv", content)})
    assert kept.status_code == 200, kept.text
    return str(kept.json()["path"])


async def imported(
    client: httpx.AsyncClient, content: str | bytes, kind: str = "points", dry: bool = False, **body: Any
) -> dict[str, Any]:
    """Hand a file in and import it; the report."""
    await upload(client, content)
    answer = await client.post("/api/import/", json={"kind": kind, **body}, params={"dry_run": dry})
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def counts(report: dict[str, Any]) -> tuple[int, int, int, int]:
    """Created, changed, unchanged, refused."""
    return report["created"], report["changed"], report["unchanged"], report["refused"]


def refusals(report: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Row, field and reason of each refused row."""
    return [(step["row"], step["field"], step["reason"]) for step in report["steps"] if step["outcome"] == "refused"]


async def dump(api: ApiHouse) -> list[list[tuple[Any, ...]]]:
    """All that an import may write."""
    tables = ("points", "variables", "owners", "audit_log", "gateway_outbox")
    return [await api.rows(f"select * from {table} order by 1, 2") for table in tables]


async def client_admin(api: ApiHouse, client: str = "acme") -> httpx.AsyncClient:
    """Who looks after a client."""
    return api.as_(await api.add_user(email=f"admin@{client}.test", role="client_admin", client=client))
