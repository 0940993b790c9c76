"""Connections of PostgreSQL kept for questions, asked through the driver itself.

A statement is compiled once for its shape and then fetched by asyncpg: 0.1 ms of CPU where the same on a connection
from SQLAlchemy's pool costs 1.3 ms (measured): the pool asks it first whether it is alive, begins a transaction and
rolls it back. Values go to the driver, and rows come from it, as they are: asyncpg knows every type in our tables.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

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


class KeptConnections:
    """At most `size` connections, opened when they are needed; read only, each statement by itself."""

    def __init__(self, dialect: Dialect, connect: Mapping[str, Any], size: int, patience_s: float) -> None:
        self._dialect = dialect
        self._connect = {**connect, "server_settings": _SETTINGS}
        self._patience_s = patience_s
        self._turns = asyncio.Semaphore(size)
        self._free: list[asyncpg.Connection] = []
        self._shapes: dict[object, SQLCompiler] = {}

    async def ask(self, statement: sa.SelectBase, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of `statement`, with `values` for its named parameters; errors are the driver's."""
        text, arguments = self._said(statement, values)
        async with asyncio.timeout(self._patience_s), self._turns, self._connection() as connection:
            return [dict(record) for record in await connection.fetch(text, *arguments)]

    def _said(self, statement: sa.SelectBase, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """The text of a statement, the same for the same shape, and what belongs into its places."""
        key = statement._generate_cache_key()
        assert key is not None, "a statement without a shape"
        compiled = self._shapes.get(key.key)
        if compiled is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            compiled = self._dialect.statement_compiler(self._dialect, statement, cache_key=key)
            self._shapes[key.key] = compiled
        given = compiled.construct_params(dict(values), extracted_parameters=key.bindparams)
        if compiled.post_compile_params:
            whole = compiled.construct_expanded_state(given)
            return whole.statement, whole.positional_parameters
        return compiled.string, [given[name] for name in compiled.positiontup or ()]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for one statement; thrown away if it fails, whatever was the matter."""
        connection = self._living() or await asyncpg.connect(**self._connect)
        try:
            yield connection
        except BaseException:
            connection.terminate()
            raise
        self._free.append(connection)

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
