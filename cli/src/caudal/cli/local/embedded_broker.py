"""Runs iotcore in this process until it is signalled: `python -m caudal.cli.local.embedded_broker CONFIGURATION`."""

import logging
import os
import signal
import sys

from iotcore import IotCoreBroker


def main(configuration: str) -> None:
    """Serve until SIGTERM or SIGINT; rumqttd has no way to be stopped but the end of its process."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    # rumqttd reports every packet as an error record of its tracing.
    logging.disable(logging.CRITICAL)
    broker = IotCoreBroker(config_path=configuration)
    broker.start()
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
