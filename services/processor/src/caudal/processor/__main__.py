"""`python -m caudal.processor`: run the service, or one of its commands."""

import asyncio
import json
from typing import Annotated

import typer

from caudal.common.console import run
from caudal.processor import main

app = typer.Typer(add_completion=False, help="The ledger of readings.", pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def serve(context: typer.Context) -> None:
    """Run the service until it is told to stop."""
    if context.invoked_subcommand is None:
        main.serve()


@app.command()
def migrate() -> None:
    """Bring the processor's tables up to date."""
    asyncio.run(main.bring_up_to_date())


@app.command()
def rebuild_store(as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False) -> None:
    """Write the telemetry store anew from the ledger."""
    # Imported where it is used: the service itself shows nothing.
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, disable=as_json) as progress:
        task = progress.add_task("…", total=None)

        def report(point: str, rows: int) -> None:
            progress.update(task, description=point, advance=rows)

        written = asyncio.run(main.rebuild_store(report))
    typer.echo(json.dumps({"rows": written}) if as_json else f"{written} rows written")


if __name__ == "__main__":
    run(app)
