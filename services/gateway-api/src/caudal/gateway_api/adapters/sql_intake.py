"""What the door keeps for itself in SQL: messages to be told, orders and uploads."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import reading, transaction
from caudal.common.adapters.sql_reads import ask
from caudal.common.ports import Outgoing
from caudal.gateway_api.adapters.sql_scope import SCOPES
from caudal.gateway_api.adapters.tables import commands, outbox, uploads
from caudal.gateway_api.domain.permissions import EVERYWHERE, Scope
from caudal.gateway_api.domain.telemetry import CommandState, OrderedCommand
from caudal.gateway_api.ports import Upload

FORGOTTEN_AT_ONCE = 1000
"""Rows of one statement; a database takes only so many values."""


class SqlOutbox:
    """Messages committed with a change and not yet published."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def pending(self, limit: int) -> list[tuple[int, Outgoing]]:
        query = sa.select(outbox).order_by(outbox.c.id).limit(limit)
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [(row["id"], Outgoing(row["topic"], row["payload"], bool(row["retain"]))) for row in rows]

    async def published(self, numbers: Sequence[int]) -> None:
        async with transaction(self._engine) as connection:
            await connection.execute(sa.delete(outbox).where(outbox.c.id.in_(numbers)))


class SqlCommands:
    """Orders to other services and their answers."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def sent(self, command: OrderedCommand) -> None:
        row = {
            "id": command.id,
            "action": command.action,
            "target": command.target,
            "ordered_by": command.ordered_by,
            "ordered_at": command.ordered_at,
            "state": command.state.value,
            "detail": msgspec.json.encode(command.detail).decode(),
            "finished_at": command.finished_at,
            "file": command.file,
            "client": command.client,
        }
        async with transaction(self._engine) as connection:
            await connection.execute(sa.insert(commands).values(row))

    async def finished(self, command: str, ok: bool, detail: Mapping[str, Any], at: datetime) -> OrderedCommand | None:
        answer = {
            "state": (CommandState.DONE if ok else CommandState.FAILED).value,
            "detail": msgspec.json.encode(dict(detail)).decode(),
            "finished_at": at,
        }
        async with transaction(self._engine) as connection:
            done = await connection.execute(sa.update(commands).where(_unanswered(command)).values(answer))
        return await self.one(command, EVERYWHERE) if done.rowcount else None

    async def progressed(self, command: str, detail: Mapping[str, Any]) -> None:
        far = {"detail": msgspec.json.encode(dict(detail)).decode()}
        async with transaction(self._engine) as connection:
            await connection.execute(sa.update(commands).where(_unanswered(command)).values(far))

    async def one(self, command: str, scope: Scope) -> OrderedCommand | None:
        return await self._first(sa.select(commands).where(commands.c.id == command, SCOPES["order"](scope)))

    async def latest_run(self) -> OrderedCommand | None:
        query = sa.select(commands).where(commands.c.action == "run", commands.c.state == CommandState.DONE.value)
        return await self._first(query.order_by(commands.c.ordered_at.desc()).limit(1))

    async def expire(self, now: datetime, age: timedelta) -> int:
        async with transaction(self._engine) as connection:
            return (await connection.execute(sa.delete(commands).where(commands.c.ordered_at < now - age))).rowcount

    async def files_in_use(self, since: datetime) -> frozenset[str]:
        waiting = commands.c.state == CommandState.SENT.value
        query = sa.select(commands.c.file).where(
            commands.c.file.is_not(None), sa.or_(waiting, commands.c.finished_at >= since)
        )
        return frozenset(row["file"] for row in await ask(self._engine, query))

    async def _first(self, query: sa.Select[Any]) -> OrderedCommand | None:
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            return None
        fields = {name: row[name] for name in row if name not in ("state", "detail")}
        return OrderedCommand(**fields, state=CommandState(row["state"]), detail=msgspec.json.decode(row["detail"]))


def _unanswered(command: str) -> sa.ColumnElement[bool]:
    return sa.and_(commands.c.id == command, commands.c.state == CommandState.SENT.value)


class SqlUploads:
    """What was handed in, so that the last of each user is known."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, upload: Upload) -> None:
        row = {
            "path": upload.path,
            "format": upload.format,
            "size": upload.size,
            "uploaded_by": upload.uploaded_by,
            "uploaded_at": upload.uploaded_at,
        }
        async with transaction(self._engine) as connection:
            await connection.execute(sa.insert(uploads).values(row))

    async def last(self, uploaded_by: str) -> Upload | None:
        query = sa.select(uploads).where(uploads.c.uploaded_by == uploaded_by).order_by(uploads.c.id.desc()).limit(1)
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return Upload(**{name: row[name] for name in row if name != "id"}) if row else None

    async def forget(self, before: datetime, in_use: Set[str]) -> None:
        old = sa.select(uploads.c.id, uploads.c.path).where(uploads.c.uploaded_at < before)
        gone = [row["id"] for row in await ask(self._engine, old) if PurePath(row["path"]).name not in in_use]
        async with transaction(self._engine) as connection:
            for start in range(0, len(gone), FORGOTTEN_AT_ONCE):
                some = gone[start : start + FORGOTTEN_AT_ONCE]
                await connection.execute(sa.delete(uploads).where(uploads.c.id.in_(some)))
