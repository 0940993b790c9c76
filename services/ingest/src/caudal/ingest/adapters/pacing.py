"""No more requests to one host than it can be asked, whichever clients send them."""

from aiolimiter import AsyncLimiter


class HostPace:
    """Lets requests wait for their host's turn.

    Args:
        requests_per_s: To one host; above 0.
    """

    def __init__(self, requests_per_s: float) -> None:
        self._most = max(1.0, requests_per_s)
        self._period_s = self._most / requests_per_s
        self._limiters: dict[str, AsyncLimiter] = {}

    async def wait(self, host: str) -> None:
        """Return when it is the turn of one more request to `host`."""
        if host not in self._limiters:
            self._limiters[host] = AsyncLimiter(self._most, self._period_s)
        await self._limiters[host].acquire()
