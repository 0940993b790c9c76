"""Providers in memory, and what a round of asking them needs, for tests of handlers."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from caudal.common.domain.catalog import Point, PointSource, Provider
from caudal.common.domain.errors import Permanent
from caudal.ingest.ports import Answered, Failed, NoData, Outcome, ProviderClient, Question, RemoteReading, Vault


class MemoryProvider:
    """Has rows by remote id, key and instant, and gives them a day at a time; `trouble` is answered instead."""

    def __init__(self, page: timedelta = timedelta(days=1)) -> None:
        self.rows: dict[tuple[str, str], dict[datetime, float]] = {}
        self.page = page
        self.trouble: Callable[[Question], Outcome | None] = lambda question: None
        self.questions: list[Question] = []

    def measure(self, remote_id: str, key: str, at: datetime, value: float) -> None:
        """Have one more row."""
        self.rows.setdefault((remote_id, key), {})[at] = value

    async def latest(self, question: Question) -> Outcome:
        """As `ProviderClient`."""
        self.questions.append(question)
        if trouble := self.trouble(question):
            return trouble
        found = [
            RemoteReading(measured_at=max(rows), values={code: rows[max(rows)]}, payload="{}")
            for code, key in question.keys.items()
            if (rows := self.rows.get((question.remote_id, key)))
        ]
        return Answered(readings=found, raw="[]") if found else NoData(reason="nothing")

    async def history(self, question: Question) -> AsyncIterator[Outcome]:
        """As `ProviderClient`."""
        self.questions.append(question)
        assert question.start is not None
        assert question.end is not None
        start = question.start
        while start < question.end:
            end = min(start + self.page, question.end)
            yield self.trouble(question) or self._page(question, start, end)
            start = end

    def _page(self, question: Question, start: datetime, end: datetime) -> Outcome:
        found: dict[datetime, dict[str, int | float | str | bool]] = {}
        for code, key in question.keys.items():
            for at, value in self.rows.get((question.remote_id, key), {}).items():
                if start <= at < end:
                    found.setdefault(at, {})[code] = value
        if not found:
            return NoData(reason="nothing", complete_until=end)
        readings = [RemoteReading(measured_at=at, values=found[at], payload="{}") for at in sorted(found)]
        return Answered(readings=readings, complete_until=end)


class MemoryClients:
    """Clients by provider's code."""

    def __init__(self, **clients: ProviderClient) -> None:
        self.clients = clients
        self.fault: Exception = Permanent("connection.base_url: is missing")
        """What comes of a provider without a client."""
        self.marks: list[int] = []
        """Of the secrets that clients were made with."""

    def of(self, provider: Provider, point: str, vault: Vault) -> ProviderClient:
        """As `ProviderClients`."""
        self.marks.append(vault.mark("provider", provider.code))
        if provider.code not in self.clients:
            raise self.fault
        return self.clients[provider.code]


class MemoryFleet:
    """Who is to be asked for what; the vault is empty."""

    def __init__(self, providers: Sequence[Provider], points: Sequence[Point]) -> None:
        self.providers_now, self.points = providers, points
        self.marks: dict[str, int] = {}
        self.others: list[str] = []
        """Points that have no source."""
        self.questions: list[None] = []
        """As often as it was looked at, to the end."""

    async def providers(self) -> Sequence[Provider]:
        """As `Fleet`."""
        return self.providers_now

    async def sourced(self) -> Sequence[Point]:
        """As `Fleet`."""
        return self.points

    async def codes(self) -> Sequence[str]:
        """As `Fleet`."""
        return [*self.others, *(point.code for point in self.points)]

    async def vault(self) -> Vault:
        """As `Secrets`."""
        self.questions.append(None)
        return EmptyVault(dict(self.marks))


class EmptyVault:
    """Knows no secret; `marks` says which were set anew."""

    def __init__(self, marks: dict[str, int] | None = None) -> None:
        self.marks = marks or {}

    def of(self, owner_kind: str, owner: str) -> dict[str, str]:
        """As `Vault`."""
        return {}

    def mark(self, owner_kind: str, owner: str) -> int:
        """As `Vault`."""
        return self.marks.get(owner, 0)


def asked_provider(code: str) -> Provider:
    """A provider that is asked."""
    return Provider(code=code, api="generic")


def sourced_point(code: str, provider: str, keys: Mapping[str, str], sampling_minutes: float = 5.0) -> Point:
    """A point whose provider calls it by its code."""
    source = PointSource(remote_id=code, keys=dict(keys))
    return Point(code=code, device=f"D-{code}", provider=provider, sampling_minutes=sampling_minutes, source=source)


def away(question: Question) -> Outcome:
    """What a provider answers that is down."""
    return Failed(reason="cannot be reached", is_transient=True)
