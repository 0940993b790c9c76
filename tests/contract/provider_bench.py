"""What the tests of provider clients measure with."""

from datetime import UTC, datetime, timedelta

from caudal.ingest.ports import Answered, Failed, Outcome, ProviderClient, Question, RemoteReading
from providers.cases import Case

NOW = datetime(2026, 3, 5, 14, 0, tzinfo=UTC)
START = NOW - timedelta(days=3)


def before(**ago: float) -> datetime:
    """So long before now."""
    return NOW - timedelta(**ago)


async def pages_of(client: ProviderClient, question: Question) -> list[Outcome]:
    """A whole history."""
    return [page async for page in client.history(question)]


def readings_in(pages: list[Outcome]) -> list[RemoteReading]:
    """What was read, in order."""
    return [reading for page in pages if isinstance(page, Answered) for reading in page.readings]


def values_in(pages: list[Outcome]) -> set[tuple[datetime, str, object]]:
    """(instant, variable, value) of all that was read."""
    return {
        (reading.measured_at, code, value) for reading in readings_in(pages) for code, value in reading.values.items()
    }


def fill(case: Case, rows: int) -> set[tuple[datetime, str, object]]:
    """`rows` readings from START to NOW, some without all variables."""
    step = (NOW - START) / rows
    expected = set()
    for number in range(rows):
        at = START + number * timedelta(seconds=int(step.total_seconds()))
        values = {"total": 1000 + number, "flow": 0.5 * (number % 3)} | ({"level": 30} if number % 4 else {})
        for code, value in values.items():
            case.put(code, at, value)
            expected.add((at, code, case.given(value)))
    return expected


def check_pages(pages: list[Outcome], start: datetime, end: datetime) -> None:
    """See that each page keeps what it says about being complete."""
    known = start
    for page in pages:
        assert not isinstance(page, Failed)
        assert page.complete_until is not None
        assert page.complete_until > known
        for reading in readings_in([page]):
            assert known <= reading.measured_at < page.complete_until
        known = page.complete_until
    assert known == end
