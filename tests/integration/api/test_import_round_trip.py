"""What our own lists export can be imported again: here it changes nothing, elsewhere it makes the same."""

import csv
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

from caudal.processor.adapters.sql_silences import SqlSilences
from caudal.processor.handlers.vigil import Vigil
from integration.api.house import NOW, ApiHouse, furnished, reading
from integration.api.importing import counts, imported, refusals

LISTS = {"points": "/api/points/", "variables": "/api/variables/", "owners": "/api/users/owners/"}
OF_HERE = {"id", "user", "created_at", "updated_at", "silent_since"}
"""Columns that say something of the machine which the list is of."""
TEXTS = ("=1+1", "'@río", "'quoted'", "-5", 'a, "b"; c', "Pozo\u00a0Ñuble – 2", "1,234", "NA", "true", "")
METER = {"pulses_per_liter": 0.1, "calibration_factor": 1.05}
VARIABLES: list[dict[str, Any]] = [
    {"code": "total", "type": "totalizer", "counter": {"kind": "total", "meter": METER, "register_bits": 32}},
    {"code": "level", "type": "level", "sensor_depth_m": 85.5, "sentinels": [-999, 0.5], "unit": "m", "name": "=nivel"},
    {"code": "flow", "type": "flow", "scale": 1e-7, "shift": -0.25, "limits": {"max": 1234.5, "alert_at_zero": True}},
]


async def fleet(api: ApiHouse) -> None:
    """Two clients with points that differ in all that can be said of one."""
    await furniture(api)
    for number, name in enumerate(TEXTS):
        await api.add_point(
            code=f"p-{number}", device=f"m-{number}", name=name, client="acme", variables=VARIABLES[: number % 4]
        )
    await api.add_point(
        code="odd", device="odd-1", client="other", provider="tago", type="RIVER", status="MAINTENANCE",
        latitude=-33.4569, longitude=-70.0, altitude_m=0.0, time_zone="America/Santiago", sampling_minutes=0.5,
        max_rows=7, rules={"gap_factor": 3.5, "flow_total_consistency": False},
        mapping={"time": {"path": "ts"}, "values": {"flow": {"path": "q", "scale": 2.0}}},
        source={"remote_id": "=r", "keys": {"flow": "channel 1"}},
        variables=[{"code": "flow", "type": "flow"}],
    )  # fmt: skip
    rows = "user,point,kind,permissions\nana@acme.test,p-1,PRIMARY,points:read telemetry:read\n"
    assert counts(await imported(api.admin, f"{rows}ana@acme.test,p-2,ADMINISTRATOR,\n", "owners")) == (2, 0, 0, 0)
    vigil = Vigil(SqlSilences(api.engine))
    await api.keep(reading(NOW, flow=1.0, level=3.0, total=7.0), device="m-3")
    for days in range(2):
        await vigil.look(NOW + timedelta(days=days), may_begin=True)


async def furniture(api: ApiHouse) -> None:
    """What points and owners refer to."""
    for client in ("acme", "other"):
        assert (await api.admin.post("/api/clients/", json={"code": client})).status_code == 201
    await api.add_provider("tago")
    await api.add_user(email="ana@acme.test", role="client_user", client="acme")


async def exported(api: ApiHouse) -> dict[str, str]:
    """Each list as its file."""
    return {kind: (await api.admin.get(path, params={"format": "csv"})).text for kind, path in LISTS.items()}


def lines(table: str) -> list[dict[str, str]]:
    """A table without what is of one machine alone."""
    rows = csv.DictReader(table.replace("OFFLINE", "ACTIVE").splitlines())
    return [{name: cell for name, cell in row.items() if name not in OF_HERE} for row in rows]


async def test_export_imported_again_changes_nothing(api: ApiHouse) -> None:
    await fleet(api)
    before = await exported(api)
    assert "OFFLINE" in before["points"]
    for kind, table in before.items():
        for dry in (True, False):
            report = await imported(api.admin, table, kind, dry=dry)
            assert counts(report) == (0, 0, len(lines(table)), 0), (kind, report["steps"])
            silent = "status OFFLINE, in 1 rows, is no word about the status: the system says it"
            assert report["notes"] == ([silent] if kind == "points" else [])
    assert await exported(api) == before


async def test_export_makes_the_same_on_an_empty_machine(api: ApiHouse, sqlite_template: Path, tmp_path: Path) -> None:
    await fleet(api)
    files = await exported(api)
    copy = shutil.copy(sqlite_template, tmp_path / "elsewhere.db")
    async with furnished(f"sqlite+aiosqlite:///{copy}", tmp_path / "elsewhere") as other:
        await furniture(other)
        for kind, table in files.items():
            report = await imported(other.admin, table, kind)
            assert counts(report) == (len(lines(table)), 0, 0, 0), refusals(report)
        there = await exported(other)
    for kind, table in files.items():
        assert lines(there[kind]) == lines(table)
