"""The audit log's chain: whatever somebody does to it behind our back is found, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from caudal.gateway_api.adapters.sql_checks import SqlAuditChain, migrations, missing_tables
from caudal.gateway_api.domain.audit import CHAINED
from caudal.gateway_api.handlers import verification
from caudal.gateway_api.handlers.verification import Walked, walk
from caudal.gateway_api.main import VERSION_TABLE
from integration.api.house import ApiHouse

pytestmark = pytest.mark.changes_tables
Tamper = Callable[..., Awaitable[Walked]]
LINES = 6


@pytest.fixture
async def tampered(api: ApiHouse, monkeypatch: pytest.MonkeyPatch) -> Tamper:
    """A log of some lines; runs statements on it as somebody would who owns the database, and walks it."""
    monkeypatch.setattr(verification, "AT_ONCE", 4)
    await api.add_point()
    for number in range(LINES - 1):
        await api.admin.patch("/api/points/well-1", json={"name": f"Pozo {number} ñ"})

    async def run(*statements: str) -> Walked:
        async with api.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.exec_driver_sql("alter table audit_log disable trigger all")
            else:
                for name in ("audit_log_no_update", "audit_log_no_delete"):
                    await connection.exec_driver_sql(f"drop trigger {name}")
            for statement in statements:
                await connection.exec_driver_sql(statement)
        return await walk(SqlAuditChain(api.engine))

    return run


async def test_log_that_nobody_touched_holds(tampered: Tamper, api: ApiHouse) -> None:
    walked = await tampered()
    ((head,),) = await api.rows(f"select hash from audit_log where number = {LINES}")
    assert walked == Walked(LINES, head)
    assert (await walk(SqlAuditChain(api.engine), (LINES, head))).broken is None


@pytest.mark.parametrize("column", [*(name for name in CHAINED if name not in ("number", "at")), "hash"])
async def test_changing_any_column_of_any_line_is_found(tampered: Tamper, column: str) -> None:
    changed = f"update audit_log set {column} = 'x' where number = 3"
    walked = await tampered(changed)
    assert walked.lines == 2
    assert walked.broken


@pytest.mark.parametrize("statement", ["set at = '2026-03-02T09:00:00.000000Z'", "set number = 99"])
async def test_changing_its_time_or_number_is_found(tampered: Tamper, statement: str) -> None:
    assert (await tampered(f"update audit_log {statement} where number = 3")).lines == 2


async def test_nothing_in_the_place_of_something_is_found(tampered: Tamper) -> None:
    assert (await tampered("update audit_log set after = null where number = 2")).lines == 1


async def test_taking_a_line_out_is_found(tampered: Tamper) -> None:
    walked = await tampered("delete from audit_log where number = 3")
    assert (walked.lines, walked.broken) == (2, "line 3 is missing")


async def test_taking_a_line_out_and_closing_the_gap_is_found(tampered: Tamper) -> None:
    closing = [f"update audit_log set number = {number - 1} where number = {number}" for number in (4, 5, 6)]
    walked = await tampered("delete from audit_log where number = 3", *closing)
    assert (walked.lines, walked.broken) == (2, "line 3 does not follow the line before it")


async def test_exchanging_two_lines_is_found(tampered: Tamper) -> None:
    moves = [(2, 99), (3, 2), (99, 3)]
    walked = await tampered(*(f"update audit_log set number = {to} where number = {of}" for of, to in moves))
    assert walked.lines == 1


async def test_cutting_the_end_off_is_found_by_who_noted_it(tampered: Tamper, api: ApiHouse) -> None:
    ((noted,),) = await api.rows(f"select hash from audit_log where number = {LINES}")
    assert (await tampered(f"delete from audit_log where number = {LINES}")).broken is None
    walked = await walk(SqlAuditChain(api.engine), (LINES, noted))
    assert walked.broken == f"line {LINES} was noted and is not there: the end was cut off"
    assert (await walk(SqlAuditChain(api.engine), (2, noted))).broken == "line 2 is not the one that was noted"


async def test_tables_and_migrations_are_looked_at(api: ApiHouse) -> None:
    found, wanted = await migrations(api.engine, "caudal.gateway_api", VERSION_TABLE)
    assert found == wanted != ""
    assert await missing_tables(api.engine) == []
    async with api.engine.begin() as connection:
        await connection.exec_driver_sql("drop table password_resets")
    assert await missing_tables(api.engine) == ["password_resets"]


async def test_writers_at_once_leave_a_chain_that_holds(api: ApiHouse) -> None:
    def body(number: int) -> dict[str, Any]:
        return {"code": f"w{number}", "device": f"m{number}"}

    await asyncio.gather(*(api.admin.post("/api/points/", json=body(number)) for number in range(20)))
    walked = await walk(SqlAuditChain(api.engine))
    assert (walked.lines, walked.broken) == (20, None)
