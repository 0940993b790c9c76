"""What `python -m caudal.gateway_api` does once and ends: each command, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.clock import SystemClock
from caudal.common.adapters.sealing import open_sealer
from caudal.common.adapters.sql import migrated, open_engine
from caudal.common.domain.errors import Permanent
from caudal.common.settings import CredentialSettings, ServiceSettings, SqlSettings
from caudal.gateway_api.adapters.import_sheets import ImportSheets
from caudal.gateway_api.adapters.key_ring import KeyFolder
from caudal.gateway_api.adapters.passwords import Argon2Passwords
from caudal.gateway_api.adapters.sql_catalog_store import SqlCatalogStore
from caudal.gateway_api.adapters.sql_checks import SqlAuditChain, migrations, missing_tables
from caudal.gateway_api.adapters.sql_credentials import SqlCredentials
from caudal.gateway_api.adapters.sql_grounds import SqlGrounds
from caudal.gateway_api.adapters.sql_identity_store import SqlIdentityStore
from caudal.gateway_api.adapters.sql_records import SqlRecords
from caudal.gateway_api.adapters.sql_together import SqlTogether
from caudal.gateway_api.domain.imports import Report
from caudal.gateway_api.domain.listing import MAX_PAGE_SIZE, Listing
from caudal.gateway_api.domain.permissions import CONSOLE, EVERYWHERE
from caudal.gateway_api.domain.records import CLIENTS, USERS
from caudal.gateway_api.domain.sessions import PendingReset, checked_password
from caudal.gateway_api.domain.tenancy import Account, Client
from caudal.gateway_api.entrypoints.console import Check, chain_check, import_progress, progress
from caudal.gateway_api.entrypoints.schemas.tenancy import ClientBody, UserBody
from caudal.gateway_api.handlers.catalog import CatalogDesk
from caudal.gateway_api.handlers.imports import How, ImportDesk, import_file
from caudal.gateway_api.handlers.keys import create_provider_key
from caudal.gateway_api.handlers.outbox import QuietRelay
from caudal.gateway_api.handlers.passwords import IssuedReset, issue_reset
from caudal.gateway_api.handlers.records import RecordsDesk, create
from caudal.gateway_api.handlers.tenancy import account_rule, client_rule
from caudal.gateway_api.handlers.verification import walk
from caudal.gateway_api.main import VERSION_TABLE, identity_of
from caudal.gateway_api.settings import GatewaySettings

KEY_MARGIN = timedelta(minutes=5)
"""How much longer than the last token a retired key is kept."""


async def rotate_credentials() -> int:
    """Seal every credential again with the newest key; how many.

    Raises:
        Permanent: one of them cannot be unsealed with any of the keys; nothing was changed.
    """
    async with _database() as engine:
        return await SqlCredentials(engine, open_sealer(CredentialSettings(), ServiceSettings().data_dir)).reseal()


@asynccontextmanager
async def _database() -> AsyncIterator[AsyncEngine]:
    """The database, for one command.

    Raises:
        Permanent: it has no tables yet.
    """
    engine = open_engine(SqlSettings())
    try:
        await migrated(engine, VERSION_TABLE)
        yield engine
    finally:
        await engine.dispose()


async def new_api_key(provider: str, label: str) -> str:
    """A new key for a provider, in plain text.

    Raises:
        NotFound: there is no such provider.
    """
    async with _database() as engine:
        identity = identity_of(GatewaySettings(), ServiceSettings().data_dir, engine, SystemClock())
        _, secret = await create_provider_key(identity, CONSOLE, provider, label)
        return secret


async def new_client(code: str, name: str) -> Client:
    """A new client.

    Raises:
        Conflict: there is one of this code.
        InvalidInput: a field cannot be used.
    """
    async with _database() as engine:
        desk = RecordsDesk(SqlRecords(engine), Argon2Passwords(), SystemClock())
        body = ClientBody(code=code, name=name)
        return await create(desk, CONSOLE, CLIENTS, body.made(desk.clock.now()), client_rule)


async def new_user(email: str, name: str, role: str, client: str | None, password: str) -> Account:
    """A new user with a password.

    Raises:
        Conflict: there is one of this address.
        InvalidInput: a field cannot be used, or there is no such role or client.
    """
    async with _database() as engine:
        desk = RecordsDesk(SqlRecords(engine), Argon2Passwords(), SystemClock())
        account = UserBody(email=email, name=name, role=role, client=client).made(desk.clock.now(), None)
        hashed = await desk.passwords.hashed(checked_password(password, account.email, "password"))
        return await create(desk, CONSOLE, USERS, account, account_rule, password_hash=hashed)


async def new_reset(email: str) -> IssuedReset:
    """A token with which a user sets a new password, once.

    Raises:
        NotFound: there is no such user.
    """
    async with _database() as engine:
        identity = identity_of(GatewaySettings(), ServiceSettings().data_dir, engine, SystemClock())
        return await issue_reset(identity, CONSOLE, email)


async def waiting_resets() -> list[PendingReset]:
    """Who asked for a new password and has not got one, the first to ask first; as many as one page has."""
    async with _database() as engine:
        listing = Listing(order=("requested_at",), page_size=MAX_PAGE_SIZE)
        return (await SqlIdentityStore(engine).pending_resets(listing, EVERYWHERE, SystemClock().now())).items


async def import_from(path: Path, how: How) -> Report:
    """What importing a file did; the service, where it runs, tells the others.

    Raises:
        InvalidInput: the file or the mapping cannot be used.
    """
    async with _database() as engine:
        clock = SystemClock()
        sealer = open_sealer(CredentialSettings(), ServiceSettings().data_dir)
        # A broker is not needed for it: what waits in the outbox is published by the service.
        catalog = CatalogDesk(SqlCatalogStore(engine), QuietRelay(), clock, sealer)
        records = RecordsDesk(SqlRecords(engine), Argon2Passwords(), clock)
        desk = ImportDesk(ImportSheets(), SqlGrounds(engine), SqlTogether(engine), catalog, records)
        return await import_file(desk, CONSOLE, path, how, import_progress)


def rotate_keys() -> None:
    """Sign tokens with a new key from now on; the old one checks those it signed until they have ended.

    Raises:
        Permanent: the keys are a setting's, or their folder cannot be written.
    """
    settings, now = GatewaySettings(), SystemClock().now()
    if settings.signing_key and settings.signing_key.get_secret_value():
        raise Permanent("CAUDAL_SIGNING_KEY holds the keys: put a new one before the old one, and take that out later")
    until = now + timedelta(minutes=settings.token_minutes) + KEY_MARGIN
    KeyFolder(ServiceSettings().data_dir / "keys").rotate(now, until)


async def verify(expected: tuple[int, str] | None) -> list[Check]:
    """Look at migrations, tables and the audit log."""
    async with _database() as engine:
        found, wanted = await migrations(engine, "caudal.gateway_api", VERSION_TABLE)
        checks = [Check("migrations", found == wanted, f"at {found or 'none'}, wanted {wanted}")]
        missing = await missing_tables(engine)
        checks.append(Check("tables", not missing, f"missing: {', '.join(missing)}" if missing else "all there"))
        if "audit_log" not in missing:
            checks.append(chain_check(await walk(SqlAuditChain(engine), expected, progress)))
        return checks
