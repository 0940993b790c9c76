"""Settings of the processor, read from the environment once, by `main`."""

from pydantic import Field

from caudal.common.settings import Section


class ProcessorSettings(Section):
    """What only the processor needs."""

    max_rows_per_unit: int = Field(default=1000, ge=1, validation_alias="MAX_ROWS_PER_UNIT")
    """A unit of batch windows with more collected rows loses those older than 7 days."""
    cap_every_s: float = Field(default=300.0, gt=0)
    """How often caps are enforced."""
    tidy_every_s: float = Field(default=3600.0, gt=0)
    """How often old raw payloads are forgotten."""
    silence_every_s: float = Field(default=60.0, gt=0)
    """How often it is looked who has fallen silent; for so long after the start, or behind a backlog, nobody has."""
    linger_s: float = Field(default=0.024, ge=0, le=1)
    """How long the first reading of a batch waits for more: latency against commits per second."""
    lanes: int = Field(default=2, ge=1, le=8)
    """Transactions at once on PostgreSQL, when much comes at a time."""
    events_linger_s: float = Field(default=0.002, ge=0, le=1)
    """How long events wait for those of the next batch."""
    store_linger_s: float = Field(default=0.01, ge=0, le=1)
    """How long rows for the telemetry store wait for those of the next batch."""
    records_linger_s: float = Field(default=0.2, ge=0, le=60)
    """How long changed rows wait for others before records of dynamic schemas are computed of them."""
