"""What commands tell: lines for people, or one JSON object."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from caudal.common.domain.errors import InvalidInput, Transient
from caudal.gateway_api.domain.imports import Outcome, Report
from caudal.gateway_api.domain.sessions import PendingReset
from caudal.gateway_api.handlers.passwords import IssuedReset
from caudal.gateway_api.handlers.verification import Walked


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def chain_check(walked: Walked) -> Check:
    """What the audit log's chain looks like."""
    if walked.broken is not None:
        return Check("audit log", False, f"holds for {walked.lines} lines, then: {walked.broken}")
    return Check("audit log", True, f"{walked.lines} lines, head {walked.lines}:{walked.head}")


def told(checks: list[Check], as_json: bool) -> str:
    """The outcome of all checks."""
    if as_json:
        return msgspec.json.encode({"ok": all(check.ok for check in checks), "checks": checks}).decode()
    return "\n".join(f"{'ok    ' if check.ok else 'BROKEN'}  {check.name}: {check.detail}" for check in checks)


def progress(lines: int) -> None:
    """Say how far the walk has come, to whoever is watching."""
    if sys.stderr.isatty():
        print(f"\r{lines} lines of the audit log", end="", file=sys.stderr, flush=True)


def noted(text: str) -> tuple[int, str]:
    """A line's number and hash from `12:ab34…`.

    Raises:
        ValueError: it is no such thing.
    """
    number, _, head = text.partition(":")
    return int(number), head


def reset_told(issued: IssuedReset) -> str:
    """A token for a new password, and what to do with it."""
    return (
        f"{issued.token}\n"
        f"Hand it over; until {issued.expires_at:%Y-%m-%d %H:%M} UTC it sets one new password:\n"
        """  POST /api/auth/password/reset  {"token": "…", "password": "…"}"""
    )


def resets_told(found: Iterable[PendingReset]) -> str:
    """Who waits for a new password, a line each."""
    lines = (f"{each.requested_at:%Y-%m-%d %H:%M}  {each.email}  {_answered(each)}" for each in found)
    return "\n".join(lines) or "Nobody waits for a new password."


def _answered(reset: PendingReset) -> str:
    return f"token issued by {reset.issued_by}" if reset.issued_by else "no token yet"


def import_progress(done: int, of: int) -> None:
    """Say how far an import has come, to whoever is watching."""
    if sys.stderr.isatty():
        print(f"\r{done} of {of} changes", end="" if done < of else "\n", file=sys.stderr, flush=True)


def imported(report: Report) -> str:
    """What an import did, or would do."""
    return "\n".join(_import_lines(report))


def not_imported(error: Exception, as_json: bool) -> str:
    """Why an import ended before its end; what was done before stays, which only a database that goes away leaves."""
    field, reason = (error.field, error.reason) if isinstance(error, InvalidInput) else ("", str(error))
    if as_json:
        kind = "transient" if isinstance(error, Transient) else "permanent"
        return msgspec.json.encode({"error": {"kind": kind, "field": field, "reason": reason}}).decode()
    if isinstance(error, Transient):
        return f"Interrupted: {error}. What was done stays; import the file again, and the rest is done."
    return f"Nothing was done: {error}"


def _import_lines(report: Report) -> Iterator[str]:
    verb = "would be " if report.dry_run else ""
    yield f"{report.rows} rows: {report.created} {verb}created, {report.changed} {verb}changed, " + (
        f"{report.unchanged} unchanged, {report.refused} refused"
    )
    if not report.dry_run and not report.done:
        yield "Nothing was done: all was to go in, or nothing."
    for header, field in report.columns.items():
        yield f"  column {header} is {field}" + (" (guessed)" if header in report.guessed else "")
    yield from (f"  column {header} is left out" for header in report.left_out)
    yield from (f"  {note}" for note in report.notes)
    yield from (_import_line(step) for step in report.steps)


def _import_line(step: Mapping[str, Any]) -> str:
    begin = f"row {step['row']:<6} {step['outcome']:<10} {_printable(step['key'])}"
    if step["outcome"] == Outcome.REFUSED:
        where = f" (column {step['column']}: {step['value'] or 'nothing'})" if step["column"] else ""
        return _printable(f"{begin}  {step['field']}: {step['reason']}{where}")
    return f"{begin}  {_printable(', '.join(step['changes']))}"


def _printable(text: str) -> str:
    """Text of a file, with nothing in it that a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)
