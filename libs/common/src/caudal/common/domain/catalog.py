"""What a catchment point is and how its variables are to be read, as every service sees it.

Written by gateway-api alone. The dataclasses serve as HTTP schema (pydantic), as stored JSON (msgspec) and as plain
values in the domain, so that a rule about a point is said once.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from caudal.common.domain.errors import InvalidInput

_documented: dict[str, Any] = {"use_attribute_docstrings": True, "extra": "forbid", "allow_inf_nan": False}


class PointType(StrEnum):
    """Where the water is taken."""

    WELL = "WELL"
    RIVER = "RIVER"
    LAKE = "LAKE"
    RESERVOIR = "RESERVOIR"
    SPRING = "SPRING"
    DRAIN = "DRAIN"


class PointStatus(StrEnum):
    """How a point is doing. OFFLINE is set by the system alone."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    MAINTENANCE = "MAINTENANCE"
    ERROR = "ERROR"
    OFFLINE = "OFFLINE"


class VariableType(StrEnum):
    """What a variable measures; the unit in which it is stored follows from it."""

    LEVEL = "level"
    FLOW = "flow"
    AVERAGE_FLOW = "average_flow"
    TOTALIZER = "totalizer"
    TEMPERATURE = "temperature"
    PRESSURE = "pressure"
    PH = "ph"
    CONDUCTIVITY = "conductivity"
    TURBIDITY = "turbidity"
    OTHER = "other"


class ProviderType(StrEnum):
    """How readings come from a provider."""

    HTTP_API = "HTTP_API"
    """Over HTTP: it pushes to us, and with an `api` it is asked."""
    MQTT = "MQTT"
    WEBSOCKET = "WEBSOCKET"
    GRPC = "GRPC"
    CUSTOM = "CUSTOM"


UNITS: dict[VariableType, str] = {
    VariableType.LEVEL: "m",
    VariableType.FLOW: "l/s",
    VariableType.AVERAGE_FLOW: "l/s",
    VariableType.TOTALIZER: "m3",
    VariableType.TEMPERATURE: "°C",
    VariableType.PRESSURE: "bar",
    VariableType.PH: "pH",
    VariableType.CONDUCTIVITY: "µS/cm",
    VariableType.TURBIDITY: "NTU",
    VariableType.OTHER: "",
}


