"""The `caudal` command: what a person may ask for, and what happens then."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from caudal.cli import delegated
from caudal.cli.local.broker import BrokerKind
from caudal.cli.local.platform import LocalPlatform, Options
from caudal.cli.local.ports import is_free
from caudal.cli.local.services import GATEWAY_API, INGEST, PROCESSOR
from caudal.cli.local.signals import until_signalled
from caudal.cli.local.terminal import Terminal
from caudal.cli.local.up import serve
from caudal.common.domain.errors import CaudalError, Permanent

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
credentials = typer.Typer(help="Secrets of providers, sealed in the database.", no_args_is_help=True)
app.add_typer(credentials, name="credentials")

user = typer.Typer(help="People who can log in.", no_args_is_help=True)
client = typer.Typer(help="Those whose things are kept apart.", no_args_is_help=True)
app.add_typer(user, name="user")
app.add_typer(client, name="client")

USUAL_API_PORT = 8000
INTERRUPTED = 130
"""Exit code of what a signal ended before its end."""
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""The service that does the work reads these arguments, `--help` too."""

DataDir = Annotated[Path, typer.Option("--data-dir", help="Folder that holds all data.")]
Port = Annotated[int, typer.Option(help="Port of the HTTP API; 0: any free one.", min=0, max=65535)]
MqttPort = Annotated[
    int | None, typer.Option(help="Port of the broker; otherwise the last one, 1883 or any.", min=1, max=65535)
]
Broker = Annotated[BrokerKind | None, typer.Option(help="Otherwise mosquitto where there is one.")]


@app.command()
def up(
    data_dir: DataDir = Path(".caudal"), port: Port = USUAL_API_PORT, mqtt_port: MqttPort = None, broker: Broker = None
) -> None:
    """Run the whole platform on this machine, without containers, until Ctrl-C."""
    terminal = Terminal()
    until_signalled(serve(LocalPlatform(Options(data_dir, port, mqtt_port, broker), terminal), terminal))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="A new folder to keep; else a temporary one.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the HTTP API; else 8000, or any.", min=0, max=65535)] = None,
    mqtt_port: MqttPort = None,
    broker: Broker = None,
) -> None:
    """Run the platform and send real meter readings through it, with what goes wrong with meters."""
    # Its HTTP and MQTT clients would cost `caudal up` a good part of a second.
    from caudal.cli.demo.command import demonstrate

    terminal = Terminal()
    with TemporaryDirectory(prefix="caudal-demo-") as temporary:
        api_port = port if port is not None else next(filter(is_free, (USUAL_API_PORT,)), 0)
        platform = LocalPlatform(Options(data_dir or Path(temporary), api_port, mqtt_port, broker), terminal)
        if not platform.folder.is_new():
            raise Permanent(f"{data_dir} has readings already; give a new folder, or see it with: caudal up")
        code = until_signalled(demonstrate(platform, terminal, once=once, as_json=as_json))
    sys.exit(INTERRUPTED if code is None else code)


@app.command(context_settings=PASS_ON)
def load(context: typer.Context, data_dir: DataDir = Path(".caudal")) -> None:
    """Hand a CSV, Parquet or JSON file to the running platform, row by row: caudal load FILE [--point CODE]."""
    sys.exit(delegated.run(INGEST, "load", context.args, data_dir, needs_running=True))


@app.command("import", context_settings=PASS_ON)
def import_rows(
    context: typer.Context,
    kind: Annotated[str, typer.Option(help="points, variables, owners or history.")] = "",
    data_dir: DataDir = Path(".caudal"),
) -> None:
    """Take over an older system's points, variables, owners or history: caudal import FILE --kind points --dry-run."""
    if kind == "history":
        # Readings are readings, wherever they come from: the same way in, of any size.
        sys.exit(delegated.run(INGEST, "load", context.args, data_dir, needs_running=True))
    said = ["--kind", kind] if kind else []
    sys.exit(delegated.run(GATEWAY_API, "import", [*context.args, *said], data_dir))


@app.command()
def migrate(data_dir: DataDir = Path(".caudal")) -> None:
    """Bring the tables of all services up to date."""
    for service in (PROCESSOR, GATEWAY_API, INGEST):
        if code := delegated.migrate(service, data_dir):
            sys.exit(code)


@credentials.command(context_settings=PASS_ON)
def rotate(context: typer.Context, data_dir: DataDir = Path(".caudal")) -> None:
    """Seal every provider's secret again with the newest key; --new-key prints one to be put before the others."""
    sys.exit(delegated.run(GATEWAY_API, "rotate-credentials", context.args, data_dir))


@app.command(context_settings=PASS_ON)
def verify(context: typer.Context, data_dir: DataDir = Path(".caudal")) -> None:
    """Check that nobody has changed the audit log, and that the tables are as the code wants them."""
    sys.exit(delegated.run(GATEWAY_API, "verify", context.args, data_dir))


@user.command("create", context_settings=PASS_ON)
def create_user(context: typer.Context, data_dir: DataDir = Path(".caudal")) -> None:
    """Make a user who can log in; what is not said is asked for."""
    sys.exit(delegated.run(GATEWAY_API, "create-user", context.args, data_dir))


@user.command("reset", context_settings=PASS_ON)
def reset_password(context: typer.Context, data_dir: DataDir = Path(".caudal")) -> None:
    """Print a token with which a user sets a new password, once."""
    sys.exit(delegated.run(GATEWAY_API, "reset-password", context.args, data_dir))


@user.command("resets", context_settings=PASS_ON)
def list_resets(context: typer.Context, data_dir: DataDir = Path(".caudal")) -> None:
    """List who asked for a new password and has not got one yet."""
    sys.exit(delegated.run(GATEWAY_API, "list-resets", context.args, data_dir))


@client.command("create", context_settings=PASS_ON)
def create_client(context: typer.Context, data_dir: DataDir = Path(".caudal")) -> None:
    """Make a client, whose points and users are kept apart from everybody else's."""
    sys.exit(delegated.run(GATEWAY_API, "create-client", context.args, data_dir))


@app.command("rebuild-store", context_settings=PASS_ON)
def rebuild_store(context: typer.Context, data_dir: DataDir = Path(".caudal")) -> None:
    """Drop the telemetry store and make it again from the ledger."""
    sys.exit(delegated.run(PROCESSOR, "rebuild-store", context.args, data_dir))


def main() -> None:
    """Run the command line; what we know by name is told in one line."""
    try:
        app()
    except CaudalError as error:
        sys.exit(f"caudal: {error}")
