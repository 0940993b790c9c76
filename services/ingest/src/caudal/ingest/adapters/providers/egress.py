"""Where requests may go: to the public internet and to networks that were named, whatever a name resolves to.

Whoever may write a provider's address could otherwise have us ask the machines next door, and read their answers.
"""

import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from caudal.common.domain.errors import InvalidInput

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")


class NotPublic(OSError):
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


class Guard(ThreadedResolver):
    """Resolves a name once and looks at every address; the connection is made to one that was looked at."""

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        self._networks = networks

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """As aiohttp's.

        Raises:
            NotPublic: one of the addresses is not to be asked.
        """
        found = await super().resolve(host, port, family)
        for entry in found:
            self.check(entry["host"])
        return found

    def check(self, host: str) -> None:
        """Nothing, if `host` is a name, or an address that may be asked; addresses are not resolved.

        Raises:
            NotPublic: it is another address.
        """
        try:
            # a link-local address has its zone behind a %
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return
        if not is_public(address) and not any(_unwrapped(address) in network for network in self._networks):
            raise NotPublic(f"{host} is not public")
