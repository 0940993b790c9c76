"""`python -m caudal.gateway_api`: run the service, or one of its commands."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from pydantic import ValidationError

from caudal.common.adapters.sealing import new_key as make_key
from caudal.common.domain.errors import CaudalError, Transient
from caudal.common.domain.import_maps import map_from
from caudal.gateway_api import commands, main
from caudal.gateway_api.domain.import_fields import ImportKind
from caudal.gateway_api.entrypoints.console import imported, not_imported, noted, reset_told, resets_told, told
from caudal.gateway_api.entrypoints.errors import field_of
from caudal.gateway_api.handlers.imports import How

app = typer.Typer(add_completion=False, help="The HTTP API.", pretty_exceptions_enable=False)

INTERRUPTED, NOT_USABLE, SOME_REFUSED = 3, 2, 1
"""Exit codes of an import: the database went away; the file or the mapping cannot be used; some rows are refused."""

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


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
        typer.echo(f"{asyncio.run(commands.rotate_credentials())} credentials sealed with the newest key")
    except CaudalError as error:
        typer.echo(f"Nothing was changed: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def create_api_key(
    provider: Annotated[str, typer.Argument(help="Code of the provider.")],
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
) -> None:
    """Make an API key for a provider and print it; it cannot be shown again."""
    typer.echo(asyncio.run(commands.new_api_key(provider, label)))


@app.command()
def rotate_keys() -> None:
    """Sign tokens with a new key from now on; nobody has to log in again."""
    commands.rotate_keys()
    typer.echo("New tokens are signed with a new key; those that were signed before stay good until they end.")


@app.command()
def create_client(
    code: Annotated[str, typer.Option(prompt="Code", help="Unique, and the same for ever.")],
    name: Annotated[str, typer.Option(prompt="Name", help="As people read it.")],
    as_json: AsJson = False,
) -> None:
    """Make a client, whose points and users are kept apart from everybody else's."""
    made = asyncio.run(commands.new_client(code, name))
    typer.echo(_json(made) if as_json else f"Client {made.code} is there; its users: caudal user create --client …")


@app.command()
def create_user(
    email: Annotated[str, typer.Option(prompt="Email")],
    role: Annotated[str, typer.Option(prompt="Role", help="admin, operator, client_admin, client_user, reader, …")],
    password: Annotated[
        str, typer.Option(prompt="Password", confirmation_prompt=True, hide_input=True, envvar="CAUDAL_NEW_PASSWORD")
    ],
    name: Annotated[str, typer.Option(help="As people read it.")] = "",
    client: Annotated[str | None, typer.Option(help="Code of the client; none: staff, who see all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a user who can log in."""
    made = asyncio.run(commands.new_user(email, name, role, client, password))
    typer.echo(_json(made) if as_json else f"User {made.email} is there as {made.role}.")


@app.command()
def reset_password(
    email: Annotated[str, typer.Option(prompt="Email")],
    as_json: AsJson = False,
) -> None:
    """Print a token with which a user sets a new password, once and within a day; it cannot be shown again."""
    made = asyncio.run(commands.new_reset(email))
    typer.echo(_json(made) if as_json else reset_told(made))


@app.command()
def list_resets(as_json: AsJson = False) -> None:
    """List who asked for a new password and has not got one yet."""
    found = asyncio.run(commands.waiting_resets())
    typer.echo(_json(found) if as_json else resets_told(found))


@app.command("import")
def import_rows(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or JSON.")],
    kind: Annotated[ImportKind, typer.Option(help="What its rows are.")],
    mapping: Annotated[Path | None, typer.Option("--map", help="JSON file that says which column is what.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    all_or_nothing: Annotated[bool, typer.Option("--all-or-nothing", help="Do nothing if one row is refused.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import points, variables or owners from a file; again, nothing is left to do."""
    try:
        said = map_from(msgspec.json.decode(mapping.read_bytes()) if mapping else {})
        how = How(kind=kind, map=said, dry_run=dry_run, all_or_nothing=all_or_nothing)
        report = asyncio.run(commands.import_from(file, how))
    except (CaudalError, OSError, msgspec.MsgspecError) as error:
        typer.echo(not_imported(error, as_json), err=not as_json)
        raise typer.Exit(INTERRUPTED if isinstance(error, Transient) else NOT_USABLE) from error
    typer.echo(_json(report) if as_json else imported(report))
    raise typer.Exit(SOME_REFUSED if report.refused else 0)


@app.command()
def verify(
    expect: Annotated[
        str | None, typer.Option(help="NUMBER:HASH of a line of the audit log that was noted elsewhere.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the audit log's chain from its first line to its last, the tables and their migrations."""
    checks = asyncio.run(commands.verify(_noted(expect)))
    typer.echo(told(checks, as_json))
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


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


def _noted(text: str | None) -> tuple[int, str] | None:
    try:
        return noted(text) if text else None
    except ValueError as error:
        raise typer.BadParameter("--expect takes NUMBER:HASH") from error


def _json(made: object) -> str:
    return msgspec.json.encode(made).decode()


if __name__ == "__main__":
    try:
        app()
    except CaudalError as error:
        sys.exit(f"Nothing was done: {error}")
    except ValidationError as error:
        sys.exit("Nothing was done: " + "; ".join(": ".join(field_of(found)) for found in error.errors()))
