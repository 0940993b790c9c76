"""Clients of providers, kept from round to round: one remembers the token of a login."""

from collections import OrderedDict
from collections.abc import Callable

from caudal.common.domain.catalog import Provider
from caudal.common.domain.providers import provider_settings
from caudal.ingest.ports import ProviderClient, Vault

MAX_KEPT = 20_000
"""Clients in memory: one per provider, and one per point where points have secrets of their own."""

Open = Callable[[Provider, dict[str, str]], ProviderClient]


class KeptClients:
    """`ProviderClients` that are opened again when the provider's entry or its secrets change.

    Args:
        open_client: Makes one for a provider and secrets.
    """

    def __init__(self, open_client: Open) -> None:
        self._open = open_client
        self._kept: OrderedDict[tuple[str, str], tuple[Provider, dict[str, str], ProviderClient]] = OrderedDict()

    def of(self, provider: Provider, point: str, vault: Vault) -> ProviderClient:
        """As `ProviderClients`."""
        settings = provider_settings(provider.api or "", provider.connection, provider.authentication)
        is_of_point = settings.authentication.is_of_point()
        secrets = vault.of("point", point) if is_of_point else vault.of("provider", provider.code)
        key = (provider.code, point if is_of_point else "")
        known = self._kept.pop(key, None)
        if known is None or known[:2] != (provider, secrets):
            known = (provider, secrets, self._open(provider, secrets))
        self._kept[key] = known
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return known[2]
