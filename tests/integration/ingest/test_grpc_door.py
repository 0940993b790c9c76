"""The gRPC door: a receipt after the broker's acknowledgement, a status and a field for everything else."""

import asyncio
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

import poison
from buses import PATIENCE_S
from caudal.common.domain.readings import Inlet
from caudal.ingest.entrypoints.grpc.readings_pb2 import Reading, Readings, Value
from certificates import write_certificate
from ears import Ears, ingest_settings
from figures import tell
from servers.mosquitto import Mosquitto
from servers.process import free_port
from servers.service import Service
from streaming import START, Sender, add_key, batch, reading, stamp

DEVICE_KEY, PROVIDER_KEY = "caudal_of-a-device", "caudal_of-a-provider"
KEYS = {
    DEVICE_KEY: {"device": "D-streams"},
    PROVIDER_KEY: {"provider": "acme"},
    "caudal_revoked": {"device": "D-streams", "active": 0},
    "caudal_expired": {"device": "D-streams", "expires_at": "2020-01-01T00:00:00.000000Z"},
    "caudal_reads": {"device": "D-streams", "permissions": '["telemetry:read"]'},
    "caudal_of-nobody": {},
    "caudal_of-a-stranger": {"provider": "nobody"},
    "caudal_of-a-device-that-is-told": {"device": "D-told"},
    "caudal_of-a-device-that-moved": {"device": "D-claimed", "client": "a"},
}
MALFORMED = 10_000
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def door(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Ingest with the door open; the port of the door."""
    folder, port = tmp_path_factory.mktemp("ingest-grpc"), free_port()
    settings = ingest_settings(broker.port, folder) | {"CAUDAL_GRPC_PORT": str(port)}
    for secret, fields in KEYS.items():
        add_key(folder / "catalog.db", secret, **fields)
    with Service(folder, "ingest", settings):
        yield port


@pytest.fixture
async def device(door: int, ears: Ears) -> AsyncIterator[Sender]:
    async with Sender(door, DEVICE_KEY) as sender:
        yield sender


@pytest.fixture
async def provider(door: int, ears: Ears) -> AsyncIterator[Sender]:
    async with Sender(door, PROVIDER_KEY) as sender:
        yield sender


async def refused(sender: Sender, message: Readings | bytes) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sender.send(message)
    return caught.value.code(), str(caught.value.details())


async def each(*batches: Readings | bytes) -> AsyncIterator[Readings | bytes]:
    for one in batches:
        yield one


# ---------------------------------------------------------------- what is taken


async def test_a_receipt_comes_when_the_reading_is_on_the_bus_with_every_value_as_it_was(
    device: Sender, ears: Ears
) -> None:
    values = {"total": Value(integer=2**53 + 1), "flow": Value(number=0.0), "rain": Value(text="12,5")}
    receipt = await device.send(batch("b-1", "", reading(0, **values)))
    assert (receipt.batch, receipt.accepted, receipt.HasField("refusal")) == ("b-1", 1, False)
    async with asyncio.timeout(PATIENCE_S):
        while not ears.readings("D-streams"):
            await asyncio.sleep(0.01)
    [bundle] = [each for each in ears.bundles() if each.device == "D-streams"]
    assert bundle.inlet is Inlet.GRPC
    assert bundle.readings[0].measured_at == START
    assert bundle.readings[0].values == {"total": 2**53 + 1, "flow": 0.0}
    assert "rain" in bundle.readings[0].problems, "what is no number is told beside the values, not lost"


async def test_a_stream_gets_one_receipt_per_batch_in_order(provider: Sender, ears: Ears) -> None:
    batches = [batch(f"b-{n}", "D-fleet", *(reading(10 * n + i) for i in range(10))) for n in range(50)]
    receipts = [receipt async for receipt in provider.stream(each(*batches))]
    assert [receipt.batch for receipt in receipts] == [f"b-{n}" for n in range(50)]
    assert {receipt.accepted for receipt in receipts} == {10}
    async with asyncio.timeout(PATIENCE_S):
        while len(ears.readings("D-fleet")) < 500:
            await asyncio.sleep(0.01)
    assert {bundle.provider for bundle in ears.bundles() if bundle.device == "D-fleet"} == {"acme"}


async def test_a_batch_that_cannot_be_used_does_not_end_the_stream(device: Sender) -> None:
    bad = batch("bad", "", Reading(measured_at=stamp(START)))
    receipts = [each async for each in device.stream(each(batch("a", "", reading(0)), bad, batch("c", "", reading(1))))]
    assert [(each.batch, each.accepted, each.refusal.field) for each in receipts] == [
        ("a", 1, ""),
        ("bad", 0, "readings[0].values"),
        ("c", 1, ""),
    ]


async def test_the_program_of_the_guide_gets_its_receipts(door: int, ears: Ears, tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/guides/grpc.md").read_text(), re.DOTALL)
    [made_by] = re.findall(r"python -m (grpc_tools.*)", (ROOT / "docs/guides/grpc.md").read_text())
    words = [sys.executable, "-m", *made_by.replace("_out=.", f"_out={tmp_path}").split()]
    subprocess.run(words, cwd=ROOT, check=True, timeout=60)
    environment = {**os.environ, "CAUDAL_GRPC": f"127.0.0.1:{door}", "CAUDAL_KEY": DEVICE_KEY}
    (tmp_path / "program.py").write_text(program)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "program.py"], cwd=tmp_path, env=environment, capture_output=True, timeout=60
    )
    assert done.stdout.decode().split("\n") == ["batch-0 1  ", "batch-1 1  ", "batch-2 1  ", ""], done.stderr


# ---------------------------------------------------------------- who may


@pytest.mark.parametrize(
    ("key", "status"),
    [
        (None, grpc.StatusCode.UNAUTHENTICATED),
        ("", grpc.StatusCode.UNAUTHENTICATED),
        ("caudal_wrong", grpc.StatusCode.UNAUTHENTICATED),
        ("caudal_revoked", grpc.StatusCode.UNAUTHENTICATED),
        ("caudal_expired", grpc.StatusCode.UNAUTHENTICATED),
        ("caudal_reads", grpc.StatusCode.PERMISSION_DENIED),
        ("caudal_of-nobody", grpc.StatusCode.PERMISSION_DENIED),
        ("caudal_of-a-stranger", grpc.StatusCode.PERMISSION_DENIED),
    ],
)
async def test_only_keys_that_are_in_force_and_for_this_hand_readings_in(
    door: int, ears: Ears, key: str | None, status: grpc.StatusCode
) -> None:
    async with Sender(door, key) as sender:
        code, _ = await refused(sender, batch("b", "D-nobody", reading(0)))
        assert code is status
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            [_ async for _ in sender.stream(each(batch("b", "D-nobody", reading(0))))]
        assert caught.value.code() is status
    assert ears.readings("D-nobody") == []


async def test_a_key_of_one_device_hands_in_nothing_of_another(device: Sender, ears: Ears) -> None:
    code, words = await refused(device, batch("b", "D-foreign", reading(0)))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "D-foreign" in words
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [_ async for _ in device.stream(each(batch("a", "D-streams", reading(0)), batch("b", "D-foreign", reading(0))))]
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert ears.readings("D-foreign") == []


async def test_a_key_of_a_provider_hands_in_nothing_of_another_providers_device(provider: Sender, ears: Ears) -> None:
    code, words = await refused(provider, batch("b", "D-others", reading(0)))
    assert (code, words) == (grpc.StatusCode.PERMISSION_DENIED, "device 'D-others' is not one of provider 'acme'")
    code, words = await refused(provider, batch("b", "", reading(0)))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert ears.readings("D-others") == []


async def test_a_key_of_a_client_hands_in_nothing_once_the_device_is_anothers(door: int, ears: Ears) -> None:
    async with Sender(door, "caudal_of-a-device-that-moved") as sender:
        code, words = await refused(sender, batch("b", "", reading(0)))
    assert (code, words) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "device 'D-claimed' is no longer one of the key's client",
    )
    assert ears.readings("D-claimed") == []


async def test_use_of_a_key_is_told_once_a_minute_and_not_with_each_batch(door: int, ears: Ears) -> None:
    async with Sender(door, "caudal_of-a-device-that-is-told") as sender:
        for number in range(3):
            await sender.send(batch("b", "", reading(number)))
    async with asyncio.timeout(PATIENCE_S):
        while len(ears.readings("D-told")) < 3:
            await asyncio.sleep(0.01)
    assert [use.key for use in ears.key_uses("of-a-device-that-is-told")] == ["of-a-device-that-is-told"]


# ---------------------------------------------------------------- what cannot be used

FAR = Timestamp(seconds=10**15)
BAD: dict[str, tuple[Readings, str]] = {
    "no readings": (batch("b", ""), "readings"),
    "too many readings": (batch("b", "", *(reading(n) for n in range(501))), "readings"),
    "a device that is no id": (batch("b", "a/b", reading(0)), "device"),
    "a long name": (batch("b" * 65, "", reading(0)), "batch"),
    "no time": (batch("b", "", reading(0), Reading(values={"flow": Value(number=1)})), "readings[1].measured_at"),
    "a time of no year": (batch("b", "", Reading(measured_at=FAR, values={"flow": Value(number=1)})), "measured_at"),
    "a time to come": (
        batch("b", "", reading(0), reading(52_560_000)),
        "readings[1].measured_at",
    ),
    "no values": (batch("b", "", Reading(measured_at=stamp(START))), "readings[0].values"),
    "too many values": (
        batch("b", "", reading(0, **{f"v{n}": Value(number=n) for n in range(201)})), "readings[0].values",
    ),
    "an empty value": (batch("b", "", reading(0, flow=Value())), "readings[0].values[flow]"),
    "no number": (batch("b", "", reading(0, flow=Value(number=float("nan")))), "readings[0].values[flow]"),
    "infinity": (batch("b", "", reading(0, flow=Value(number=float("-inf")))), "readings[0].values[flow]"),
    "a long text": (batch("b", "", reading(0, flow=Value(text="x" * 1001))), "readings[0].values[flow]"),
    "a code that is no id": (batch("b", "", reading(0, **{"a b": Value(number=1)})), "readings[0].values"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_what_cannot_be_used_is_told_by_its_field(device: Sender, case: str) -> None:
    message, field = BAD[case]
    code, words = await refused(device, message)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words.partition(": ")[0].endswith(field)


async def test_a_batch_is_taken_as_a_whole_or_not_at_all(provider: Sender, ears: Ears) -> None:
    ahead = reading(52_560_000)
    code, words = await refused(provider, batch("b", "D-whole", reading(0), reading(1), ahead))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words.startswith("readings[2].measured_at")
    assert (await provider.send(batch("b", "D-whole", reading(2)))).accepted == 1
    async with asyncio.timeout(PATIENCE_S):
        while not ears.readings("D-whole"):
            await asyncio.sleep(0.01)
    assert [each.measured_at for each in ears.readings("D-whole")] == [START + timedelta(minutes=2)]


async def test_a_message_beyond_the_bound_is_refused_unread(device: Sender) -> None:
    code, _ = await refused(device, b"\x0a" + b"x" * (2 * 1024 * 1024))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def broken(number: int, chance: random.Random) -> bytes:
    """A message that is broken somewhere; a few are as good as whole."""
    if number < len(poison.RECIPE):
        return poison.RECIPE[number]
    whole = bytearray(batch(f"b-{number}", "D-poison", reading(number), reading(number + 1)).SerializeToString())
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(whole))
        match chance.randrange(3):
            case 0:
                whole[place] = chance.randrange(256)
            case 1:
                del whole[place : place + chance.randrange(1, 9)]
            case _:
                whole[place:place] = chance.randbytes(chance.randrange(1, 9))
    return bytes(whole)


async def test_ten_thousand_malformed_messages_each_get_a_status_and_delay_nobody(provider: Sender, door: int) -> None:
    chance, outcomes, slowest = random.Random(20260302), Counter[str](), 0.0
    turns, wordless = asyncio.Semaphore(32), list[bytes]()

    async def say(payload: bytes) -> None:
        async with turns:
            try:
                await provider.send(payload)
                outcomes["taken"] += 1
            except grpc.aio.AioRpcError as error:
                outcomes[error.code().name] += 1
                wordless.extend([payload] if ": " not in str(error.details()) else [])

    begun = time.monotonic()
    async with asyncio.TaskGroup() as saying:
        for number in range(MALFORMED):
            saying.create_task(say(broken(number, chance)))
            if number % 1000 == 0:
                at = time.monotonic()
                assert (await provider.send(batch("good", "D-beside", reading(number)))).accepted == 1
                slowest = max(slowest, time.monotonic() - at)
    took_s = time.monotonic() - begun
    tell("malformed gRPC", **outcomes, seconds=took_s, slowest_good_one_ms=slowest * 1000)
    assert outcomes.total() == MALFORMED
    assert wordless == []
    assert set(outcomes) <= {"taken", "INVALID_ARGUMENT", "PERMISSION_DENIED"}
    assert outcomes["INVALID_ARGUMENT"] > MALFORMED / 4
    receipts = [each async for each in provider.stream(each(batch("after", "D-beside", reading(99_999))))]
    assert [each.accepted for each in receipts] == [1]


# ---------------------------------------------------------------- bounds and ends


async def test_without_a_broker_nothing_gets_a_receipt_and_what_is_sent_again_does(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "ingest").mkdir()
    with Mosquitto(tmp_path / "mosquitto") as broker:
        settings = ingest_settings(broker.port, tmp_path / "ingest") | {"CAUDAL_GRPC_PORT": str(port)}
        add_key(tmp_path / "ingest" / "catalog.db", DEVICE_KEY, device="D-streams")
        heard = Ears(broker.port)
        with Service(tmp_path / "ingest", "ingest", settings):
            async with Sender(port, DEVICE_KEY) as sender:
                broker.kill()
                code, words = await refused(sender, batch("b", "", reading(0)))
                assert code is grpc.StatusCode.UNAVAILABLE, words
                broker.start()
                running = asyncio.create_task(heard.bus.run())
                async with asyncio.timeout(30):
                    await heard.bus.connected()
                    while not await _taken(sender):
                        await asyncio.sleep(0.1)
                running.cancel()
                await asyncio.wait([running])


async def _taken(sender: Sender) -> bool:
    try:
        return (await sender.send(batch("b", "", reading(0)))).accepted == 1
    except grpc.aio.AioRpcError:
        return False


async def test_with_a_certificate_nobody_is_heard_in_plain(broker: Mosquitto, ears: Ears, tmp_path: Path) -> None:
    certificate, private_key, port = tmp_path / "ingest.crt", tmp_path / "ingest.key", free_port()
    write_certificate(certificate, private_key)
    settings = ingest_settings(broker.port, tmp_path) | {
        "CAUDAL_GRPC_PORT": str(port), "CAUDAL_MQTT_CLIENT_ID": "ingest-tls",
        "CAUDAL_GRPC_CERTIFICATE": str(certificate), "CAUDAL_GRPC_PRIVATE_KEY": str(private_key),
    }  # fmt: skip
    add_key(tmp_path / "catalog.db", DEVICE_KEY, device="D-sealed")
    trust = grpc.ssl_channel_credentials(certificate.read_bytes())
    with Service(tmp_path, "ingest", settings):
        async with Sender(port, DEVICE_KEY, trust) as sender:
            assert (await sender.send(batch("b", "", reading(0)))).accepted == 1
        async with Sender(port, DEVICE_KEY) as plain:
            with pytest.raises(grpc.aio.AioRpcError):
                await plain.send(batch("b", "", reading(1)), timeout_s=1.0)


async def test_an_open_stream_does_not_keep_the_service_from_stopping_in_order(
    broker: Mosquitto, ears: Ears, tmp_path: Path
) -> None:
    port, more = free_port(), asyncio.Event()
    settings = ingest_settings(broker.port, tmp_path) | {
        "CAUDAL_GRPC_PORT": str(port), "CAUDAL_MQTT_CLIENT_ID": "ingest-stopping", "CAUDAL_GRPC_CALLS": "1",
    }  # fmt: skip
    add_key(tmp_path / "catalog.db", DEVICE_KEY, device="D-streams")
    service = Service(tmp_path, "ingest", settings).start()

    async def endless() -> AsyncIterator[Readings]:
        yield batch("first", "", reading(0))
        await more.wait()

    async with Sender(port, DEVICE_KEY) as sender:
        receipts = sender.stream(endless())
        assert (await anext(receipts)).accepted == 1
        code, _ = await refused(sender, batch("b", "", reading(1)))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED, "a second call is one too many here"
        await asyncio.to_thread(service.stop)
        with pytest.raises(grpc.aio.AioRpcError):
            await anext(receipts)
        more.set()
    assert service.process is not None
    assert service.process.returncode == 0
