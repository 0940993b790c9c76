"""What an import would do, row by row: the plan that a dry run shows and that a run carries out."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Any

from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import CaudalError, InvalidInput
from caudal.gateway_api.domain.errors import Conflict
from caudal.gateway_api.domain.import_fields import ImportKind
from caudal.gateway_api.domain.import_rows import Table
from caudal.gateway_api.domain.imported_points import is_system_s
from caudal.gateway_api.domain.tenancy import Owner


class Outcome(StrEnum):
    """What becomes of a row."""

    CREATE = "create"
    CHANGE = "change"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One row of a plan."""

    row: int
    """As people count them."""
    key: str
    """What it is about: a point's code, `point/variable`, or `point/user`."""
    outcome: Outcome
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Field to `[before, after]`."""
    of: str = ""
    """Code of the point, or id of the owner, that is written."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """What the row says of a point, as it goes into what is there."""
    is_new_point: bool = False
    """Whether the point itself is to be made."""
    owner: Owner | None = None
    """What the row makes of an owner."""
    field: str | None = None
    """Of a refused row: which field."""
    reason: str | None = None
    """Of a refused row: why."""

    def refused(self, error: CaudalError) -> "Step":
        """The same row, which could not be carried out."""
        name = error.field if isinstance(error, InvalidInput | Conflict) else None
        reason = error.reason if isinstance(error, InvalidInput | Conflict) else str(error)
        return replace(self, outcome=Outcome.REFUSED, changes={}, field=name or "row", reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What is there before an import, as far as its rows speak of it."""

    points: Mapping[str, Point]
    """Within the caller's scope, by code."""
    foreign: Set[str] = frozenset()
    """Codes of points beyond it."""
    devices: Mapping[str, str] = field(default_factory=dict)
    """Device to the code of the point that claims it, whoever's."""
    clients: Set[str] = frozenset()
    """Codes of all clients."""
    providers: Mapping[str, str | None] = field(default_factory=dict)
    """Code to the client whose it is; None: shared by all."""
    users: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    """Address, or id, to id and client, within the caller's scope."""
    owners: Mapping[str, Owner] = field(default_factory=dict)
    """By id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an import did, or would do."""

    kind: ImportKind
    dry_run: bool
    done: bool
    """Whether anything was carried out; false of a dry run, and where all was to go in or nothing, and nothing did."""
    rows: int
    created: int
    changed: int
    unchanged: int
    refused: int
    columns: Mapping[str, str]
    """Header to the field that it was taken for."""
    guessed: Sequence[str]
    """Headers that the mapping does not speak of and that were taken by their names."""
    left_out: Sequence[str]
    """Headers that were taken for nothing."""
    notes: Sequence[str]
    """What else has to be known of the file, in words."""
    steps: Sequence[Mapping[str, Any]]
    """Rows that are created, changed or refused, in order."""
    left_off: int = 0
    """How many more of them there are."""


def report_of(
    kind: ImportKind, steps: Sequence[Step], table: Table, *, dry_run: bool, done: bool, shown: int | None
) -> Report:
    """The report of a plan, or of what became of it, with at most `shown` rows (None: all)."""
    columns = table.columns
    count = {outcome: sum(step.outcome is outcome for step in steps) for outcome in Outcome}
    told = [step for step in steps if step.outcome is not Outcome.UNCHANGED]
    return Report(
        kind=kind,
        dry_run=dry_run,
        done=done,
        rows=len(steps),
        created=count[Outcome.CREATE],
        changed=count[Outcome.CHANGE],
        unchanged=count[Outcome.UNCHANGED],
        refused=count[Outcome.REFUSED],
        columns=columns.fields,
        guessed=columns.guessed,
        left_out=columns.left_out,
        notes=_notes(steps),
        steps=[_line(step, table) for step in islice(told, shown)],
        left_off=0 if shown is None else max(0, len(told) - shown),
    )


def _notes(steps: Sequence[Step]) -> list[str]:
    silent = sum(is_system_s("status", step.said.get("status")) for step in steps)
    return [f"status OFFLINE, in {silent} rows, is no word about the status: the system says it"] if silent else []


def _line(step: Step, table: Table) -> dict[str, Any]:
    line: dict[str, Any] = {"row": step.row, "key": step.key, "outcome": step.outcome}
    if step.outcome is not Outcome.REFUSED:
        return line | {"changes": step.changes}
    header, value = table.cell(step.row, step.field or "")
    return line | {"field": step.field, "column": header, "value": value, "reason": step.reason}


def units(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    """What is to be done, those rows together that write the same thing."""
    found: dict[str, list[Step]] = {}
    for step in steps:
        if step.outcome in (Outcome.CREATE, Outcome.CHANGE):
            found.setdefault(step.of, []).append(step)
    yield from found.values()
