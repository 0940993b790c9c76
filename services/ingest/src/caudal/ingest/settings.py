"""Settings of ingest, read from the environment once, by `main`."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from caudal.common.settings import Section, ServiceSettings


class IngestSettings(Section):
    """What only ingest needs."""

    ingest_group: str = Field(default="ingest", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Name under which replicas share the uplinks."""
    ingest_max_batch: int = Field(default=1000, ge=1, le=10_000)
    """Uplinks handled at once, at most."""
    ingest_linger_s: float = Field(default=0.01, ge=0, le=1)
    """How long the first uplink of a batch waits for more: latency against messages on the bus."""
    zigbee_topic: str = Field(default="zigbee2mqtt", pattern=r"^[^+#\x00]{1,200}$")
    """Base topic of Zigbee2MQTT."""
    window_rows_per_s: int = Field(default=10_000, ge=0)
    """Rows of a window sent per second at most, so that uplinks find room between them; 0: no bound."""
    window_rows_ahead: int = Field(default=100_000, ge=0)
    """Rows of a window that the ledger may lack before it waits, so that they fit the broker's queue; 0: no bound."""
    window_timeout_s: float = Field(default=6 * 3600.0, gt=0)
    """After so long a window is given up."""
    window_memory_mb: int = Field(default=1024, ge=64)
    """Memory for decoding a Parquet file."""
    window_max_decoded_mb: int = Field(default=4096, ge=1)
    """Largest content of a Parquet file; one that is only 50 times larger than the file passes in any case."""
    window_max_rows: int = Field(default=100_000_000, ge=1)
    """Most rows of a Parquet file."""
    polling_minutes: float = Field(default=5.0, ge=0.01, le=1440)
    """How often a round of asking providers begins; each point is asked at its own frequency, never more often."""
    polling_at_once: int = Field(default=16, ge=1, le=32)
    """Points of one provider asked for at once."""
    polling_requests_per_s: float = Field(default=50.0, gt=0, le=1000)
    """Requests to one host."""
    polling_first_hours: float = Field(default=24.0, gt=0)
    """How far back a variable is asked for the first time."""
    polling_overlap_minutes: float = Field(default=60.0, ge=0)
    """How far before its cursor a variable is asked for each time: rows may appear late at the provider."""
    polling_look_back_days: float = Field(default=7.0, ge=0, le=90)
    """How far before now each point is asked for once a day: a device that was cut off hands in its backlog after its
    newest value, behind the cursor. 0: never."""
    polling_networks: Annotated[tuple[str, ...], NoDecode] = ()
    """Networks whose providers may be asked although they are not public, such as 192.168.0.0/16; commas between."""
    redis_url: SecretStr = SecretStr("")
    """Where arq keeps what is due, such as redis://redis:6379/0; empty: rounds are begun by a clock of ours alone."""
    grpc_host: str = "127.0.0.1"
    """Where devices may stream readings to."""
    grpc_port: int | None = Field(default=None, ge=0, le=65535)
    """The same; empty: nowhere. 0: any free port, told in the log."""
    grpc_certificate: Path | None = None
    """PEM of the certificate, with those between it and its authority; turns TLS on."""
    grpc_private_key: Path | None = None
    """PEM of its key."""
    grpc_calls: int = Field(default=200, ge=1, le=10_000)
    """Calls open at once, of all senders together."""

    @field_validator("grpc_port", "grpc_certificate", "grpc_private_key", mode="before")
    @classmethod
    def _unset(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.grpc_certificate is None) != (self.grpc_private_key is None):
            raise ValueError("CAUDAL_GRPC_CERTIFICATE and CAUDAL_GRPC_PRIVATE_KEY go together")
        return self

    @field_validator("polling_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def windows_folder(settings: ServiceSettings) -> Path:
    """Where batch windows lie; gateway-api saves them there."""
    return settings.data_dir / "windows"
