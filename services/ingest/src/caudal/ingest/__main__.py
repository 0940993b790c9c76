"""`python -m caudal.ingest`: the service; `python -m caudal.ingest load FILE`: one file."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
import uvloop

from caudal.common import logs
from caudal.common.console import run
from caudal.common.domain.errors import CaudalError, InvalidInput, Permanent, Transient
from caudal.common.domain.import_maps import history_options, map_from
from caudal.ingest.adapters.terminal import lines, progress_bar, show, unseen
from caudal.ingest.domain.options import options_from
from caudal.ingest.domain.reports import Report
from caudal.ingest.main import bring_up_to_date, serve
from caudal.ingest.main import load as load_file

app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)

NOT_USABLE, AWAY = 2, 1
"""Exit codes: the file or an option cannot be used; the broker or the catalog is away."""

Text = str | None


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Run the service, unless a command is given."""
    if context.invoked_subcommand is None:
        serve()


@app.command()
def migrate() -> None:
    """Bring ingest's tables up to date."""
    asyncio.run(bring_up_to_date())


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or JSON.")],
    point: Annotated[Text, typer.Option(help="Code of the point that all rows are of.")] = None,
    device: Annotated[Text, typer.Option(help="Device that all rows are of.")] = None,
    time_zone: Annotated[Text, typer.Option(help="Zone of times without one, such as America/Santiago.")] = None,
    clock_change: Annotated[Text, typer.Option(help="Local times that exist twice: reject, before or after.")] = None,
    delimiter: Annotated[Text, typer.Option(help="One character; else looked for.")] = None,
    decimal: Annotated[Text, typer.Option(help="Decimal separator, . or ,; else by the first rows.")] = None,
    thousands: Annotated[Text, typer.Option(help="Thousands separator.")] = None,
    encoding: Annotated[Text, typer.Option(help="Else UTF-8, and Latin-1 where it is not.")] = None,
    time_column: Annotated[Text, typer.Option(help="Header of the time.")] = None,
    time_format: Annotated[Text, typer.Option(help="auto, epoch_s, epoch_ms, … or a pattern: %d/%m/%Y %H:%M")] = None,
    id_column: Annotated[Text, typer.Option(help="Header of the device or point; - for none.")] = None,
    id_kind: Annotated[Text, typer.Option(help="What that column names: point or device; else by its header.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="HEADER=CODE, once per column.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Header of a column to leave out, once per column.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show how it would be understood; send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one line of JSON.")] = False,
    progress: Annotated[bool, typer.Option("--progress", help="Before it, lines that say how far it is.")] = False,
    kind: Annotated[Text, typer.Option("--format", help="csv, parquet or json; else by how the file begins.")] = None,
    window: Annotated[Text, typer.Option(help="Id that goes with each reading; else from the file's name.")] = None,
    options: Annotated[str, typer.Option(help="Any of these options as a JSON object.")] = "{}",
    mapping: Annotated[Path | None, typer.Option("--map", help="JSON file with the mapping of an import.")] = None,
) -> None:
    """Send each row of a CSV, Parquet or JSON file over the bus like any other reading."""
    given: dict[str, Any] = {
        "point": point,
        "device": device,
        "time_zone": time_zone,
        "clock_change": clock_change,
        "delimiter": {"tab": "\t", "\\t": "\t"}.get(str(delimiter).lower(), delimiter),
        "decimal": decimal,
        "thousands": thousands,
        "encoding": encoding,
        "time_column": time_column,
        "time_format": time_format,
        "id_column": id_column,
        "id_kind": id_kind,
        "columns": dict(_pair(each) for each in column) if column else None,
        "ignore": ignore or None,
    }
    logs.configure("ingest-load", level="ERROR")
    try:
        said = {name: value for name, value in given.items() if value is not None}
        shown = lines if progress else progress_bar if not as_json else unseen
        merged = _mapped(mapping) | _object(options) | said
        report = _run(file, merged, kind=kind, window=window, dry_run=dry_run, shown=shown)
    except CaudalError as error:
        _fail(error, as_json)
    else:
        print(msgspec.json.encode(report).decode()) if as_json else show(report)


def _run(file: Path, fields: dict[str, Any], **how: Any) -> Report:
    loading = load_file(file, options_from(fields), **how)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(loading)


def _pair(text: str) -> tuple[str, str]:
    header, separator, code = text.rpartition("=")
    if not separator:
        raise typer.BadParameter(f"{text!r} is not HEADER=CODE")
    return header, code


def _mapped(path: Path | None) -> dict[str, Any]:
    """What the mapping of an import says of a window."""
    if path is None:
        return {}
    try:
        text = path.read_text()
    except (OSError, UnicodeError) as error:
        raise InvalidInput("map", f"cannot be read: {error}") from error
    return history_options(map_from(_object(text)))


def _object(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise InvalidInput("options", f"is no JSON object: {error}") from error


def _fail(error: CaudalError, as_json: bool) -> None:
    """Say what is wrong, to people or to a program, and end."""
    if as_json:
        named = (
            {"field": error.field, "reason": error.reason}
            if isinstance(error, InvalidInput)
            else {"field": "", "reason": str(error)}
        )
        kind = "transient" if isinstance(error, Transient) else "permanent"
        print(json.dumps({"error": {"kind": kind, **named}}))
    else:
        print(f"Error: {error}", file=sys.stderr)
    raise typer.Exit(NOT_USABLE if isinstance(error, Permanent) else AWAY)


if __name__ == "__main__":
    run(app)
