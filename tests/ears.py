"""What tests of ingest share: a catalog in SQLite, and somebody who hears what ingest says."""

import sqlite3
from pathlib import Path

import msgspec

from buses import Box, settings
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.bus.codec import decode
from caudal.common.bus.messages import KeyUsed, RawReading, RawReadings, Rejected, Result
from caudal.common.domain.catalog import Point, Provider
from caudal.common.ports import Outgoing, Subscription

TABLES = """
create table catalog_points (code text, device text, provider text, type text, status text, name text, time_zone text,
    sampling_minutes real, max_rows integer, mapping text, rules text, source text, client text, latitude real,
    longitude real, altitude_m real, earlier text);
create table catalog_variables (point text, code text, position integer, body text);
create table catalog_providers (code text, name text, type text, api text, connection text, authentication text,
    mapping text, time_zone text, active integer, testing integer, client text);
create table catalog_credentials (owner_kind text, owner text, name text, sealed text, updated_at text);
create table catalog_api_keys (id text, digest text, provider text, device text, client text, permissions text,
    expires_at text, active integer);
"""
"""What gateway-api's views look like to who reads them."""

POINTS = (
    Point(code="P-1", device="D-claimed", time_zone="America/Santiago"),
    Point(
        code="P-2",
        device="D-mapped",
        mapping={
            "time": {"path": "fecha", "format": "%d/%m/%Y %H:%M"},
            "values": {"flow": {"path": "Q"}},
            "decimal": ",",
        },
        time_zone="America/Santiago",
    ),
    Point(code="P-3", device="D-others", provider="other"),
)
PROVIDERS = (
    Provider(
        code="acme",
        mapping={"readings": "data", "device": "serial", "time": {"path": "t"}, "values": {"flow": {"path": "q"}}},
    ),
)


def write_catalog(path: Path) -> None:
    """A database with these points and providers."""
    connection = sqlite3.connect(path)
    connection.executescript(TABLES)
    for point in POINTS:
        row = (
            point.code, point.device, point.provider, point.type, point.status, point.name, point.time_zone,
            point.sampling_minutes, point.max_rows,
            msgspec.json.encode(point.mapping), msgspec.json.encode(point.rules), None,
        )  # fmt: skip
        connection.execute("insert into catalog_points values (?,?,?,?,?,?,?,?,?,?,?,?,null,null,null,null,null)", row)
    connection.commit()
    connection.close()
    for provider in PROVIDERS:
        put_provider(path, provider)


def put_provider(path: Path, provider: Provider) -> None:
    """Have a provider in a catalog, in the place of the one of its code."""
    entry = (
        provider.code, provider.name, provider.type, provider.api, msgspec.json.encode(provider.connection),
        msgspec.json.encode(provider.authentication), msgspec.json.encode(provider.mapping), provider.time_zone,
        provider.active, provider.testing, provider.client,
    )  # fmt: skip
    with sqlite3.connect(path, timeout=10) as connection:
        connection.execute("delete from catalog_providers where code = ?", (provider.code,))
        connection.execute("insert into catalog_providers values (?,?,?,?,?,?,?,?,?,?,?)", entry)
    connection.close()


class Ears:
    """Hears what ingest says, and speaks for devices."""

    def __init__(self, port: int) -> None:
        self.box = Box()
        self._bus = MqttBus(settings(port), "ears")
        filters = ("telemetry/+/raw", "telemetry/+/rejected", "window/+/result", "key/+/used")
        self._bus.subscribe(Subscription(filters, self.box.handle))

    @property
    def bus(self) -> MqttBus:
        """The bus itself."""
        return self._bus

    async def say(self, *messages: tuple[str, bytes]) -> None:
        """Publish; returns once the broker has them."""
        await self._bus.publish([Outgoing(topic, payload) for topic, payload in messages])

    def bundles(self) -> list[RawReadings]:
        """All bundles heard so far."""
        return [decode(d.payload, RawReadings) for d in self.box.deliveries if d.topic.endswith("/raw")]

    def readings(self, device: str) -> list[RawReading]:
        """All readings of `device` heard so far."""
        return [reading for bundle in self.bundles() if bundle.device == device for reading in bundle.readings]

    def rejects(self, device: str | None = None) -> list[Rejected]:
        """All rejects heard so far."""
        heard = [decode(d.payload, Rejected) for d in self.box.deliveries if d.topic.endswith("/rejected")]
        return [reject for reject in heard if device in (None, reject.device)]

    def key_uses(self, key: str) -> list[KeyUsed]:
        """What was heard so far of this key."""
        return [decode(d.payload, KeyUsed) for d in self.box.deliveries if d.topic == f"key/{key}/used"]

    def results(self) -> list[Result]:
        """All answers to windows heard so far."""
        return [decode(d.payload, Result) for d in self.box.deliveries if d.topic.endswith("/result")]


def ingest_settings(port: int, folder: Path) -> dict[str, str]:
    """What ingest finds in its environment; the catalog is written."""
    database = folder / "catalog.db"
    if not database.exists():
        write_catalog(database)
    return {
        "CAUDAL_MQTT_PORT": str(port),
        "CAUDAL_DATABASE_URL": f"sqlite+aiosqlite:///{database}",
        "CAUDAL_DATA_DIR": str(folder),
        "CAUDAL_WINDOW_ROWS_PER_S": "0",
        "CAUDAL_WINDOW_ROWS_AHEAD": "0",
        "CAUDAL_MIGRATE": "true",
    }
