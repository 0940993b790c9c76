"""Settings of ingest, read from the environment once, by `main`."""

from pathlib import Path

from pydantic import Field

from caudal.common.settings import Section, ServiceSettings


class IngestSettings(Section):
    """What only ingest needs."""

    ingest_group: str = Field(default="ingest", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Name under which replicas share the uplinks."""
    ingest_max_batch: int = Field(default=1000, ge=1, le=10_000)
    """Uplinks handled at once, at most."""
    ingest_linger_s: float = Field(default=0.005, ge=0, le=1)
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


def windows_folder(settings: ServiceSettings) -> Path:
    """Where batch windows lie; gateway-api saves them there."""
    return settings.data_dir / "windows"
