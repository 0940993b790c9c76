"""argon2 off the event loop, a few at a time."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from caudal.common.domain.errors import Transient

AT_ONCE = 2
"""Each takes 64 MiB and a core."""
WAIT_S = 5.0
"""How long somebody waits for a turn."""


class Argon2Passwords:
    """Hashes and compares; who has no hash costs as much as who has one."""

    def __init__(self, hasher: Argon2Hasher | None = None) -> None:
        self._hash = PasswordHash((hasher or Argon2Hasher(),))
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def hashed(self, password: str) -> str:
        async with self._own_turn():
            return await asyncio.to_thread(self._hash.hash, password)

    async def match(self, password: str, hashed: str | None) -> bool:
        async with self._own_turn():
            matches = await asyncio.to_thread(self._compare, password, hashed)
        return matches and bool(hashed)

    @asynccontextmanager
    async def _own_turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Transient("too many passwords at once") from error
        try:
            yield
        finally:
            self._turn.release()

    def _compare(self, password: str, hashed: str | None) -> bool:
        nobody = self._nobody
        return self._hash.verify(password, hashed or nobody)

    @cached_property
    def _nobody(self) -> str:
        """A hash of what nobody can type, made at the first login whoever it is of."""
        return self._hash.hash(secrets.token_hex(32))
