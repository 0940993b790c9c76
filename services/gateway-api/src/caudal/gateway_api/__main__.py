"""`python -m caudal.gateway_api`: run the service, or one of its commands."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from caudal.common.adapters.sealing import new_key as make_key
from caudal.common.domain.errors import CaudalError
from caudal.gateway_api import main

app = typer.Typer(add_completion=False, help="The HTTP API.")


@app.callback(invoke_without_command=True)
def serve(context: typer.Context) -> None:
    """Run the service until it is told to stop."""
    if context.invoked_subcommand is None:
        main.serve()


@app.command()
def migrate() -> None:
    """Bring gateway-api's tables up to date."""
    asyncio.run(main.bring_up_to_date())


@app.command()
def rotate_credentials(
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Only print a new key, to be put before the others.")
    ] = False,
) -> None:
    """Seal every credential again with the newest key; the older ones can be thrown away after that."""
    if new_key:
        typer.echo(make_key())
        return
    try:
        typer.echo(f"{asyncio.run(main.rotate_credentials())} credentials sealed with the newest key")
    except CaudalError as error:
        typer.echo(f"Nothing was changed: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def create_api_key(
    provider: Annotated[str, typer.Argument(help="Code of the provider.")],
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
) -> None:
    """Make an API key for a provider and print it; it cannot be shown again."""
    try:
        typer.echo(asyncio.run(main.new_api_key(provider, label)))
    except CaudalError as error:
        typer.echo(f"No key was made: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def openapi(
    output: Annotated[Path, typer.Option(help="Where the document is kept.")] = Path("docs/openapi/caudal.json"),
    check: Annotated[bool, typer.Option("--check", help="Only compare.")] = False,
) -> None:
    """Write the OpenAPI document, or compare the one that is kept with the code."""
    document = main.documentation()
    if not check:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(document)
    elif not output.exists() or output.read_text() != document:
        typer.echo(f"{output} is not what the code says: run `python -m caudal.gateway_api openapi`", err=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
