"""The platform of one folder: broker, migrations and services, started together and stopped together."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from types import TracebackType
from typing import Self

from caudal.cli.local import health
from caudal.cli.local.broker import BrokerKind, broker_command, chosen_kind
from caudal.cli.local.folder import DataFolder, Instance
from caudal.cli.local.ports import LOOPBACK, free_ports, is_free, wanted_port
from caudal.cli.local.process import ChildProcess
from caudal.cli.local.services import GATEWAY_API, SERVICES, Service, common_environment, service_environment
from caudal.cli.local.supervisor import Supervisor
from caudal.cli.local.terminal import Terminal
from caudal.common.domain.errors import Permanent

START_TIMEOUT_S = 60.0
USUAL_MQTT_PORT = 1883
ADMIN_EMAIL = "admin@caudal.local"


@dataclass(frozen=True, slots=True)
class Admin:
    """Who may log in first."""

    email: str
    password: str
    is_made_up: bool
    """Whether the password is ours; one that somebody chose is told to nobody."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose about a local platform."""

    data_dir: Path
    port: int
    """Of the HTTP API; 0: any free one."""
    mqtt_port: int | None = None
    """None: the folder's last one, else the usual one, else any that is free."""
    broker: BrokerKind | None = None
    """None: mosquitto where there is one."""


class LocalPlatform:
    """All processes of a platform on this machine; a context manager that leaves none behind."""

    def __init__(self, options: Options, terminal: Terminal) -> None:
        self.folder = DataFolder(options.data_dir)
        self.broker_kind = chosen_kind(options.broker)
        self.admin: Admin | None = None
        """The administrator, when this start makes one."""
        self.api_port = self.mqtt_port = 0
        self.seconds = 0.0
        """How long the start took."""
        self._options = options
        self._terminal = terminal

    @property
    def url(self) -> str:
        """Where the HTTP API is."""
        return f"http://{LOOPBACK}:{self.api_port}"

    async def __aenter__(self) -> Self:
        begun = time.monotonic()
        self.folder.hold()
        self._supervisor = Supervisor(self._terminal.say)
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        self.seconds = time.monotonic() - begun
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        await self._supervisor.stop()
        self.folder.release()

    async def _start(self) -> None:
        self._choose_ports()
        common = common_environment(self.folder, self.mqtt_port)
        if self.folder.is_new():
            chosen = os.environ.get("CAUDAL_ADMIN_PASSWORD")
            self.admin = Admin(
                email=os.environ.get("CAUDAL_ADMIN_EMAIL") or ADMIN_EMAIL,
                password=chosen or self.folder.first_password(),
                is_made_up=not chosen,
            )
            common |= {"CAUDAL_ADMIN_EMAIL": self.admin.email, "CAUDAL_ADMIN_PASSWORD": self.admin.password}
        command = broker_command(self.broker_kind, self.folder.broker, self.mqtt_port)
        await self._supervisor.start(self._child("broker", command, os.environ, SIGTERM))
        ports = dict(zip(SERVICES, free_ports(len(SERVICES), [self.api_port]), strict=True)) | {
            GATEWAY_API: self.api_port
        }
        for service in SERVICES:
            await self._run(service, common, ports[service])
        await self._supervisor.until(health.ready([self.mqtt_port], ports.values()), START_TIMEOUT_S)
        self._supervisor.keep_running()
        self.folder.remember(Instance(os.getpid(), self.api_port, self.mqtt_port))

    def _choose_ports(self) -> None:
        """Take what was asked for; for the broker, what devices know from the last run if it can be had."""
        self.api_port = wanted_port(self._options.port, "--port") if self._options.port else free_ports(1)[0]
        if self._options.mqtt_port is not None:
            self.mqtt_port = wanted_port(self._options.mqtt_port, "--mqtt-port")
            if self.mqtt_port == self.api_port:
                raise Permanent(f"--port and --mqtt-port are both {self.api_port}; each needs one of its own")
            return
        last = self.folder.instance()
        liked = (last.mqtt_port, USUAL_MQTT_PORT) if last else (USUAL_MQTT_PORT,)
        self.mqtt_port = next(filter(is_free, liked), None) or free_ports(1, [self.api_port])[0]

    async def _run(self, service: Service, common: Mapping[str, str], port: int) -> None:
        environment = service_environment(service, common, port)
        await self._supervisor.start(self._child(service.name, service.command(), environment, SIGKILL))

    def _child(self, name: str, command: Sequence[str], environment: Mapping[str, str], death: int) -> ChildProcess:
        log = self.folder.logs / f"{name}.log"
        return ChildProcess(name, command, environment, log, self._terminal.show_log, death)
