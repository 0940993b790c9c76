"""Points and variables that fall silent: OFFLINE and stale by themselves, and back by themselves; told once each."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from caudal.common.adapters.sql import transaction
from caudal.common.bus.codec import decode
from caudal.common.bus.messages import Alert
from caudal.processor.adapters.rows import outbox_entries
from caudal.processor.adapters.sql_silences import SqlSilences
from caudal.processor.handlers.vigil import Vigil
from integration.api.house import NOW, ApiHouse, reading

HOUR = timedelta(hours=1)


class Watch:
    """A vigil over the points of a house, whose clock is ours."""

    def __init__(self, api: ApiHouse) -> None:
        self.api = api
        self.now = NOW
        self.restart()

    def restart(self) -> None:
        """What was remembered is lost."""
        self._vigil = Vigil(SqlSilences(self.api.engine))

    async def begin(self) -> None:
        """Before anything is taken in that waited for a processor."""
        await self._vigil.begin()

    async def look(self, hours: float = 0, *, may_begin: bool = True) -> None:
        """So many hours later."""
        self.now += HOUR * hours
        await self._vigil.look(self.now, may_begin=may_begin)

    async def heard(self, hours_ago: float = 0, device: str = "meter-1", **values: float) -> None:
        """A reading that was measured so many hours ago."""
        await self.api.keep(reading(self.now - HOUR * hours_ago, **values), device=device)

    async def point(self, code: str = "well-1") -> dict[str, Any]:
        shown: dict[str, Any] = (await self.api.reader.get(f"/api/points/{code}")).json()
        return shown

    async def listed(self, query: str) -> list[str]:
        answer = await self.api.reader.get(f"/api/points/?{query}")
        assert answer.status_code == 200, answer.text
        return [point["code"] for point in answer.json()["items"]]

    async def told(self) -> list[tuple[str, bool]]:
        """Variables of which an alert was told, and whether that it ended."""
        bodies = await self.api.rows("select body from processor_outbox where sink = 'bus' order by id")
        messages = [message for (body,) in bodies for entry in outbox_entries(body) for message in entry.messages]
        alerts = [decode(each.payload, Alert) for each in messages if each.topic.endswith("/alert")]
        return [(alert.variable, alert.ended_at is not None) for alert in alerts if alert.rule == "SILENCE"]


@pytest.fixture
async def watch(api: ApiHouse) -> Watch:
    """A well that is due every three hours and has just spoken."""
    await api.add_point()
    watch = Watch(api)
    await watch.heard(total=1, flow=1)
    await watch.look()
    return watch


async def test_silent_point_is_offline_and_comes_back_by_itself(watch: Watch) -> None:
    assert ((await watch.point())["status"], await watch.told()) == ("ACTIVE", [])
    for _ in range(3):
        await watch.look(hours=2)
    point = await watch.point()
    assert (point["status"], point["silent_since"], point["stale"]) == ("OFFLINE", "2026-03-02T10:00:00Z", [])
    assert await watch.listed("status=OFFLINE") == ["well-1"]
    assert await watch.listed("status=ACTIVE") == []
    await watch.heard(total=2, flow=1)
    await watch.look()
    point = await watch.point()
    assert (point["status"], point["silent_since"]) == ("ACTIVE", None)
    assert await watch.told() == [("", False), ("", True)]


async def test_what_was_measured_long_ago_breaks_no_silence(watch: Watch) -> None:
    await watch.look(hours=5)
    await watch.heard(hours_ago=4, total=2, flow=1)
    await watch.look()
    assert (await watch.point())["status"] == "OFFLINE"
    await watch.heard(hours_ago=40, total=1, flow=1)
    await watch.look(hours=1)
    assert await watch.told() == [("", False)]


async def test_dead_totalizer_is_stale_beside_live_flow(watch: Watch) -> None:
    for _ in range(5):
        watch.now += HOUR
        await watch.heard(flow=2)
        await watch.look()
    point = await watch.point()
    assert (point["status"], point["stale"]) == ("ACTIVE", [{"variable": "total", "since": "2026-03-02T10:00:00Z"}])
    assert (await watch.listed("stale=true"), await watch.listed("stale=false")) == (["well-1"], [])
    watch.restart()
    await watch.look()
    assert await watch.told() == [("total", False)]
    await watch.heard(total=3)
    await watch.look()
    assert (await watch.point())["stale"] == []
    assert await watch.told() == [("total", False), ("total", True)]


async def test_variables_that_come_in_turn_are_not_stale(watch: Watch) -> None:
    for turn in range(10):
        watch.now += HOUR
        await watch.heard(**({"total": turn} if turn % 2 else {"flow": 1.0}))
        if turn % 3 == 0:
            watch.restart()
        await watch.look()
    assert await watch.told() == []


async def test_what_fell_silent_while_nobody_watched_is_missed_however_much_came_meanwhile(watch: Watch) -> None:
    watch.restart()
    await watch.begin()
    watch.now += HOUR * 10
    rows = [reading(watch.now - HOUR * 9 + HOUR * 9 * each / 300, flow=1) for each in range(301)]
    await watch.api.keep(*rows)
    await watch.look()
    assert [each["variable"] for each in (await watch.point())["stale"]] == ["total"]
    assert (await watch.point())["stale"][0]["since"] == NOW.isoformat().replace("+00:00", "Z")
    await watch.heard(total=2)
    await watch.look()
    assert await watch.told() == [("total", False), ("total", True)]


async def test_what_never_spoke_is_not_missed(watch: Watch) -> None:
    await watch.api.add_point(code="mute", device="meter-2")
    await watch.api.admin.post("/api/variables/", json={"point": "well-1", "code": "level", "type": "level"})
    await watch.look(hours=1)
    assert ((await watch.point("mute"))["status"], (await watch.point())["stale"]) == ("ACTIVE", [])


@pytest.mark.parametrize("status", ["MAINTENANCE", "INACTIVE"])
async def test_point_that_is_meant_to_be_silent_is_not_judged(watch: Watch, status: str) -> None:
    await watch.look(hours=5)
    await watch.api.admin.patch("/api/points/well-1", json={"status": status})
    point = await watch.point()
    assert (point["status"], point["silent_since"]) == (status, None)
    assert await watch.listed(f"status={status}") == ["well-1"]
    await watch.look(hours=5)
    assert await watch.told() == [("", False), ("", True)]


async def test_how_long_a_point_may_be_silent_is_its_own(watch: Watch) -> None:
    body = {"sampling_minutes": 10, "rules": {"gap_factor": 2}}
    await watch.api.admin.patch("/api/points/well-1", json=body)
    await watch.look(hours=0.3)
    assert (await watch.point())["status"] == "ACTIVE"
    await watch.look(hours=0.1)
    assert (await watch.point())["status"] == "OFFLINE"


async def test_a_point_that_is_never_due_lets_others_fall_silent(watch: Watch) -> None:
    await watch.api.add_point(code="well-2", device="meter-2")
    await watch.heard(device="meter-2", total=1)
    async with transaction(watch.api.engine) as connection:
        absurd = """update points set rules = '{"gap_factor": 1e300}' where code = 'well-2'"""
        await connection.execute(sa.text(absurd))
    await watch.look(hours=5)
    assert await watch.listed("status=OFFLINE") == ["well-1"]


async def test_nobody_falls_silent_while_we_have_not_heard_what_was_said(watch: Watch) -> None:
    await watch.look(hours=5, may_begin=False)
    assert await watch.told() == []


async def test_two_replicas_tell_it_once(watch: Watch) -> None:
    other = Watch(watch.api)
    watch.now += HOUR * 5
    silences = SqlSilences(watch.api.engine)
    seen = await silences.standing()
    await watch.look()
    await other.look(hours=5)
    [silence] = await silences.standing()
    assert (seen, await silences.begin([silence])) == ([], 0)
    assert [await silences.end([silence], watch.now) for _ in range(2)] == [1, 0]
    assert await watch.told() == [("", False), ("", True)]


async def test_a_point_that_is_deleted_is_silent_no_more(watch: Watch) -> None:
    await watch.look(hours=5)
    await watch.api.admin.delete("/api/points/well-1")
    await watch.look()
    assert await watch.told() == [("", False), ("", True)]
