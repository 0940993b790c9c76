"""TLS and passwords: the bus reads all that was decrypted, and trusts no broker that it was not told to trust."""

import asyncio
import getpass
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buses import PATIENCE_S, Box, numbered, running, settings
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.domain.errors import Transient
from caudal.common.ports import Outgoing, Subscription
from certificates import write_certificate
from servers.mosquitto import Mosquitto


@dataclass(frozen=True)
class Secured:
    """A broker that speaks TLS and asks for a password, and what a client needs to know."""

    port: int
    certificate: Path


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    certificate, key, passwords = tmp_path / "broker.crt", tmp_path / "broker.key", tmp_path / "passwords"
    write_certificate(certificate, key)
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "edge", "geheim"], check=True, capture_output=True)
    lines = f"certfile {certificate}\nkeyfile {key}\npassword_file {passwords}\n"
    broker = Mosquitto(tmp_path / "mosquitto")
    text = broker.configuration.read_text().replace("allow_anonymous true", f"allow_anonymous false\n{lines}")
    broker.configuration.write_text(text)
    assert f"user {getpass.getuser()}" in text, "else the broker cannot read its key"
    with broker:
        yield Secured(broker.port, certificate)


async def test_messages_of_every_size_come_through_tls(secured: Secured) -> None:
    known = settings(secured.port, mqtt_tls_ca=secured.certificate, mqtt_username="edge", mqtt_password="geheim")
    box = Box()
    bus = MqttBus(known, "secured")
    bus.subscribe(Subscription(("t/#",), box.handle, max_batch=50))
    async with running(bus):
        await bus.publish(numbered("t/small", 2000))
        await box.holds(2000)
        for size in (16_383, 16_384, 16_385, 65_536, 250_000):
            await bus.publish([Outgoing("t/large", b"7".zfill(size))] * 20)
        await box.holds(2100)
        assert await bus.check() == {"main": "ok"}
    assert box.numbers == [*range(2000), *[7] * 100]


async def test_wrong_password_is_told_and_tried_again(secured: Secured) -> None:
    bus = MqttBus(settings(secured.port, mqtt_tls_ca=secured.certificate, mqtt_username="edge", mqtt_password="x"), "w")
    await refused(bus, "Not authorized")


# paho leaves the socket of a failed handshake to the garbage collector
@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_broker_with_another_certificate_is_not_trusted(secured: Secured, tmp_path: Path) -> None:
    write_certificate(tmp_path / "other.crt", tmp_path / "other.key")
    bus = MqttBus(settings(secured.port, mqtt_tls_ca=tmp_path / "other.crt", mqtt_username="edge"), "other")
    await refused(bus, "CERTIFICATE_VERIFY_FAILED")


async def refused(bus: MqttBus, why: str) -> None:
    """Run the bus until readiness says that it is refused, and why."""
    task = asyncio.create_task(bus.run())
    async with asyncio.timeout(PATIENCE_S):
        while (reason := await trouble(bus)) == "not connected yet":
            await asyncio.sleep(0.01)
    assert why in reason
    assert "geheim" not in reason
    task.cancel()
    await asyncio.wait([task])


async def trouble(bus: MqttBus) -> str:
    """What readiness says."""
    with pytest.raises(Transient) as caught:
        await bus.check()
    return str(caught.value).partition(": ")[2]
