"""Two clients with somebody and something of each, for what has to be kept apart or brought together."""

from dataclasses import dataclass
from typing import Any

import httpx

from integration.api.house import ApiHouse


async def made(as_: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """What a POST made."""
    answer = await as_.post(path, json=body)
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


@dataclass
class Estate:
    """Two clients, each with an administrator, a user and a point."""

    api: ApiHouse
    ids: dict[str, str]

    def as_(self, who: str) -> httpx.AsyncClient:
        """Somebody logged in, such as `client_user of b`."""
        return self.api.as_(self.ids[who])


async def inhabited(api: ApiHouse) -> Estate:
    """Both clients, with their people and points."""
    ids = {}
    for client in ("a", "b"):
        await made(api.admin, "/api/clients/", code=client, name=f"Cliente {client}")
        for role in ("client_admin", "client_user"):
            address = f"{role}@{client}.test"
            ids[f"{role} of {client}"] = await api.add_user(email=address, role=role, client=client)
        await api.add_point(code=f"well-{client}", device=f"meter-{client}", client=client)
    return Estate(api, ids)


def field_of(answer: httpx.Response) -> str:
    """The field that an error is about."""
    return str(answer.json()["error"]["fields"][0]["field"])
