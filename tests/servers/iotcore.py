"""The embedded broker of local mode."""

import sys
from collections.abc import Sequence

from servers.process import Server

PROGRAM = """\
from iotcore import IotCoreBroker
IotCoreBroker(listen="127.0.0.1", port={port}, max_payload_size=300000).run_forever()
"""


class Iotcore(Server):
    """A broker that knows MQTT 3.1.1 only and keeps everything in memory."""

    name = "iotcore"

    def command(self) -> Sequence[str]:
        return [sys.executable, "-c", PROGRAM.format(port=self.port)]
