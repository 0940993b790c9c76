"""Every topic of the bus, written once and rendered three ways: address, filter, parser."""

import re
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from caudal.common.bus import messages as m
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.ids import checked_id

M = TypeVar("M")


@dataclass(frozen=True)
class Topic(Generic[M]):
    """One topic: its template, what is said on it, who says it, who listens, and whether the broker keeps the last."""

    template: str
    message: type[M] | None
    """None: the payload is a device's own, of any shape."""
    senders: tuple[str, ...]
    readers: tuple[str, ...]
    retained: bool = False
    description: str = ""
    parameters: tuple[str, ...] = field(init=False, default=())
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False, default=re.compile(""))

    def __post_init__(self) -> None:
        names = tuple(re.findall(r"{(\w+)}", self.template))
        pattern = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[A-Za-z0-9_-]{1,64})", self.template) + r"\Z")
        object.__setattr__(self, "parameters", names)
        object.__setattr__(self, "_pattern", pattern)

    def address(self, **ids: str) -> str:
        """The topic for these ids.

        Raises:
            InvalidInput: an id has a character that a topic must not carry.
        """
        for name in self.parameters:
            checked_id(ids.get(name), name)
        return self.template.format(**ids)

    def filter(self, *, shared: str | None = None, **ids: str) -> str:
        """The subscription for all of these topics; ids given are fixed, `shared` names a group that divides them."""
        wanted = {name: checked_id(ids[name], name) if name in ids else "+" for name in self.parameters}
        plain = self.template.format(**wanted)
        return f"$share/{checked_id(shared, 'shared')}/{plain}" if shared else plain

    def parse(self, topic: str) -> dict[str, str] | None:
        """The ids in `topic`, or None if it is not one of these."""
        found = self._pattern.match(topic)
        return found.groupdict() if found else None


TELEMETRY_UPLINK: Topic[bytes] = Topic(
    "telemetry/{device}/uplink",
    None,
    ("device", "edge", "ingest", "gateway-api"),
    ("ingest",),
    description="What a device sends, in its own words; the point's mapping reads it. gateway-api replays rejects.",
)
PROVIDER_PUSH = Topic(
    "provider/{provider}/push",
    m.Push,
    ("gateway-api",),
    ("ingest",),
    description="What a provider handed in over HTTP; which devices it speaks of is known once it is read.",
)
PROVIDER_COMMAND = Topic(
    "provider/{provider}/command",
    m.Command,
    ("gateway-api",),
    ("ingest",),
    description="Try a provider (`test`): ask it for the latest values of a point, and hand nothing on. "
    "Or ask it for all its points in a round now (`poll`).",
)
PROVIDER_RESULT = Topic(
    "provider/{provider}/result",
    m.Result,
    ("ingest",),
    ("gateway-api",),
    description="What a provider that was tried answered, and what its mapping makes of it; that a round is ordered.",
)
KEY_USED = Topic(
    "key/{key}/used",
    m.KeyUsed,
    ("ingest",),
    ("gateway-api",),
    description="An API key is in use at ingest's door; said of each key once a minute at most.",
)
TELEMETRY_RAW = Topic(
    "telemetry/{device}/raw",
    m.RawReadings,
    ("ingest", "gateway-api"),
    ("processor",),
    description="Readings as numbers with times, before any judgement. gateway-api replays rejects.",
)
TELEMETRY_PROCESSED = Topic(
    "telemetry/{device}/processed",
    m.ProcessedReadings,
    ("processor",),
    ("compliance", "notifier", "gateway-api", "telegraf"),
    description="Readings after the fold, and amendments of earlier ones.",
)
TELEMETRY_ALERT = Topic(
    "telemetry/{device}/alert",
    m.Alert,
    ("processor", "compliance", "media", "kapacitor"),
    ("notifier", "gateway-api"),
    description="A rule found something that somebody should know.",
)
TELEMETRY_REJECTED = Topic(
    "telemetry/{device}/rejected",
    m.Rejected,
    ("ingest", "processor"),
    ("processor", "gateway-api"),
    description="What could not be read, whole, with the reason.",
)
TELEMETRY_SUBMISSION = Topic(
    "telemetry/{device}/submission",
    m.Submission,
    ("compliance",),
    ("notifier", "gateway-api"),
    description="What became of a submission to an authority.",
)
TELEMETRY_CONFIG = Topic(
    "telemetry/{device}/config",
    m.ConfigChanged,
    ("gateway-api",),
    ("ingest", "processor", "compliance", "notifier", "media", "edge"),
    retained=True,
    description="The catalog entry of this device changed: forget what you cached.",
)
TELEMETRY_COMMAND = Topic(
    "telemetry/{device}/command",
    m.Command,
    ("gateway-api",),
    ("processor",),
    description="Fold a device's point again (`process`), or mark a rejected payload as replayed (`replay`).",
)
TELEMETRY_RESULT = Topic(
    "telemetry/{device}/result",
    m.Result,
    ("processor",),
    ("gateway-api",),
    description="What became of a command about a device.",
)
SCHEMA_CONFIG = Topic(
    "schema/{schema}/config",
    m.SchemaChanged,
    ("gateway-api",),
    ("processor",),
    description="A dynamic schema is new, changed or gone.",
)
SCHEMA_COMMAND = Topic(
    "schema/{schema}/command",
    m.Command,
    ("gateway-api",),
    ("processor",),
    description="Compute all records of a schema again (`recompute`), or try one without keeping it (`preview`).",
)
SCHEMA_RESULT = Topic(
    "schema/{schema}/result",
    m.Result,
    ("processor",),
    ("gateway-api",),
    description="What became of a command about a schema, once it is done.",
)
WINDOW_COMMAND = Topic(
    "window/{window}/command",
    m.Command,
    ("gateway-api",),
    ("ingest",),
    description="Run an uploaded file as a batch window (`run`), or only tell what it would come to (`dry_run`).",
)
WINDOW_PROGRESS = Topic(
    "window/{window}/progress",
    m.Progress,
    ("ingest",),
    ("gateway-api",),
    description="How far a batch window is read; every few seconds while it lasts.",
)
WINDOW_RESULT = Topic(
    "window/{window}/result",
    m.Result,
    ("ingest",),
    ("gateway-api",),
    description="What became of a batch window: rows, rejected, path.",
)
ZIGBEE_UPLINK: Topic[bytes] = Topic(
    "zigbee2mqtt/{name}",
    None,
    ("zigbee2mqtt", "gateway-api"),
    ("ingest", "telegraf"),
    description="Zigbee2MQTT's flat JSON. Names may hold slashes: subscribe to zigbee2mqtt/#.",
)

