"""What goes wrong at the door, as facts; entrypoints/errors.py knows the HTTP status of each."""

import math

from caudal.common.domain.errors import Permanent


class Unauthorized(Permanent):
    """Nobody known is asking: no token, or one that proves nothing."""


class Forbidden(Permanent):
    """The caller is known and may not."""


class Conflict(Permanent):
    """What is asked for contradicts what is there; `field` names where, if one field does."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field


class Stale(Permanent):
    """What would be changed is no longer what the caller has seen."""


class TooManyAttempts(Permanent):
    """Too many failed logins; the next may come after `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many attempts: try again in {max(1, math.ceil(retry_after_s))} s")
        self.retry_after_s = retry_after_s


class TooManyRequests(Permanent):
    """Asked too often; the next may come after `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many requests: try again in {max(1, math.ceil(retry_after_s))} s")
        self.retry_after_s = retry_after_s


class UnsupportedMedia(Permanent):
    """A body in a form that this route doesn't read."""


class OutOfSpace(Permanent):
    """The disk is too full to keep what was sent."""


class OrderFailed(Permanent):
    """Another service could not do what it was told; `field` names what it could not use, if it says so."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field
