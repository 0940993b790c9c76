"""How often somebody may try to come in."""

import hashlib
from datetime import timedelta
from ipaddress import IPv6Address

ATTEMPTS = 5
"""Failures after which an account, or an address, has to wait."""
ATTEMPT_AGE = timedelta(minutes=15)
"""How long a failure counts."""


def digest_of(text: str) -> str:
    """`text` so that nobody can read it: people type passwords where the address belongs, so none is kept as it is."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def network_of(address: str | None) -> str:
    """Who counts as one: an address, or of IPv6 the /64 that a single line has, with 2⁶⁴ addresses to come from."""
    address = address or ""
    if ":" not in address:
        return address
    try:
        said = IPv6Address(address)
    except ValueError:
        return address
    mapped = said.ipv4_mapped
    return str(mapped) if mapped is not None else f"{IPv6Address(int(said) >> 64 << 64)}/64"
