"""Settings of gateway-api, from the environment, read once by `main`."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from caudal.common.settings import Section


class GatewaySettings(Section):
    """What only gateway-api needs; each is `CAUDAL_…` in the environment."""

    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    """Of everything: API, documentation, health and metrics. 0: any free port, told in the log."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may call the API, with commas between them."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses or networks whose X-Forwarded-For is believed, with commas between them."""
    body_max_bytes: int = Field(default=1024 * 1024, ge=1024)
    push_max_bytes: int = Field(default=1024 * 1024, ge=1024)
    """Of one push; what doesn't fit in one message of the broker even compressed is refused all the same."""
    upload_max_bytes: int = Field(default=1024 * 1024 * 1024, ge=1024)
    """Of one file for a batch window."""
    keep_uploads_days: int = Field(default=7, ge=1)
    """How long a file for batch windows stays after it was uploaded, or after the last window that it was run as."""
    min_free_bytes: int = Field(default=256 * 1024 * 1024, ge=0)
    """Uploads and pushes are refused when the disk has less room."""
    order_wait_s: float = Field(default=8.0, ge=0, le=60)
    """How long an answer waits for the processor's before it is 202."""
    window_wait_s: float = Field(default=30.0, ge=0, le=600)
    """How long an answer waits for the loader's before it is 202."""
    provider_test_wait_s: float = Field(default=30.0, ge=0, le=120)
    """How long an answer waits for a provider that is tried before it is 202."""
    admin_email: str = "admin@caudal.local"
    """Of the first administrator, made when there is no user yet."""
    admin_password: SecretStr | None = None
    """None: one is made up and told once."""
    signing_key: SecretStr | None = None
    """PEM of a P-256 private key, and behind it those that signed before; None: kept in `<data_dir>/keys`, which
    replicas share, and changed by `rotate-keys`."""
    token_minutes: int = Field(default=60, ge=1, le=1440)
    """How long an access token is good."""
    session_days: int = Field(default=30, ge=1, le=365)
    """How long a login can be renewed."""
    redis_url: SecretStr = SecretStr("")
    """Where replicas count failed logins and requests together; empty: logins in the database, requests each alone."""
    rate_limit_address: str = "60000/minute"
    """How often one address may ask; empty: as often as it likes."""
    rate_limit_caller: str = "30000/minute"
    """How often one user or key may ask; empty: as often as it likes."""
    token_issuer: str = "caudal"
    token_audience: str = "caudal"

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
