"""The view of API keys by which ingest knows who streams readings to it."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Publish digests, what each key is for, and whether it is in force."""
    op.execute(
        "create view catalog_api_keys as select api_keys.digest, api_keys.provider, api_keys.device,"
        " api_keys.permissions, api_keys.expires_at,"
        " api_keys.revoked_at is null and (clients.code is null or clients.active) as active"
        " from api_keys left join clients on clients.code = api_keys.client"
    )
