"""No more requests to one host than it can be asked, whichever clients send them."""

from aiolimiter import AsyncLimiter


class HostPace:
    """Lets requests wait for their host's turn.

    Args:
        requests_per_s: To one host; above 0.
    """

    def __init__(self, requests_per_s: float) -> None:
        self._requests_per_s = requests_per_s
        self._limiters: dict[tuple[str, float], AsyncLimiter] = {}

    async def wait(self, host: str, requests_per_s: float | None = None) -> None:
        """Return when it is the turn of one more request to `host`; `requests_per_s`: of which there may be fewer."""
        if requests_per_s is not None:
            await self._limiter(host, requests_per_s).acquire()
        await self._limiter(host, self._requests_per_s).acquire()

    def _limiter(self, host: str, rate: float) -> AsyncLimiter:
        if (host, rate) not in self._limiters:
            most = max(1.0, rate)
            self._limiters[host, rate] = AsyncLimiter(most, most / rate)
        return self._limiters[host, rate]