CAMERA_REGISTER = Topic(
    "camera/{client}/{camera}/register", m.CameraRegistration, ("edge",), ("media", "gateway-api"), retained=True
)
CAMERA_STATUS = Topic(
    "camera/{client}/{camera}/status", m.CameraStatus, ("edge",), ("media", "notifier", "gateway-api"), retained=True
)
CAMERA_STATS = Topic("camera/{client}/{camera}/stats", m.CameraStats, ("edge",), ("media", "gateway-api"))
CAMERA_EVENTS = Topic("camera/{client}/{camera}/events", m.CameraEvent, ("edge",), ("media", "notifier", "gateway-api"))
CAMERA_RECORDING = Topic("camera/{client}/{camera}/recording", m.RecordingMade, ("edge",), ("media", "gateway-api"))
CAMERA_RESULT = Topic("camera/{client}/{camera}/result", m.Result, ("edge",), ("media", "gateway-api"))
CAMERA_COMMAND = Topic("camera/{client}/{camera}/command", m.Command, ("gateway-api",), ("edge",))
CAMERA_CONFIG = Topic("camera/{client}/{camera}/config", m.CameraConfig, ("gateway-api",), ("edge",), retained=True)
GATEWAY_HEARTBEAT = Topic(
    "gateway/{client}/heartbeat", m.GatewayHeartbeat, ("edge",), ("media", "notifier", "gateway-api")
)
GATEWAY_STATS = Topic("gateway/{client}/stats", m.GatewayStats, ("edge",), ("media", "gateway-api"))
GATEWAY_RESULT = Topic("gateway/{client}/result", m.Result, ("edge",), ("media", "gateway-api"))
GATEWAY_STATUS = Topic(
    "gateway/{client}/status", m.GatewayStatus, ("edge",), ("media", "notifier", "gateway-api"), retained=True
)
GATEWAY_COMMAND = Topic("gateway/{client}/command", m.Command, ("gateway-api",), ("edge",))

CATALOGUE: tuple[Topic[object], ...] = tuple(value for value in list(globals().values()) if isinstance(value, Topic))
"""All topics, in the order in which they are written here."""


def topic_of(address: str) -> Topic[object]:
    """The catalogue entry that `address` belongs to.

    Raises:
        InvalidInput: no topic of the catalogue has this form.
    """
    for topic in CATALOGUE:
        if topic.parse(address):
            return topic
    raise InvalidInput("topic", f"{address[:120]!r} is not in the catalogue")
