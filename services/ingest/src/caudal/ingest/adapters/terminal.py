"""A window on a terminal: a bar while it runs, a report at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as Grid

from caudal.ingest.handlers.loading import Report


@contextmanager
def progress_bar(unit: str, total: int, is_shown: bool) -> Iterator[Callable[[int], None]]:
    """What to tell how far a table is read; bytes of a CSV file, rows of a Parquet file."""
    count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not is_shown, transient=True) as bar:
        task = bar.add_task("rows" if unit == "rows" else "read", total=total)
        yield lambda done: bar.update(task, completed=done)


def show(report: Report) -> None:
    """The report of a window, for people."""
    console = Console(highlight=False)
    what = "would be sent" if report.dry_run else "sent"
    console.print(f"[bold]{report.rows}[/] rows {what}, {report.rejected} rejected, {report.devices} devices")
    if report.first_at and report.last_at:
        console.print(f"{report.first_at.isoformat()} to {report.last_at.isoformat()}")
    if report.with_problems:
        console.print(f"{report.with_problems} rows have a cell that is no number; their other values are kept")
    for note in report.notes:
        console.print(escape(note), style="dim")
    _grid(console, "columns", [{"column": name, "taken for": meaning} for name, meaning in report.columns.items()])
    _grid(console, "first rows", report.first_rows if report.dry_run else [])
    _grid(console, "first rejects", report.first_rejects)
    if report.rejects_path:
        console.print(f"rejected rows with their reasons: {escape(report.rejects_path)}")


def _grid(console: Console, title: str, rows: list[dict[str, object]] | list[dict[str, str]]) -> None:
    if not rows:
        return
    grid = Grid(*rows[0], title=title, title_justify="left")
    for row in rows:
        grid.add_row(*(escape(str(value)) for value in row.values()))
    console.print(grid)
