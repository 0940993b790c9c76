"""What would be gone if nobody were subscribed is not published, where the broker says who is."""

import pytest

from buses import Box, consumer, producer, queued, running
from caudal.common.domain.errors import Transient
from caudal.common.ports import Outgoing
from servers.mosquitto import Mosquitto


async def test_message_that_needs_a_reader_is_kept_back_until_somebody_is_subscribed(
    mosquitto: Mosquitto, name: str
) -> None:
    needed, other = Outgoing(f"{name}/a", b"1", needs_reader=True), Outgoing(f"{name}/b", b"1")
    box = Box()
    async with producer(mosquitto.port) as bus:
        await bus.publish([other])
        with pytest.raises(Transient, match=f"nobody is subscribed to {name}/a"):
            await bus.publish([other, needed, other])
        async with running(consumer(mosquitto.port, name, box.handle)):
            await bus.publish([needed])
            await box.holds(1)
    assert [delivery.topic for delivery in box.deliveries] == [needed.topic]


async def test_reader_that_is_away_counts(mosquitto: Mosquitto, name: str) -> None:
    await queued(mosquitto.port, name, 1)
    async with producer(mosquitto.port) as bus:
        await bus.publish([Outgoing(f"{name}/a", b"2", needs_reader=True)])
    box = Box()
    async with running(consumer(mosquitto.port, name, box.handle)):
        await box.holds(2)
    assert box.deliveries[-1].payload == b"2"
