"""Keys as ingest sees them: by id, with their client; none works whose provider's client was switched off."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Publish them anew."""
    op.execute("drop view catalog_api_keys")
    op.execute(
        "create view catalog_api_keys as select api_keys.id, api_keys.digest, api_keys.provider, api_keys.device,"
        " api_keys.client, api_keys.permissions, api_keys.expires_at,"
        " api_keys.revoked_at is null and (clients.code is null or clients.active) as active"
        " from api_keys left join providers on providers.code = api_keys.provider"
        " left join clients on clients.code = coalesce(api_keys.client, providers.client)"
    )
