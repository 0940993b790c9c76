"""Mosquitto with the settings that Caudal ships."""

import getpass
import shutil
from collections.abc import Sequence
from pathlib import Path

from servers.process import Server

SETTINGS = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 0
max_queued_bytes 1073741824
max_inflight_messages 200
message_size_limit 262144
persistent_client_expiration 14d
set_tcp_nodelay true
user {user}
log_type error
log_type warning
"""


class Mosquitto(Server):
    """A broker; `extra` lines are added to its configuration."""

    name = "mosquitto"

    def __init__(self, folder: Path, extra: str = "") -> None:
        super().__init__(folder)
        self.configuration = self.folder / "mosquitto.conf"
        self.configuration.write_text(
            SETTINGS.format(port=self.port, folder=self.folder, user=getpass.getuser()) + extra
        )

    def command(self) -> Sequence[str]:
        return [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", str(self.configuration)]
