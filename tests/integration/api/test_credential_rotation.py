"""Keys of credentials are changed by command, without starting anything again, and nothing is lost on the way."""

import os
import subprocess
import sys
from pathlib import Path

from caudal.common.adapters.sealing import new_key, open_sealer
from caudal.common.settings import CredentialSettings
from caudal.ingest.adapters.sql_secrets import SqlSecrets
from integration.api.house import ApiHouse, furnished

SECRETS = {"username": "operador", "password": "s3cr3t-that-nobody-reads"}


def rotate(url: str, data_dir: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What the command says."""
    environment = os.environ | {"CAUDAL_DATABASE_URL": url, "CAUDAL_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "caudal.gateway_api", "rotate-credentials", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


async def sealed(api: ApiHouse) -> dict[str, str]:
    """What the database has."""
    return dict(await api.rows("select name, sealed from gateway_credentials"))


async def test_a_new_key_takes_over_while_everything_runs_and_the_old_one_can_go(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with furnished(sqlite_url, tmp_path) as api:
        await api.add_provider("acme", credentials=SECRETS)
        secrets = SqlSecrets(api.engine, open_sealer(CredentialSettings(), tmp_path))
        keys, before = tmp_path / "keys" / "credentials.key", await sealed(api)
        old, new = keys.read_text().strip(), rotate(sqlite_url, tmp_path, "--new-key").stdout.strip()
        keys.write_text(f"{new}\n{old}\n")
        assert (await secrets.vault()).of("provider", "acme") == SECRETS
        done = rotate(sqlite_url, tmp_path)
        assert (done.returncode, done.stdout) == (0, "2 credentials sealed with the newest key\n")
        keys.write_text(f"{new}\n")
        assert all(text != before[name] for name, text in (await sealed(api)).items())
        assert (await secrets.vault()).of("provider", "acme") == SECRETS
        assert await api.house.door.asking.credentials.secret("provider", "acme", "password") == SECRETS["password"]


async def test_a_rotation_that_breaks_off_changes_nothing_and_can_be_repeated(sqlite_url: str, tmp_path: Path) -> None:
    async with furnished(sqlite_url, tmp_path) as api:
        await api.add_provider("acme", credentials=SECRETS)
        keys, lost = tmp_path / "keys" / "credentials.key", new_key()
        old, new = keys.read_text().strip(), new_key()
        keys.write_text(lost)
        changed = {"credentials": {"username": SECRETS["username"]}}
        assert (await api.admin.patch("/api/providers/acme", json=changed)).status_code == 200
        before = await sealed(api)
        keys.write_text(f"{new}\n{old}\n")
        broken = rotate(sqlite_url, tmp_path)
        assert (broken.returncode, broken.stdout) == (1, "")
        assert "Nothing was changed: the credential of provider/acme/username cannot be unsealed" in broken.stderr
        assert await sealed(api) == before
        keys.write_text(f"{new}\n{old}\n{lost}\n")
        assert [rotate(sqlite_url, tmp_path).returncode for _ in range(2)] == [0, 0]
        keys.write_text(f"{new}\n")
        found = [await api.house.door.asking.credentials.secret("provider", "acme", name) for name in SECRETS]
        assert found == list(SECRETS.values())
