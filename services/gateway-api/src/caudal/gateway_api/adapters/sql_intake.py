"""What the door keeps for itself in SQL: Idempotency-Keys, messages to be told, orders and uploads."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import reading, transaction
from caudal.common.ports import Outgoing
from caudal.gateway_api.adapters.tables import commands, outbox, pushes, uploads
from caudal.gateway_api.domain.intake import PushClaim, PushState
from caudal.gateway_api.domain.telemetry import CommandState, OrderedCommand
from caudal.gateway_api.ports import Upload

ABANDONED_AFTER = timedelta(seconds=30)
"""A push that was claimed so long ago and is not published was given up by a crash."""


class SqlPushes:
    """Idempotency-Keys of pushes; of any number that come at once with one key, one gets it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def claim(self, provider: str, key: str, digest: str, push: str, at: datetime) -> PushClaim:
        row = {
            "provider": provider,
            "key": key,
            "id": push,
            "digest": digest,
            "state": PushState.CLAIMED.value,
            "claimed_at": at,
        }
        async with transaction(self._engine) as connection:
            if await _insert_unless_there(connection, row):
                return _claim_of(row, is_ours=True)
            query = sa.select(pushes).where(_push_is(provider, key)).with_for_update()
            standing = dict((await connection.execute(query)).mappings().one())
            abandoned = standing["state"] == PushState.CLAIMED and standing["claimed_at"] <= at - ABANDONED_AFTER
            if abandoned and standing["digest"] == digest:
                # The same id again, so that what may have been published is recognised.
                await connection.execute(sa.update(pushes).where(_push_is(provider, key)).values(claimed_at=at))
                return _claim_of(standing, is_ours=True)
        return _claim_of(standing, is_ours=False)

    async def published(self, provider: str, key: str) -> None:
        statement = sa.update(pushes).where(_push_is(provider, key)).values(state=PushState.PUBLISHED.value)
        async with transaction(self._engine) as connection:
            await connection.execute(statement)

    async def release(self, provider: str, key: str, push: str) -> None:
        mine = sa.and_(_push_is(provider, key), pushes.c.id == push, pushes.c.state == PushState.CLAIMED.value)
        async with transaction(self._engine) as connection:
            await connection.execute(sa.delete(pushes).where(mine))

    async def expire(self, now: datetime, age: timedelta) -> int:
        async with transaction(self._engine) as connection:
            return (await connection.execute(sa.delete(pushes).where(pushes.c.claimed_at < now - age))).rowcount


def _push_is(provider: str, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(pushes.c.provider == provider, pushes.c.key == key)


async def _insert_unless_there(connection: AsyncConnection, row: dict[str, Any]) -> bool:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return (await connection.execute(insert(pushes).values(row).on_conflict_do_nothing())).rowcount > 0


def _claim_of(row: Mapping[str, Any], is_ours: bool) -> PushClaim:
    return PushClaim(
        id=row["id"],
        digest=row["digest"],
        state=PushState(row["state"]),
        claimed_at=row["claimed_at"],
        is_ours=is_ours,
    )


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
        }
        async with transaction(self._engine) as connection:
            await connection.execute(sa.insert(commands).values(row))

    async def finished(self, command: str, ok: bool, detail: Mapping[str, Any], at: datetime) -> OrderedCommand | None:
        answer = {
            "state": (CommandState.DONE if ok else CommandState.FAILED).value,
            "detail": msgspec.json.encode(dict(detail)).decode(),
            "finished_at": at,
        }
        unanswered = sa.and_(commands.c.id == command, commands.c.state == CommandState.SENT.value)
        async with transaction(self._engine) as connection:
            done = await connection.execute(sa.update(commands).where(unanswered).values(answer))
        return await self.one(command) if done.rowcount else None

    async def one(self, command: str) -> OrderedCommand | None:
        return await self._first(sa.select(commands).where(commands.c.id == command))

    async def latest_run(self) -> OrderedCommand | None:
        query = sa.select(commands).where(commands.c.action == "run", commands.c.state == CommandState.DONE.value)
        return await self._first(query.order_by(commands.c.ordered_at.desc()).limit(1))

    async def expire(self, now: datetime, age: timedelta) -> int:
        async with transaction(self._engine) as connection:
            return (await connection.execute(sa.delete(commands).where(commands.c.ordered_at < now - age))).rowcount

    async def _first(self, query: sa.Select[Any]) -> OrderedCommand | None:
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            return None
        fields = {name: row[name] for name in ("id", "action", "target", "ordered_by", "ordered_at", "finished_at")}
        return OrderedCommand(**fields, state=CommandState(row["state"]), detail=msgspec.json.decode(row["detail"]))


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
