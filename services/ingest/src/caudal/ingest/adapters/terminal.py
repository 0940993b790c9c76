"""A window on a terminal: a bar while it runs, a report at the end."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as Grid

from caudal.common.domain.payloads.refusals import printable
from caudal.ingest.domain.reports import Report
from caudal.ingest.ports import Far

Shown = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Given what a table is counted in and how much of it there is: what to tell how far it is read."""

TOLD_EVERY_S = 2.0
"""How often a program is told how far a table is read."""


@contextmanager
def progress_bar(unit: str, total: int) -> Iterator[Callable[[int], None]]:
    """For people: a bar."""
    count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("rows" if unit == "rows" else "read", total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def lines(unit: str, total: int) -> Iterator[Callable[[int], None]]:
    """For a program: a line of JSON every few seconds."""
    told_at = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= TOLD_EVERY_S:
            told_at = time.monotonic()
            print(msgspec.json.encode(Far(done, total, unit)).decode(), flush=True)

    yield tell


@contextmanager
def unseen(_unit: str, _total: int) -> Iterator[Callable[[int], None]]:
    """For nobody."""
    yield lambda _done: None


def show(report: Report) -> None:
    """The report of a window, for people."""
    console = Console(highlight=False)
    what = "would be sent" if report.dry_run else "sent"
    whose = f"{report.devices} devices, {report.points} of them of points"
    console.print(f"[bold]{report.rows}[/] rows {what}, {report.rejected} rejected, {whose}")
    if report.first_at and report.last_at:
        console.print(f"{report.first_at.isoformat()} to {report.last_at.isoformat()}")
    if report.with_problems:
        console.print(f"{report.with_problems} rows have a cell that is no number; their other values are kept")
    if report.unknown:
        console.print(_plain(f"unknown to the catalog: {', '.join(report.unknown)}"))
    if report.unconfigured:
        missing = ", ".join(report.unconfigured)
        console.print(_plain(f"variables that their points do not have, so that they make no series yet: {missing}"))
    for note in report.notes:
        console.print(_plain(note), style="dim")
    _grid(console, "columns", [{"column": name, "taken for": meaning} for name, meaning in report.columns.items()])
    _grid(console, "first rows", report.first_rows if report.dry_run else [])
    _grid(console, "first rejects", report.first_rejects)
    if report.rejects_path:
        console.print(f"what was not taken, with row, column, value and reason: {_plain(report.rejects_path)}")


def _grid(console: Console, title: str, rows: list[dict[str, object]] | list[dict[str, str]]) -> None:
    if not rows:
        return
    grid = Grid(*rows[0], title=title, title_justify="left")
    for row in rows:
        grid.add_row(*(_plain(str(value)) for value in row.values()))
    console.print(grid)


def _plain(text: str) -> str:
    """Text of a file, with nothing in it that a terminal would obey."""
    return escape(printable(text))
