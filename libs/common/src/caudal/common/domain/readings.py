"""Words for what was measured and how far to trust it, shared by the bus, the ledger and the API."""

from enum import StrEnum


class Inlet(StrEnum):
    """The door through which a reading came in."""

    UPLINK = "uplink"
    PUSH = "push"
    POLL = "poll"
    WINDOW = "window"
    WEBSOCKET = "websocket"
    GRPC = "grpc"


class RawStatus(StrEnum):
    """What became of a raw reading."""

    PENDING = "PENDING"
    """Kept; no point claims its device yet."""
    PROCESSING = "PROCESSING"
    """Being folded; seen only inside a transaction."""
    COMPLETED = "COMPLETED"
    """At least one of its values stands in the ledger."""
    FAILED = "FAILED"
    """No value of it could be used; the reason stands beside it."""
    SKIPPED = "SKIPPED"
    """Every value of it was delivered again or corrected by a later reading of the same instant."""


class Flag(StrEnum):
    """Why a processed value deserves a second look. A flag never drops a value."""

    ZERO_TOTAL_RESET = "ZERO_TOTAL_RESET"
    """The counter started again: it fell, and no return to the old value followed."""
    UNCONFIRMED = "UNCONFIRMED"
    """Judged by this reading alone; the next one decides, and an amendment follows."""
    GLITCH = "GLITCH"
    """A single wrong count: the last good total is held, and it is no baseline."""
    JITTER = "JITTER"
    """A fall of less than 1 %: the last good total is held."""
    COUNTER_WRAP = "COUNTER_WRAP"
    """The register passed its width; 2ⁿ was added."""
    METER_SWAP = "METER_SWAP"
    """First reading after a meter replacement that an operator declared."""
    IMPLAUSIBLE_RISE = "IMPLAUSIBLE_RISE"
    """More volume than the greatest flow could have brought since the last good count."""
    SENTINEL = "SENTINEL"
    """A code that the device sends instead of a measurement; no value."""
    NEGATIVE = "NEGATIVE"
    """A flow below zero, kept as it is."""
    OUT_OF_RANGE = "OUT_OF_RANGE"
    """Outside the variable's minimum and maximum."""
    FLOW_ZERO = "FLOW_ZERO"
    """No flow, on a variable for which that is an alert."""
    ALERT_LIMIT = "ALERT_LIMIT"
    """Beyond the variable's alert limit."""
    LEVEL_MAX_RESET = "LEVEL_MAX_RESET"
    """A level above the configured maximum (95 m unless set)."""
    SENSOR_DEPTH = "SENSOR_DEPTH"
    """A water column deeper than the sensor hangs: no water table depth can be given."""
    FLOW_TOTAL_CONSISTENCY = "FLOW_TOTAL_CONSISTENCY"
    """The flow and the growth of the total do not agree."""
    LEVEL_ACCUMULATED_CONSISTENCY = "LEVEL_ACCUMULATED_CONSISTENCY"
    """The level moved clearly, the accumulated volume did not."""
    DERIVED = "DERIVED"
    """Not measured: computed from the total."""
    UNREADABLE = "UNREADABLE"
    """The device sent something that is no number; the raw reading says what."""


ALERTING = frozenset(
    {
        Flag.ZERO_TOTAL_RESET,
        Flag.IMPLAUSIBLE_RISE,
        Flag.OUT_OF_RANGE,
        Flag.FLOW_ZERO,
        Flag.ALERT_LIMIT,
        Flag.LEVEL_MAX_RESET,
        Flag.SENSOR_DEPTH,
        Flag.FLOW_TOTAL_CONSISTENCY,
        Flag.LEVEL_ACCUMULATED_CONSISTENCY,
    }
)
"""Flags that the processor also tells as `telemetry/<device>/alert`."""
