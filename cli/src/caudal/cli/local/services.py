"""Which services a local platform has, and what their environment says."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from caudal.cli.local.folder import DataFolder
from caudal.cli.local.ports import LOOPBACK

OURS = ("CAUDAL_API_", "CAUDAL_DATA_DIR", "CAUDAL_DATABASE_", "CAUDAL_HEALTH_", "CAUDAL_MQTT_", "CAUDAL_STORE")
"""Settings that a local platform makes itself: what the surrounding environment says of them is another platform's."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service and how it is run."""

    name: str
    module: str

    def command(self, *arguments: str) -> list[str]:
        """What runs it, or one of its subcommands."""
        return [sys.executable, "-m", self.module, *arguments]


INGEST = Service("ingest", "caudal.ingest")
PROCESSOR = Service("processor", "caudal.processor")
GATEWAY_API = Service("gateway-api", "caudal.gateway_api")
SERVICES = (GATEWAY_API, PROCESSOR, INGEST)
"""In the order in which they are started, none waiting for another: the one that needs longest first."""


def common_environment(folder: DataFolder, mqtt_port: int) -> dict[str, str]:
    """What every service and command of the platform in `folder` finds in its environment."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return inherited | {
        "CAUDAL_DATA_DIR": str(folder.path),
        "CAUDAL_DATABASE_URL": f"sqlite+aiosqlite:///{folder.database}",
        "CAUDAL_MQTT_HOST": LOOPBACK,
        "CAUDAL_MQTT_PORT": str(mqtt_port),
        "CAUDAL_STORE": "embedded",
        "CAUDAL_STORE_PATH": str(folder.store),
        "PYTHONUNBUFFERED": "1",
    }


def service_environment(service: Service, common: Mapping[str, str], port: int) -> dict[str, str]:
    """What one service finds in its environment; on `port` it tells its health, gateway-api serves all it has."""
    kind = "API" if service is GATEWAY_API else "HEALTH"
    own = {f"CAUDAL_{kind}_HOST": LOOPBACK, f"CAUDAL_{kind}_PORT": str(port)}
    return {**common, **own, "CAUDAL_LOG_FORMAT": "json", "CAUDAL_MIGRATE": "true"}
