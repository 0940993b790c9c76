"""What the world is told of changed rows: events on the bus, and rows for the telemetry store."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from caudal.common.bus.codec import encode
from caudal.common.bus.messages import Alert, ProcessedReading, ProcessedReadings
from caudal.common.bus.topics import TELEMETRY_ALERT, TELEMETRY_PROCESSED
from caudal.common.domain.catalog import Point
from caudal.common.domain.readings import Flag
from caudal.common.ports import Outgoing, SeriesRow
from caudal.processor.domain.ledger import Row
from caudal.processor.domain.weave import Change

READINGS_PER_MESSAGE = 200
"""Keeps a bundle of processed readings well below the broker's limit: a reading takes some 400 bytes."""

CRITICAL = frozenset({Flag.ZERO_TOTAL_RESET, Flag.LEVEL_MAX_RESET, Flag.OUT_OF_RANGE})
"""Alerting flags that are told as `critical`; the others as `warning`."""


class Publication(msgspec.Struct, frozen=True):
    """What follows from a run of changes of one point."""

    messages: list[Outgoing]
    rows: list[SeriesRow]


def publications(point: Point, visible: Sequence[Change]) -> Iterator[Publication]:
    """Visible changes as messages and rows, a bundle at a time, in the order of measurement."""
    for first in range(0, len(visible), READINGS_PER_MESSAGE):
        bundle = visible[first : first + READINGS_PER_MESSAGE]
        yield Publication(
            messages=[_processed(point, bundle), *_alerts(point, bundle)],
            rows=[row for change in bundle if (row := series_row(point, change)) is not None],
        )


def _processed(point: Point, bundle: Iterable[Change]) -> Outgoing:
    readings = [
        ProcessedReading(
            measured_at=change.after.at,
            received_at=change.after.received_at,
            values=change.after.processed,
            amends=change.before is not None,
            erased=change.erased(),
        )
        for change in bundle
    ]
    message = ProcessedReadings(device=point.device, point=point.code, provider=point.provider, readings=readings)
    return Outgoing(TELEMETRY_PROCESSED.address(device=point.device), encode(message))


def _alerts(point: Point, bundle: Iterable[Change]) -> Iterator[Outgoing]:
    for change in bundle:
        for code, flag in change.raised():
            alert = Alert(
                id=f"{point.code}/{code}/{flag}/{change.after.at.isoformat()}",
                device=point.device,
                point=point.code,
                variable=code,
                rule=flag,
                severity="critical" if flag in CRITICAL else "warning",
                measured_at=change.after.at,
                value=change.after.processed[code].value,
            )
            yield Outgoing(TELEMETRY_ALERT.address(device=point.device), encode(alert))


def series_row(point: Point, change: Change) -> SeriesRow | None:
    """The row of the telemetry store for a change; None when there is nothing to write or to erase."""
    row = row_fields(point.code, change.after, change.erased())
    return row if row.fields or row.erased else None


def row_fields(point: str, row: Row, erased: Sequence[str] = ()) -> SeriesRow:
    """The row of the telemetry store for a row of the ledger: what has a value, and what must have none."""
    fields = {code: value.value for code, value in row.processed.items() if value.value is not None}
    return SeriesRow(point=point, at=row.at, fields=fields, provider=row.provider, erased=tuple(erased))
