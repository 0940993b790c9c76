"""Background work of all services."""

from collections.abc import Sequence
from typing import Protocol

from caudal.gateway_api.domain.queues import Queue


class Queues(Protocol):
    """The queues that there are."""

    async def all(self) -> Sequence[Queue]:
        """Each with how it is now, in order of name; a Redis that is away is said and not raised.

        Raises:
            Transient: the database is away.
        """
        ...
