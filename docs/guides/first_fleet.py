"""A first fleet, from nothing to readings, through the HTTP API alone: first-fleet.md says how to run it.

Two clients, with an administrator and a user each, and three points each, every point at another provider.
"""

import argparse
import json
import os
import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

CLIENTS = {"andes": ["twin", "nettra", "novus"], "maipo": ["tago", "tdata", "thingsio"]}
"""Client to the providers that it has a point at."""
ROLES = {"admin": "client_admin", "user": "client_user"}
OF_THE_POINT = ("device_token", "path_token")
"""Kinds of authentication where each point has a secret of its own."""
VARIABLES: list[dict[str, Any]] = [
    # 100 litres a pulse, by a meter that reads 2 % low: m³ = pulses × 1.02 / (0.01 × 1000)
    {
        "code": "total",
        "type": "totalizer",
        "counter": {"meter": {"pulses_per_liter": 0.01, "calibration_factor": 1.02}},
    },
    {"code": "flow", "type": "flow", "limits": {"min": 0, "max": 60}},
    {"code": "level", "type": "level"},
]


class Api:
    """The API, as one user sees it."""

    def __init__(self, url: str, email: str, password: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60)
        token = self.ask("POST", "/api/auth/login", {"email": email, "password": password})["token"]
        self.http.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, body: object = None, **query: Any) -> Any:
        """What it answers; ends the program with what it says where it refuses."""
        answer = self.http.request(method, path, json=body, params=query)
        if answer.is_error:
            sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def is_there(self, path: str, **query: Any) -> bool:
        """Whether this user finds anything at `path`."""
        return self.http.get(path, params=query).status_code != 404


def add_client(api: Api, client: str) -> dict[str, tuple[str, str, str]]:
    """Make a client and its users; role to (id, email, password)."""
    api.ask("POST", "/api/clients/", {"code": client, "name": client.title()})
    users = {}
    for short, role in ROLES.items():
        email, password = f"{short}@{client}.example", secrets.token_urlsafe(16)
        user = {"email": email, "role": role, "client": client, "password": password}
        users[role] = (api.ask("POST", "/api/users/", user)["id"], email, password)
    return users


def add_point(api: Api, client: str, name: str, preset: dict[str, Any], there: dict[str, Any]) -> str:
    """Make one provider by its preset, and a point that it is asked for; the point's code."""
    is_of_point = preset["authentication"]["kind"] in OF_THE_POINT
    provider = {
        "code": name,
        "client": client,
        "name": preset["name"],
        "api": preset["api"],
        "connection": preset["connection"] | {"base_url": there["base_url"]},
        "authentication": preset["authentication"],
        "mapping": preset["mapping"],
        "credentials": {} if is_of_point else there["credentials"],
    }
    api.ask("POST", "/api/providers/", provider)
    point = {
        "code": f"{client}-{name}",
        "device": f"meter-{client}-{name}",
        "client": client,
        "provider": name,
        "time_zone": "America/Santiago",
        "sampling_minutes": 5,
        "variables": VARIABLES,
        "source": {"remote_id": there["remote_id"], "keys": there["keys"]},
        "credentials": there["credentials"] if is_of_point else {},
    }
    return str(api.ask("POST", "/api/points/", point)["code"])


def tell_whose(api: Api, point: str, users: dict[str, tuple[str, str, str]]) -> None:
    """Say who owns a point, and who is told what about it."""
    admin, user = users["client_admin"][0], users["client_user"][0]
    words = ["points:read", "telemetry:read"]
    api.ask("POST", "/api/users/owners/", {"user": admin, "point": point, "kind": "PRIMARY", "permissions": words})
    api.ask("POST", "/api/users/owners/", {"user": user, "point": point, "kind": "SECONDARY", "permissions": words[1:]})
    wish = {"user": user, "point": point, "types": ["THRESHOLD", "OFFLINE"], "channels": ["EMAIL"]}
    api.ask("POST", "/api/users/notifications/", wish | {"quiet_from": "22:00", "quiet_to": "07:00"})


