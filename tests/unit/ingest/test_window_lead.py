"""A window is held back while the ledger has not taken what was sent long before."""

from datetime import UTC, datetime, timedelta

import pytest

from caudal.common.domain.errors import Transient
from caudal.ingest.handlers import lead
from caudal.ingest.handlers.lead import Lead

START = datetime(2026, 3, 2, 10, tzinfo=UTC)


class Ledger:
    """Takes another chunk each time it has been asked twice; is away for the first question."""

    def __init__(self) -> None:
        self.questions = 0
        self.taken = START

    async def has_taken(self, window: str, since: datetime) -> bool:
        self.questions += 1
        if self.questions == 1:
            raise Transient("away")
        if self.questions % 2:
            self.taken += timedelta(seconds=1)
        return window == "w1" and self.taken >= since


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lead, "LOOK_AGAIN_S", 0)


async def test_a_window_is_never_further_ahead_than_it_may() -> None:
    ledger = Ledger()
    held = Lead(ledger, "w1", 300)
    for chunk in range(1, 21):
        await held.sent(chunk * 100, START + timedelta(seconds=chunk))
        taken = (ledger.taken - START) // timedelta(seconds=1) * 100
        assert chunk * 100 - taken <= 300
    assert ledger.questions > 20


async def test_a_window_that_is_close_behind_asks_nothing() -> None:
    ledger = Ledger()
    held = Lead(ledger, "w1", 300)
    await held.sent(300, START)
    assert ledger.questions == 0


async def test_without_a_bound_nothing_is_asked() -> None:
    ledger = Ledger()
    await Lead(ledger, "w1", 0).sent(1_000_000, START)
    assert ledger.questions == 0
