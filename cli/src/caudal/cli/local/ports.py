"""TCP ports of this machine."""

import os
import random
import socket
from collections.abc import Collection
from contextlib import closing
from itertools import chain, islice

from caudal.common.domain.errors import Permanent

LOOPBACK = "127.0.0.1"
FIRST_FOR_ALL = 1024
"""Ports below are for the administrator of the machine."""

OURS = range(20_000, 32_768)
"""Where ports are chosen: those that no system gives to outgoing connections (Linux: from 32768, macOS: from 49152).

Another could be taken by somebody's connection before the service that it was chosen for listens there.
"""


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of loopback now."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int, besides: Collection[int] = ()) -> list[int]:
    """Different ports of loopback that nobody holds right now, none of those `besides` that are chosen already.

    Raises:
        Permanent: there are not so many.
    """
    first = random.randrange(len(OURS))
    candidates = chain(OURS[first:], OURS[:first])
    found = list(islice((port for port in candidates if port not in besides and is_free(port)), count))
    if len(found) < count:
        raise Permanent(f"not enough ports of {OURS.start} to {OURS.stop - 1} are free on {LOOPBACK}")
    return found


def wanted_port(port: int, option: str) -> int:
    """`port`, if a server could listen there.

    Raises:
        Permanent: somebody else does, or we may not; the error names the option that chooses another.
    """
    if not is_free(port):
        why = "is the system's" if port < FIRST_FOR_ALL and os.geteuid() else "is in use by another program"
        raise Permanent(f"port {port} {why}; choose another one with {option}")
    return port