def try_and_poll(api: Api, provider: str) -> dict[str, Any]:
    """Try a provider, which stores nothing, then have it asked for all that it has."""
    trial: dict[str, Any] = api.ask("POST", f"/api/providers/{provider}/test")
    if trial["outcome"] != "answered":
        sys.exit(f"{provider} {trial['outcome']}: {trial.get('reason')}")
    api.ask("POST", f"/api/providers/{provider}/poll")
    return trial


def series_when_there(api: Api, point: str, since: str, deadline: float) -> list[dict[str, Any]]:
    """The point's series, once its provider was asked and everything that came is stored."""
    while time.monotonic() < deadline:
        polling = api.ask("GET", f"/api/points/{point}/status")["polling"]
        if polling["error"]:
            sys.exit(f"{point}: {polling['error']}")
        if (polling["answered_at"] or "") > since and not polling["is_behind"]:
            samples = api.ask("GET", "/api/telemetry/data/", point=point)["samples"]
            stored = api.ask("GET", "/api/telemetry/summary/", point=point)
            if stored["last_measured_at"] == polling["measured_until"] and stored["readings"] == len(samples):
                return list(samples)
        time.sleep(0.5)
    sys.exit(f"{point}: its series is not there in time; {api.ask('GET', f'/api/points/{point}/status')}")


def main() -> None:
    """Set the fleet up, have it asked, and read it back as each client's users."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("fleet", type=Path, help="JSON: per provider base_url, remote_id, keys and credentials")
    words.add_argument("--url", default="http://127.0.0.1:8000")
    words.add_argument("--email", default="admin@caudal.local")
    words.add_argument("--password", default=os.environ.get("CAUDAL_ADMIN_PASSWORD"), help="or CAUDAL_ADMIN_PASSWORD")
    words.add_argument("--wait-s", type=float, default=120, help="how long to wait for the series")
    words.add_argument("--json", action="store_true", help="print everything, for programs")
    said = words.parse_args()
    fleet = json.loads(said.fleet.read_text(encoding="utf-8"))

    staff = Api(said.url, said.email, said.password or "")
    presets = staff.ask("GET", "/api/provider-presets/")
    begun = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    points, users, trials = {}, {}, {}
    for client, providers in CLIENTS.items():
        users[client] = add_client(staff, client)
        points[client] = [add_point(staff, client, name, presets[name], fleet[name]) for name in providers]
        for point in points[client]:
            tell_whose(staff, point, users[client])
        trials |= {name: try_and_poll(staff, name)["readings"] for name in providers}

    deadline = time.monotonic() + said.wait_s
    seen: list[dict[str, Any]] = []
    for client in CLIENTS:
        foreign = [point for other in CLIENTS if other != client for point in points[other]]
        for role, (_, email, password) in users[client].items():
            api = Api(said.url, email, password)
            own = {point: series_when_there(api, point, begun, deadline) for point in points[client]}
            listed = [point["code"] for point in api.ask("GET", "/api/points/", order="code")["items"]]
            not_there = [
                point
                for point in foreign
                if not api.is_there(f"/api/points/{point}") and not api.is_there("/api/telemetry/data/", point=point)
            ]
            seen.append(
                {
                    "client": client,
                    "role": role,
                    "sees": listed,
                    "series": own,
                    "foreign": foreign,
                    "not_there": not_there,
                }
            )
    print(json.dumps({"trials": trials, "seen": seen}) if said.json else table_of(seen))


def table_of(seen: list[dict[str, Any]]) -> str:
    """What each user sees, line by line."""
    lines = [f"{'client':8}{'role':14}{'point':16}{'readings':>9}{'m³ from':>12}{'m³ to':>12}{'last l/s':>10}"]
    for view in seen:
        for point, samples in view["series"].items():
            totals = [sample["values"]["total"] for sample in samples if sample["values"].get("total") is not None]
            flow = samples[-1]["values"].get("flow")
            figures = f"{len(samples):9}{totals[0]:12.2f}{totals[-1]:12.2f}{flow if flow is not None else '–':>10}"
            lines.append(f"{view['client']:8}{view['role']:14}{point:16}{figures}")
        lines.append(f"{'':8}{len(view['not_there'])} of the other client's {len(view['foreign'])} points: not there")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