class CounterKind(StrEnum):
    """What a number from a counter counts."""

    TOTAL = "total"
    """All since the meter was installed."""
    DELTA = "delta"
    """What came since the previous reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseMeter:
    """Constants that turn pulses into volume: m³ = pulses × calibration_factor / (pulses_per_liter × 1000)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _documented

    pulses_per_liter: float
    """Pulses that one litre gives; above 0."""
    calibration_factor: float = 1.0
    """Correction of this meter; above 0."""

    def __post_init__(self) -> None:
        if not self.pulses_per_liter > 0:
            raise InvalidInput("pulses_per_liter", f"must be above 0, is {self.pulses_per_liter}")
        if not self.calibration_factor > 0:
            raise InvalidInput("calibration_factor", f"must be above 0, is {self.calibration_factor}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSwap:
    """An operator's word that the meter was replaced; it overrules what the fold would conclude."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _documented

    at: datetime
    """From this instant on readings are the new meter's; with a zone."""
    starts_at: float = 0.0
    """What the new meter showed when it was put in, in its own counts."""
    note: str = ""
    """Who, why."""

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise InvalidInput("at", "needs a time zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """How a totalizer (or a flow given in pulses) counts."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _documented

    kind: CounterKind = CounterKind.TOTAL
    """Counted since installation, or since the previous reading."""
    meter: PulseMeter | None = None
    """Pulse constants; None when the device already gives m³ (after `scale`)."""
    register_bits: int | None = None
    """Width of the register, if it is known to wrap; 8 to 64."""
    max_flow_lps: float = 1000.0
    """The greatest flow that this meter can see, l/s; above 0. What rises faster is flagged."""
    swaps: tuple[MeterSwap, ...] = ()
    """Declared meter replacements, oldest first."""

    def __post_init__(self) -> None:
        if self.register_bits is not None and not 8 <= self.register_bits <= 64:
            raise InvalidInput("register_bits", f"must be 8 to 64, is {self.register_bits}")
        if not self.max_flow_lps > 0:
            raise InvalidInput("max_flow_lps", f"must be above 0, is {self.max_flow_lps}")
        if any(a.at >= b.at for a, b in zip(self.swaps, self.swaps[1:], strict=False)):
            raise InvalidInput("swaps", "must be ordered by time, each instant once")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a variable in its stored unit; None: no bound. Values beyond them are flagged, never dropped."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _documented

    min: float | None = None
    """Below it a value is OUT_OF_RANGE."""
    max: float | None = None
    """Above it a value is OUT_OF_RANGE."""
    alert_below: float | None = None
    """Below it an alert is raised."""
    alert_above: float | None = None
    """Above it an alert is raised."""
    alert_at_zero: bool = False
    """Whether 0 is an alert."""
    reset_above: float | None = None
    """Level only: above it LEVEL_MAX_RESET is set."""

    def __post_init__(self) -> None:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise InvalidInput("min", f"{self.min} is above max {self.max}")


DEFAULT_LIMITS: dict[VariableType, Limits] = {
    VariableType.FLOW: Limits(min=0.0, max=1000.0, alert_at_zero=True),
    VariableType.AVERAGE_FLOW: Limits(min=0.0, max=1000.0),
    VariableType.TOTALIZER: Limits(min=0.0, max=999_999.0),
    VariableType.LEVEL: Limits(min=0.0, max=100.0, alert_above=90.0, reset_above=95.0),
}
"""What holds for a variable of this type until somebody sets its own limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One measured quantity of a point."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _documented

    code: str
    """Name in readings and in the store; unique within its point."""
    type: VariableType
    """What it measures."""
    name: str = ""
    """For people."""
    unit: str = ""
    """Unit of the stored value; empty: the type's own."""
    scale: float = 1.0
    """Measured × scale + shift is in the stored unit (m³ for a totalizer without pulses)."""
    shift: float = 0.0
    """See `scale`."""
    counter: Counter | None = None
    """Totalizers, and flows given in pulses; None: a totalizer in m³, a plain value otherwise."""
    sensor_depth_m: float | None = None
    """Level only: how deep the probe hangs below ground; gives `water_table_depth` beside the level."""
    limits: Limits | None = None
    """None: the defaults of the type."""
    sentinels: tuple[float, ...] = (-3200.0, -999.0)
    """Numbers that mean "no measurement"."""

    def __post_init__(self) -> None:
        if self.scale == 0:
            raise InvalidInput("scale", "must not be 0")

    def effective_limits(self) -> Limits:
        """Its own limits, or the defaults of its type."""
        return self.limits or DEFAULT_LIMITS.get(self.type, Limits())


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Thresholds of the rules that look at several variables or readings of a point."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _documented

    gap_factor: float = 3.0
    """A silence longer than this many sampling intervals is a gap: rates across it are not judged."""
    flow_total_tolerance: float = 0.5
    """FLOW_TOTAL_CONSISTENCY: how far growth may be from what the flow brings, as a share of it."""
    level_change_m: float = 1.0
    """LEVEL_ACCUMULATED_CONSISTENCY: a change of level that asks for a change of volume, m."""
    flow_total_consistency: bool = True
    """Whether that rule is applied."""
    level_accumulated_consistency: bool = True
    """Whether that rule is applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSource:
    """Where a provider that is asked keeps a point's values."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _documented

    remote_id: str
    """What the provider calls the point's device."""
    keys: dict[str, str]
    """Variable code to what the provider calls it."""
    history_from: datetime | None = None
    """From when on the provider's history is wanted, with a zone: nothing older is asked for, and all that is newer is,
    page by page behind what is new. None: a day back the first time, as ingest is set."""

    def __post_init__(self) -> None:
        if self.history_from is not None and self.history_from.tzinfo is None:
            raise InvalidInput("history_from", "needs a time zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """How readings of a point were read and judged until its configuration changed."""

    valid_until: datetime
    """Readings measured from this instant on are judged by the next version."""
    sampling_minutes: float
    """As in `Point`."""
    time_zone: str | None = None
    """As in `Point`; None: the point's own, as in versions from before zones had any."""
    rules: Rules = field(default_factory=Rules)
    variables: tuple[Variable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A catchment point as readers of the catalog see it."""

    code: str
    device: str
    client: str | None = None
    """Whose it is; None: only the platform's own staff see it."""
    provider: str | None = None
    type: PointType = PointType.WELL
    status: PointStatus = PointStatus.ACTIVE
    name: str = ""
    latitude: float | None = None
    """Degrees, WGS 84, north positive."""
    longitude: float | None = None
    """Degrees, WGS 84, east positive."""
    altitude_m: float | None = None
    """Above sea level."""
    time_zone: str = "UTC"
    """Zone of times that the device sends without one."""
    sampling_minutes: float = 60.0
    """How often a reading is expected; above 0."""
    mapping: str | dict[str, Any] | None = None
    """How its payloads are read: a preset's name or a mapping of its own; None: the provider's, else `caudal`."""
    max_rows: int | None = None
    """Cap of its series in the telemetry store; None: no cap."""
    source: PointSource | None = None
    """Where its provider keeps its values; None: nobody is asked, they come by themselves."""
    rules: Rules = field(default_factory=Rules)
    variables: tuple[Variable, ...] = ()
    earlier: tuple[Version, ...] = ()
    """What was valid before its present rules, variables, sampling and zone, oldest first; the first of them since
    ever."""

    def as_of(self, version: Version) -> "Point":
        """The point as it was in one of its earlier versions."""
        return replace(
            self,
            sampling_minutes=version.sampling_minutes,
            time_zone=version.time_zone or self.time_zone,
            rules=version.rules,
            variables=version.variables,
            earlier=(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A company or platform that hands us readings, as ingest sees it."""

    code: str
    client: str | None = None
    """Whose it is; None: shared by all clients."""
    name: str = ""
    type: ProviderType = ProviderType.HTTP_API
    api: str | None = None
    """Kind of HTTP API that is asked: tago, thethings, thingsboard or generic; None: it is not asked, it pushes."""
    connection: dict[str, Any] = field(default_factory=dict)
    """Where and how it is asked, without secrets."""
    authentication: dict[str, Any] = field(default_factory=dict)
    """Its `kind`, and the names of the secrets that it needs; their values are sealed elsewhere."""
    mapping: str | dict[str, Any] = "caudal"
    time_zone: str = "UTC"
    active: bool = True
    testing: bool = False
    """Whether it is only being tried: it is asked when somebody orders a test, and not otherwise."""


_NO_ZONES = ("localtime", "posixrules", "Factory", "posix/", "right/")
"""Files beside the zones: they mean another time on each machine, none, or one that counts leap seconds."""


def checked_zone(name: str, field: str) -> str:
    """`name`, if it is a time zone of the IANA database.

    Raises:
        InvalidInput: it is not; the error names `field`.
    """
    try:
        if name.startswith(_NO_ZONES):
            raise ZoneInfoNotFoundError(name)
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(field, f"{name[:80]!r} is not a time zone such as America/Santiago") from error
    return name
