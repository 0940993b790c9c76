"""Connections of PostgreSQL kept for questions, asked through the driver itself.

A statement is compiled once for its shape and then fetched by asyncpg: 0.1 ms of CPU where the same on a connection
from SQLAlchemy's pool costs 1.3 ms (measured): the pool asks it first whether it is alive, begins a transaction and
rolls it back. Values go to the driver, and rows come from it, as they are: asyncpg knows every type in our tables.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg
import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

MAX_SHAPES = 500
"""How many statements stay compiled; whoever asks chooses filters and orders."""
_CLOSING_S = 2.0
_SETTINGS = {"default_transaction_read_only": "on", "jit": "off", "max_parallel_workers_per_gather": "0"}
"""What PostgreSQL guesses to be large (every unfolding of JSON) it would compile, or share with workers that have to be
started: milliseconds for questions that take a tenth of one."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A statement, ready to be sent."""

    text: str
    names: Sequence[str]
    """Of its values, in order."""
    constants: Mapping[str, Any]
    """The values that stand in the statement itself."""


class KeptConnections:
    """At most `size` connections, opened when they are needed; read only, each statement by itself."""

    def __init__(self, dialect: Dialect, connect: Mapping[str, Any], size: int, patience_s: float) -> None:
        self._dialect = dialect
        self._connect = {**connect, "server_settings": _SETTINGS}
        self._patience_s = patience_s
        self._turns = asyncio.Semaphore(size)
        self._free: list[asyncpg.Connection] = []
        self._shapes: dict[object, SQLCompiler] = {}
        self._seen: WeakKeyDictionary[sa.SelectBase, _Seen] = WeakKeyDictionary()
        """Statements that live on: they are known by themselves, and need no look at their shape."""

    async def ask(self, statement: sa.SelectBase, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of `statement`, with `values` for its named parameters; errors are the driver's."""
        text, arguments = self._said(statement, values)
        until = time.monotonic() + self._patience_s
        connection = await self._connection()
        try:
            records = await connection.fetch(text, *arguments, timeout=until - time.monotonic())
        except BaseException:
            # Whatever was the matter: what it would say next is not to be relied on.
            connection.terminate()
            raise
        else:
            self._free.append(connection)
        finally:
            self._turns.release()
        return [dict(record) for record in records]

    def _said(self, statement: sa.SelectBase, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """The text of a statement, and what belongs into its places."""
        seen = self._seen.get(statement)
        if seen is None:
            return self._compiled(statement, values)
        given = {**seen.constants, **values}
        return seen.text, [given[name] for name in seen.names]

    def _compiled(self, statement: sa.SelectBase, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """The same for a statement that was not seen before; its text is that of others of its shape."""
        key = statement._generate_cache_key()
        assert key is not None, "a statement without a shape"
        compiled = self._shapes.get(key.key)
        if compiled is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            compiled = self._dialect.statement_compiler(self._dialect, statement, cache_key=key)
            self._shapes[key.key] = compiled
        given: Mapping[str, Any] = compiled.construct_params(dict(values), extracted_parameters=key.bindparams)
        text = compiled.string
        names: Sequence[str] = compiled.positiontup or ()
        if compiled.post_compile_params or compiled.literal_execute_params:
            whole = compiled.construct_expanded_state(dict(given))
            text, names, given = whole.statement, whole.positiontup or (), whole.parameters
        if not compiled.post_compile_params:
            constants = {name: given[name] for name in given.keys() - values.keys()}
            self._seen[statement] = _Seen(text, names, constants)
        return text, [given[name] for name in names]

    async def _connection(self) -> asyncpg.Connection:
        """A connection, and with it one of the turns."""
        async with asyncio.timeout(self._patience_s):
            await self._turns.acquire()
            try:
                return self._living() or await asyncpg.connect(**self._connect)
            except BaseException:
                self._turns.release()
                raise

    def _living(self) -> asyncpg.Connection | None:
        """A free connection that the server has not closed."""
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
        return None

    async def aclose(self) -> None:
        """Close all connections; the next question opens another."""
        free, self._free = self._free, []
        await asyncio.gather(*(connection.close(timeout=_CLOSING_S) for connection in free), return_exceptions=True)
