"""kill -9 of ingest under load: what the broker acknowledged to devices comes out, whatever is killed in between."""

import asyncio
import random
from collections import Counter

from buses import until
from caudal.common.bus.codec import encode
from ears import Ears
from figures import tell
from servers.service import Service

KILLS = 5
PER_ROUND = 1500


async def test_nothing_acknowledged_is_lost_by_kill_nine(ingest: Service, ears: Ears) -> None:
    chance = random.Random(7)
    acknowledged: set[int] = set()
    for round_number in range(KILLS):
        sending = asyncio.create_task(
            _send(ears, range(round_number * PER_ROUND, (round_number + 1) * PER_ROUND), acknowledged)
        )
        await asyncio.sleep(chance.uniform(0.02, 0.25))
        await asyncio.to_thread(ingest.kill)
        await sending
        await asyncio.to_thread(ingest.start)

    def heard() -> Counter[int]:
        return Counter(int(reading.values["n"]) for reading in ears.readings("D-load"))

    await until(lambda: acknowledged <= set(heard()))
    counts = heard()
    again = sum(counts.values()) - len(counts)
    sent = KILLS * PER_ROUND
    tell("kill -9 of ingest", sent=sent, acknowledged=len(acknowledged), heard=len(counts), heard_again=again)
    assert len(acknowledged) == KILLS * PER_ROUND
    assert set(counts) == acknowledged


async def _send(ears: Ears, numbers: range, acknowledged: set[int]) -> None:
    for start in range(numbers.start, numbers.stop, 50):
        some = range(start, start + 50)
        await ears.say(*(("telemetry/D-load/uplink", _reading(number)) for number in some))
        acknowledged.update(some)


def _reading(number: int) -> bytes:
    return encode({"ts": 1_700_000_000 + number, "values": {"n": number}})
