"""Background work, as those who look after the platform see it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class QueueClock(StrEnum):
    """What rings for the jobs of a queue."""

    REDIS = "redis"
    """arq's clock in Redis, and the service's own one behind it."""
    AWAY = "away"
    """Redis does not answer; the service's own clock goes on alone."""
    OWN = "own"
    """The platform has no Redis; the service's own clock rings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One queue of a service, and what became of its jobs."""

    name: str
    service: str
    job: str
    """What is done: `poll` asks providers."""
    clock: QueueClock
    waiting: int | None
    """Jobs that are due or will be; null: nobody can tell."""
    running: int | None
    """Jobs in hand, as the worker said last; null: it says nothing."""
    completed: int | None
    """Since the worker began; null: it says nothing."""
    failed: int | None
    """Since the worker began; null: it says nothing."""
    retried: int | None
    """Since the worker began; null: it says nothing."""
    last_begun_at: datetime | None
    """When the job began last, whichever clock rang; null: never, or it was cut short."""
    is_under_way: bool
    """Whether it is being done now."""
