"""The broker of a local platform: a `mosquitto` of this machine, or the one that comes inside a wheel."""

import os
import shutil
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from caudal.cli.local.ports import LOOPBACK
from caudal.common.domain.errors import Permanent

MOSQUITTO_SETTINGS = {
    "persistence": "true",
    "autosave_interval": "1",
    "max_queued_messages": "0",
    "max_queued_bytes": "1073741824",
    "max_inflight_messages": "200",
    "message_size_limit": "262144",
    "persistent_client_expiration": "14d",
    "set_tcp_nodelay": "true",
}
"""What keeps messages and their pace (docs/architecture.md); deploy/mosquitto has the same, which a test compares."""

IOTCORE_CONFIGURATION = """\
id = 0

[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 64

[{version}.local]
name = "local"
listen = "{host}:{port}"
next_connection_delay_ms = 1
    [{version}.local.connections]
    connection_timeout_ms = 60000
    max_payload_size = 262144
    max_inflight_count = 200
    dynamic_filters = true
"""
"""rumqttd's settings: each filter's messages in at most 64 segments of 1 MiB, in memory."""


class BrokerKind(StrEnum):
    """Which broker a local platform runs."""

    MOSQUITTO = "mosquitto"
    """Keeps its messages through restarts."""
    EMBEDDED = "embedded"
    """iotcore; needs nothing installed and keeps its messages in memory only."""


def mosquitto_binary() -> str | None:
    """Where mosquitto is; Debian keeps it out of most people's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


def chosen_kind(wanted: BrokerKind | None) -> BrokerKind:
    """`wanted`; if nothing is, mosquitto where there is one.

    Raises:
        Permanent: mosquitto is wanted and not there.
    """
    if wanted is BrokerKind.MOSQUITTO and mosquitto_binary() is None:
        raise Permanent("there is no mosquitto on the PATH; install it, or take --broker embedded")
    return wanted or (BrokerKind.MOSQUITTO if mosquitto_binary() else BrokerKind.EMBEDDED)


def broker_command(kind: BrokerKind, folder: Path, port: int) -> Sequence[str]:
    """Write the broker's configuration into `folder`; the command that runs it on `port` of loopback."""
    if kind is BrokerKind.MOSQUITTO:
        configuration = folder / "mosquitto.conf"
        configuration.write_text(_mosquitto_configuration(folder, port))
        return [mosquitto_binary() or "mosquitto", "-c", str(configuration)]
    configuration = folder / "iotcore.toml"
    configuration.write_text(IOTCORE_CONFIGURATION.format(version="v4", host=LOOPBACK, port=port))
    return [sys.executable, "-m", "caudal.cli.local.embedded_broker", str(configuration)]


def _mosquitto_configuration(folder: Path, port: int) -> str:
    lines = [f"listener {port} {LOOPBACK}", "allow_anonymous true", f"persistence_location {folder}/"]
    if os.geteuid() == 0:
        # As root it would turn into the account `mosquitto`, which could not write here and would forget that it is
        # to end with us.
        lines.append("user root")
    lines += [f"{name} {value}" for name, value in MOSQUITTO_SETTINGS.items()]
    lines += ["log_dest stderr", "log_type error", "log_type warning"]
    return "\n".join(lines) + "\n"
