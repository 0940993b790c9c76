"""Where requests may go: to the public internet and to networks that were named, whatever a name resolves to.

Whoever may write a provider's address could otherwise have us ask the machines next door, and read their answers.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpcore
import httpx

from caudal.common.domain.errors import InvalidInput

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")


class NotPublic(httpcore.ConnectError):
    """A name leads to an address that nobody allowed."""


def networks_from(texts: Iterable[str]) -> list[Network]:
    """Networks such as `10.1.0.0/16`.

    Raises:
        InvalidInput: one is none.
    """
    try:
        return [ip_network(text.strip()) for text in texts if text.strip()]
    except ValueError as error:
        raise InvalidInput("networks", f"{error}: write them like 10.1.0.0/16") from error


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, however it is wrapped."""
    bare = _unwrapped(address)
    return bare.is_global and not bare.is_multicast


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (address, address))[1]


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name once, looks at every address, and connects to none that it has not looked at."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """As httpcore's."""
        found = await _resolved(host, port, timeout)
        if not all(self._is_allowed(address) for address in found):
            raise NotPublic(f"{host} is at an address that is not public")
        for address in found[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
        return await self._inner.connect_tcp(str(found[-1]), port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """No provider is there."""
        raise NotPublic("a socket of this machine is no provider")

    async def sleep(self, seconds: float) -> None:
        """As httpcore's."""
        await self._inner.sleep(seconds)

    def _is_allowed(self, address: Address) -> bool:
        bare = _unwrapped(address)
        return is_public(address) or any(bare in network for network in self._networks)


async def _resolved(host: str, port: int, timeout_s: float | None) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # a link-local address has its zone behind a %
        texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
        return [ip_address(text) for text in texts]
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(f"{host} is not resolved in time") from error
    except (OSError, UnicodeError, ValueError) as error:
        raise httpcore.ConnectError(f"{host} cannot be resolved") from error


class GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's transport over a `GuardedBackend`.

    httpx offers no way to hand a backend in; replacing the pool that it has made is held by a test.
    """

    def __init__(self, limits: httpx.Limits, trust: ssl.SSLContext, networks: Sequence[Network]) -> None:
        super().__init__(verify=trust, limits=limits, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trust,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=GuardedBackend(networks),
        )
