"""What a weave says of the rows it folded: what is new, what is told, what is still open."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from caudal.common.bus.messages import ProcessedValue
from caudal.common.domain.catalog import Point, Variable, VariableType
from caudal.common.domain.readings import Flag
from caudal.processor.domain.fold import EMPTY
from caudal.processor.domain.ledger import Measured, Row
from caudal.processor.domain.plans import timeline_for
from caudal.processor.domain.weave import Change, Weave

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
WELL = Point(code="P", device="d", variables=(Variable(code="total", type=VariableType.TOTALIZER),))


def row(values: Mapping[str, float | None], *flags: Flag, received: datetime = START) -> Row:
    """A row whose values all carry the same flags."""
    processed = {code: ProcessedValue(value=value, flags=list(flags)) for code, value in values.items()}
    return Row(at=START, device="d", provider="", measured={}, processed=processed, state=EMPTY, received_at=received)


def woven(*counts: float, start: datetime = START) -> list[Row]:
    """The rows of one count an hour, as the ledger keeps them."""
    weave = Weave(timeline_for(WELL))
    for i, count in enumerate(counts):
        fold(weave, start + i * HOUR, count)
    return [change.after for change in weave.take_all()]


def fold(weave: Weave, at: datetime, count: float, stored: Row | None = None) -> Row:
    """Fold a count; one for an instant that is stored came later, and stands."""
    received_at = at + HOUR if stored else at
    return weave.fold(at, stored, {"total": Measured(count, received_at, "")}, "d", "acme")


def test_a_row_is_told_when_it_is_new_or_its_values_are_others_and_not_for_its_bookkeeping() -> None:
    assert Change(None, row({"flow": 1})).is_visible
    assert Change(row({"flow": 1}), row({"flow": 2})).is_visible
    assert not Change(row({"flow": 1}), row({"flow": 1}, received=START + HOUR)).is_visible


def test_what_had_a_value_and_has_none_now_is_erased() -> None:
    before = row({"gone": 1, "emptied": 2, "kept": 3, "never": None})
    after = row({"emptied": None, "kept": 4, "never": None, "new": 5})
    assert Change(before, after).erased() == ["gone", "emptied"]
    assert Change(None, after).erased() == []


def test_an_alert_is_raised_once_for_each_flag_that_did_not_stand_before() -> None:
    dry, low = row({"flow": 0}, Flag.FLOW_ZERO), row({"flow": 0}, Flag.ALERT_LIMIT, Flag.FLOW_ZERO)
    assert Change(None, dry).raised() == [("flow", Flag.FLOW_ZERO)]
    assert Change(row({"flow": 1}), dry).raised() == [("flow", Flag.FLOW_ZERO)]
    assert Change(row({"level": 1}), dry).raised() == [("flow", Flag.FLOW_ZERO)]
    assert Change(dry, low).raised() == [("flow", Flag.ALERT_LIMIT)]
    assert Change(dry, dry).raised() == []


@pytest.mark.parametrize("verdict", [Flag.ZERO_TOTAL_RESET, Flag.IMPLAUSIBLE_RISE])
def test_nobody_is_woken_by_a_verdict_that_is_still_open(verdict: Flag) -> None:
    still_open, decided = row({"total": 1}, verdict, Flag.UNCONFIRMED), row({"total": 1}, verdict)
    assert Change(None, still_open).raised() == []
    assert Change(still_open, decided).raised() == [("total", verdict)]


def test_flags_that_only_inform_raise_no_alert() -> None:
    assert Change(None, row({"total": 1}, Flag.JITTER, Flag.GLITCH, Flag.DERIVED)).raised() == []


def test_rows_agree_when_nothing_is_in_doubt_and_the_state_is_the_stored_one() -> None:
    first, second = woven(10, 20)
    weave = Weave(timeline_for(WELL), first.state)
    fold(weave, second.at, 20, second)
    assert weave.agrees_with(second)
    weave = Weave(timeline_for(WELL), first.state)
    fold(weave, second.at, 21, second)
    assert not weave.agrees_with(second)


def test_rows_do_not_agree_while_a_count_is_in_doubt_though_the_state_is_the_same() -> None:
    first, second = woven(10, 0)
    weave = Weave(timeline_for(WELL), first.state)
    fold(weave, second.at, 0, second)
    assert weave.state == second.state
    assert not weave.agrees_with(second)


def test_what_can_still_change_is_not_settled_and_what_lies_before_it_is() -> None:
    weave = Weave(timeline_for(WELL))
    for i, count in enumerate((10, 0, 0)):
        fold(weave, START + i * HOUR, count)
    assert [change.after.at for change in weave.take_settled()] == [START]
    fold(weave, START + 3 * HOUR, 5)
    assert [change.after.at for change in weave.take_settled()] == [START + i * HOUR for i in (1, 2, 3)]


def test_doubtful_rows_before_the_start_are_open_again_and_get_the_new_verdict() -> None:
    first, *doubtful, last = woven(1000, 0, 0, 1000)
    assert [each.processed["total"].flags for each in doubtful] == [[Flag.GLITCH]] * 2
    weave = Weave(timeline_for(WELL), doubtful[-1].state)
    weave.reopen(doubtful)
    fold(weave, last.at, 50, last)
    changes = weave.take_all()
    assert [(change.after.at, change.after.processed["total"].flags) for change in changes] == [
        (START + HOUR, [Flag.ZERO_TOTAL_RESET]),
        (START + 2 * HOUR, []),
        (START + 3 * HOUR, []),
    ]
    assert changes[-1].after.processed["total"].value == 1050
    assert first.processed["total"].value == 1000


def test_a_row_keeps_the_provider_it_was_first_written_with() -> None:
    (kept,) = woven(10)
    kept = msgspec.structs.replace(kept, provider="first", device="first-device")
    written = fold(Weave(timeline_for(WELL)), kept.at, 11, kept)
    assert (written.provider, written.device) == ("first", "first-device")
