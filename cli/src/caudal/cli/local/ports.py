"""TCP ports of this machine."""

import os
import socket
from contextlib import closing

from caudal.common.domain.errors import Permanent

LOOPBACK = "127.0.0.1"
FIRST_FOR_ALL = 1024
"""Ports below are for the administrator of the machine."""


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of loopback now."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Different ports of loopback that nobody holds right now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def wanted_port(port: int, option: str) -> int:
    """`port`, if a server could listen there.

    Raises:
        Permanent: somebody else does, or we may not; the error names the option that chooses another.
    """
    if not is_free(port):
        why = "is the system's" if port < FIRST_FOR_ALL and os.geteuid() else "is in use by another program"
        raise Permanent(f"port {port} {why}; choose another one with {option}")
    return port
