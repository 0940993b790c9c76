"""Settings that several services share, read from the environment (`CAUDAL_…`) once, by each `main`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Section(BaseSettings):
    """A group of settings; unknown variables are none of its business."""

    model_config = SettingsConfigDict(env_prefix="CAUDAL_", extra="ignore")


class ServiceSettings(Section):
    """What every service has."""

    health_host: str = "127.0.0.1"
    """Where /health/live, /health/ready and /metrics listen."""
    health_port: int = 0
    """0: any free port, told in the log."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """auto: console on a terminal, JSON elsewhere."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    data_dir: Path = Path(".caudal")
    """Files that this service keeps: batch windows, the embedded store, SQLite."""
    migrate: bool = False
    """Whether a service brings its tables up to date before it starts. For one replica: others would not wait."""


class MqttSettings(Section):
    """The broker."""

    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = Field(default=1883, ge=1, le=65535)
    mqtt_username: str | None = None
    mqtt_password: SecretStr | None = None
    mqtt_tls_ca: Path | None = None
    """CA certificate; turns TLS on."""
    mqtt_protocol: Literal["auto", "5", "3.1.1"] = "auto"
    """auto: 5, and 3.1.1 where the broker knows no more."""
    mqtt_client_id: str | None = None
    """Name of the persistent session; None: the service's name. Each replica needs its own."""
    mqtt_shared: bool = False
    """Whether replicas divide what comes. docs/decisions/0007: Mosquitto forgets this when it restarts."""
    mqtt_session_expiry_s: int = 14 * 24 * 3600
    """How long the broker keeps what comes while we are away."""


class SqlSettings(Section):
    """The ledger and the catalog."""

    database_url: str = "sqlite+aiosqlite:///.caudal/caudal.db"
    """postgresql+asyncpg://… in production."""
    database_pool_size: int = 12
    database_timeout_s: float = 10.0
    """Connect, command and pool."""


class CredentialSettings(Section):
    """Keys with which providers' secrets are sealed in the database."""

    credentials_keys: SecretStr | None = None
    """Fernet keys with commas between them, newest first: the first seals, all unseal. None: one is made once and
    kept in a file. gateway-api and ingest need the same ones."""
    credentials_file: str | None = None
    """The same, one a line, read again whenever the file changes; None: `keys/credentials.key` below `data_dir`."""


class StoreSettings(Section):
    """The telemetry store."""

    store: Literal["embedded", "influx"] = "embedded"
    store_path: Path = Path(".caudal/telemetry.db")
    """Of the embedded store."""
    retention_days: int = Field(default=90, ge=1)
    influx_url: str = "http://127.0.0.1:8086"
    influx_api: Literal["1", "2"] = Field(default="2", validation_alias="INFLUX_API")
    """1: a 1.x server, by /write; 2: buckets by influxdb-client."""
    influx_org: str = "caudal"
    influx_token: SecretStr | None = None
    influx_username: str | None = None
    influx_password: SecretStr | None = None
    influx_bucket: str = "telemetry"
    """Database on 1.x. The archive is `<bucket>_archive`."""
    influx_timeout_s: float = 10.0
