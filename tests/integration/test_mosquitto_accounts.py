"""Who may say and hear what, by what the shipped broker configuration really delivers.

SUBACK says "granted" for what is forbidden too, so nothing here looks at it.
"""

from collections.abc import Iterator, Sequence

import aiomqtt
import pytest

from caudal.common.bus.topics import CATALOGUE, Topic
from servers.deployed_mosquitto import DeployedMosquitto

SERVICES = ("ingest", "processor", "gateway-api")
EVERYTHING = "\nuser observer\ntopic readwrite #\n"
"""A user of the test's own, who says and hears all."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedMosquitto]:
    secrets = {f"MQTT_PASSWORD_{name.upper().replace('-', '_')}": f"pw {name}" for name in SERVICES}
    server = DeployedMosquitto(tmp_path_factory.mktemp("deployed"), secrets, EVERYTHING)
    with server:
        server.stop()
        for name in ("observer", "meter-1", "ranch"):
            server.add_account(name)
        yield server.start()


def address(topic: Topic[object], own: str = "other") -> str:
    """An address of `topic`, below `own` where the first id is a device or a client."""
    return topic.address(**{name: own if i == 0 else "x" for i, name in enumerate(topic.parameters)})


async def said(broker: DeployedMosquitto, user: str, addresses: Sequence[str]) -> set[str]:
    """Those of `addresses` on which something is heard when `user` publishes on all of them.

    Each on a connection of its own: Mosquitto 2.0.11 ends that of who publishes what is forbidden.
    """
    marker = f"telemetry/{user}/uplink"
    heard: set[str] = set()
    async with broker.client("observer") as observer:
        await observer.subscribe("#", qos=1)
        for topic in [*addresses, marker]:
            async with broker.client(user) as speaker:
                await speaker.publish(topic, b"end" if topic is marker else b"{}")
        async for message in observer.messages:
            if message.payload == b"end":
                return heard
            heard.add(message.topic.value)
    raise AssertionError("the connection ended")


async def heard(broker: DeployedMosquitto, user: str, addresses: Sequence[str], end: str) -> set[str]:
    """Those of `addresses` that reach `user`, who has subscribed to all; `end` must be one that does."""
    received: set[str] = set()
    async with broker.client(user) as listener, broker.client("observer") as speaker:
        await listener.subscribe("#", qos=1)
        await listener.subscribe(f"$share/{user}/#", qos=1)
        for topic in addresses:
            await speaker.publish(topic, b"{}", qos=1)
        for _ in range(2):
            await speaker.publish(end, b"end", qos=1)
        async for message in listener.messages:
            if message.payload == b"end":
                return received
            received.add(message.topic.value)
    raise AssertionError("the connection ended")


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_says_what_the_catalogue_says_it_sends_and_nothing_else(
    broker: DeployedMosquitto, service: str
) -> None:
    addresses = {topic.template: address(topic) for topic in CATALOGUE}
    allowed = {address(topic) for topic in CATALOGUE if service in topic.senders}
    assert await said(broker, service, list(addresses.values())) == allowed


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_hears_what_the_catalogue_says_it_reads_and_nothing_else(
    broker: DeployedMosquitto, service: str
) -> None:
    allowed = [address(topic) for topic in CATALOGUE if service in topic.readers]
    assert await heard(broker, service, [address(topic) for topic in CATALOGUE], allowed[0]) == set(allowed)


async def test_a_device_says_its_own_uplink_only(broker: DeployedMosquitto) -> None:
    others = [address(topic) for topic in CATALOGUE]
    own = [address(topic, "meter-1") for topic in CATALOGUE if topic.template.startswith("telemetry")]
    assert await said(broker, "meter-1", [*others, *own]) == {"telemetry/meter-1/uplink"}


async def test_a_client_says_and_hears_its_own_cameras_and_gateway_only(broker: DeployedMosquitto) -> None:
    others = [address(topic) for topic in CATALOGUE]
    own = [t for t in CATALOGUE if t.template.startswith(("camera", "gateway"))]
    mine = [address(topic, "ranch") for topic in own]
    assert await said(broker, "ranch", [*others, *mine]) == {address(t, "ranch") for t in own if "edge" in t.senders}
    hears = {address(t, "ranch") for t in own if "edge" in t.readers}
    assert await heard(broker, "ranch", [*others, *mine], next(iter(hears))) == hears


@pytest.mark.parametrize(("user", "password"), [(None, None), ("ingest", "wrong"), ("nobody", "pw nobody")])
async def test_nobody_comes_in_without_an_account(
    broker: DeployedMosquitto, user: str | None, password: str | None
) -> None:
    client = aiomqtt.Client(broker.host, broker.port, username=user, password=password)
    with pytest.raises(aiomqtt.MqttError):
        async with client:
            pass


def test_passwords_are_hashed_and_devices_are_kept_through_a_restart(broker: DeployedMosquitto) -> None:
    accounts = dict(line.split(":", 1) for line in (broker.data / "passwords").read_text().splitlines())
    assert set(accounts) == {*SERVICES, "observer", "meter-1", "ranch"}
    assert all(value.startswith("$7$") for value in accounts.values())
