"""Every message on the bus: wire types only, frozen. A message gains only fields with defaults.

Times are UTC with zone. Numbers are finite: the codec refuses NaN and the infinities.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from caudal.common.domain.readings import Flag, Inlet

Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""An instant with a zone; a naive time is refused."""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all messages."""


# ---------------------------------------------------------------- telemetry


class RawReading(Message, frozen=True, kw_only=True):
    """What a device gave for one instant, before any judgement."""

    measured_at: Time
    """When the device measured."""
    received_at: Time
    """When it came through the inlet; set once, there."""
    values: dict[str, int | float]
    """Variable code to number, in the device's own counts and units."""
    logged_at: Time | None = None
    """When the device's logger wrote it down, if it says so."""
    problems: dict[str, str] = {}
    """Variable code to the reason why its value could not be read."""
    payload: str = ""
    """The reading as it came, as text; kept 30 days."""


class RawReadings(Message, frozen=True, kw_only=True):
    """One or more readings of one device, in order of arrival."""

    device: str
    inlet: Inlet
    readings: list[RawReading]
    provider: str | None = None
    window: str | None = None
    """The batch window they came in, if any."""
    source_format: str | None = None
    """`csv` or `parquet` for a window."""


class ProcessedValue(Message, frozen=True, kw_only=True):
    """One variable at one instant after the fold."""

    value: float | None
    """In the variable's stored unit; None when there is nothing to say."""
    measured: int | float | None = None
    """What the device gave; None when derived."""
    flags: list[Flag] = []
    constants: dict[str, float] = {}
    """The constants that turned `measured` into `value`."""


class ProcessedReading(Message, frozen=True, kw_only=True):
    """All variables of one instant after the fold."""

    measured_at: Time
    received_at: Time
    values: dict[str, ProcessedValue]
    amends: bool = False
    """Whether an earlier version of this instant was published before."""
    erased: list[str] = []
    """Variables that had a value in the earlier version and have none now."""


class ProcessedReadings(Message, frozen=True, kw_only=True):
    """One or more processed readings of one point, ordered by `measured_at`."""

    device: str
    point: str
    readings: list[ProcessedReading]
    provider: str | None = None


class Rejected(Message, frozen=True, kw_only=True):
    """Something that could not be read, kept whole with the reason."""

    id: str
    """Digest of topic, payload and `received_at`: the same delivery is kept once."""
    device: str
    received_at: Time
    inlet: Inlet
    topic: str
    """Where it can be published again."""
    reason: str
    field: str | None = None
    payload: str = ""
    """As text, or base64 when `payload_encoding` says so."""
    payload_encoding: str = "utf-8"
    provider: str | None = None


class Alert(Message, frozen=True, kw_only=True):
    """A rule found something that somebody should know."""

    id: str
    """Point, variable, rule and instant: the same finding has the same id for ever."""
    device: str
    point: str
    variable: str
    rule: str
    severity: str
    measured_at: Time
    value: float | None = None
    detail: str = ""
    ended_at: Time | None = None
    """When it came to its end, told under the same id; None: it stands, or is of one instant."""


class Submission(Message, frozen=True, kw_only=True):
    """What became of one submission to an authority."""

    id: str
    device: str
    point: str
    source: str
    status: str
    period_start: Time
    timestamp: Time
    detail: str = ""


class ConfigChanged(Message, frozen=True, kw_only=True):
    """The catalog entry of this device is new, changed or gone: forget what you cached."""

    device: str
    point: str | None
    """None: no point claims the device any more."""
    changed_at: Time


class SchemaChanged(Message, frozen=True, kw_only=True):
    """A dynamic schema is new, changed or gone: its records have to be computed anew."""

    schema: str
    changed_at: Time


class Push(Message, frozen=True, kw_only=True):
    """What a provider handed in over HTTP, not yet read."""

    id: str
    """The Idempotency-Key, or an id of its own."""
    provider: str
    received_at: Time
    content: str
    """The body as it came; `bus.contents` packs and unpacks it."""
    encoding: str = "utf-8"
    """utf-8: text; base64: bytes; gzip: base64 of compressed bytes, where the body is large."""


class KeyUsed(Message, frozen=True, kw_only=True):
    """Somebody has come in with an API key at a door that is not gateway-api's."""

    key: str
    """Its id, not its secret."""
    used_at: Time


class Command(Message, frozen=True, kw_only=True):
    """An order, answered by a `Result` of the same id."""

    id: str
    action: str
    params: dict[str, Any] = {}


class Result(Message, frozen=True, kw_only=True):
    """What became of a command."""

    id: str
    ok: bool
    detail: dict[str, Any] = {}
    timestamp: Time


class Progress(Message, frozen=True, kw_only=True):
    """How far a command has come that takes its time; its `Result` follows."""

    id: str
    """Of the command."""
    done: int
    total: int
    unit: str
    """What both count: bytes of a CSV or JSON file, rows of a Parquet file."""
    timestamp: Time


# ---------------------------------------------------------------- cameras and edge gateways, as edge devices send them


class CameraStatus(Message, frozen=True, kw_only=True):
    """How a camera is doing."""

    online: bool
    timestamp: Time
    fps: float | None = None
    bitrate: float | None = None
    """kbit/s"""
    resolution: str | None = None
    """Such as 1920x1080."""
    recording: bool = False


class CameraStats(Message, frozen=True, kw_only=True):
    """What a camera's stream moved."""

    viewers: int = 0
    bytesTransferred: int = 0
    packetsLost: int = 0
    avgLatency: float | None = None
    """ms"""


class CameraEvent(Message, frozen=True, kw_only=True):
    """Something a camera saw."""

    type: str
    timestamp: Time
    confidence: float | None = None
    """0 to 1"""
    region: str | None = None
    snapshot_url: str | None = None


class CameraRegistration(Message, frozen=True, kw_only=True):
    """A camera that an edge gateway found."""

    name: str
    model: str = ""
    ip: str = ""
    rtspUrl: str = ""
    capabilities: list[str] = []
    """Of onvif, motion, audio, ptz."""


class RecordingMade(Message, frozen=True, kw_only=True):
    """One recording segment, finished."""

    started_at: Time
    ended_at: Time
    file_path: str
    file_size_mb: float


class CameraConfig(Message, frozen=True, kw_only=True):
    """What a camera should do; None leaves it as it is."""

    fps: float | None = None
    bitrate: float | None = None
    """kbit/s"""
    resolution: str | None = None
    motionDetection: bool | None = None


class GatewayHeartbeat(Message, frozen=True, kw_only=True):
    """A sign of life of an edge gateway."""

    timestamp: Time
    uptime: float
    """s"""
    cpu: float
    """%"""
    memory: float
    """MB"""
    diskUsage: float
    """%"""


class GatewayStats(Message, frozen=True, kw_only=True):
    """What an edge gateway's streams moved."""

    timestamp: Time
    cameras: int = 0
    bytesTransferred: int = 0


class GatewayStatus(Message, frozen=True, kw_only=True):
    """Whether an edge gateway is there; its Last Will says it is not."""

    online: bool
    timestamp: Time | None = None
