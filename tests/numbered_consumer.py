"""A process that consumes numbered messages and writes each batch to a file before it returns.

Arguments: port, client id, filter, file, and after how many it kills itself (0: never) with its batch unacknowledged.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import uvloop

from caudal.common import logs
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.ports import Delivery, Outgoing, Subscription
from caudal.common.settings import MqttSettings


async def consume(port: int, client: str, topic_filter: str, path: str, dies_after: int) -> None:
    """Consume until killed."""
    logs.configure(client)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    written = 0

    async def handle(batch: Sequence[Delivery]) -> None:
        nonlocal written
        for delivery in batch:
            os.write(file, delivery.payload + b"\n")
            written += 1
            if written == dies_after:
                os.kill(os.getpid(), signal.SIGKILL)

    will = Outgoing(f"wills/{client}", b"gone")
    bus = MqttBus(MqttSettings(mqtt_port=port), client, will=will)
    bus.subscribe(Subscription((topic_filter,), handle, max_batch=7))
    running = asyncio.create_task(bus.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await bus.connected()
    print("connected", flush=True)
    await asyncio.wait([running])


if __name__ == "__main__":
    port, client, topic_filter, path, dies_after = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(consume(int(port), client, topic_filter, path, int(dies_after)))
