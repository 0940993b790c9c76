"""Sealed secrets are told to nobody without their key, and at no other place than their own."""

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from caudal.common.adapters.sealing import KEPT, Sealer, new_key, open_sealer
from caudal.common.domain.errors import Permanent
from caudal.common.settings import CredentialSettings

SECRET = "a secret with ñ and \U0001f511"
HERE, ELSEWHERE = "provider/acme/token", "provider/other/token"


def test_what_is_sealed_comes_back_at_its_place_alone() -> None:
    sealer = Sealer([new_key()])
    sealed = sealer.seal(HERE, SECRET)
    assert SECRET not in sealed
    assert sealer.unseal(HERE, sealed) == SECRET
    with pytest.raises(Permanent, match="another place"):
        sealer.unseal(ELSEWHERE, sealed)


def test_an_older_key_still_unseals_until_it_is_thrown_away() -> None:
    old, new = new_key(), new_key()
    sealed = Sealer([old]).seal(HERE, SECRET)
    assert Sealer([new, old]).unseal(HERE, sealed) == SECRET
    sealed_again = Sealer([new, old]).seal(HERE, SECRET)
    assert Sealer([new]).unseal(HERE, sealed_again) == SECRET
    with pytest.raises(Permanent, match="cannot be unsealed"):
        Sealer([new]).unseal(HERE, sealed)


@pytest.mark.parametrize("sealed", ["", "x", "gAAAAA", "é"])
def test_what_is_no_seal_is_refused(sealed: str) -> None:
    with pytest.raises(Permanent):
        Sealer([new_key()]).unseal(HERE, sealed)


@pytest.mark.parametrize("keys", [[], ["short"], [""]])
def test_what_is_no_key_is_refused(keys: list[str]) -> None:
    with pytest.raises(Permanent):
        Sealer(keys)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = open_sealer(CredentialSettings(), tmp_path)
    again = open_sealer(CredentialSettings(), tmp_path)
    assert again.unseal(HERE, first.seal(HERE, SECRET)) == SECRET
    assert stat.S_IMODE((tmp_path / KEPT).stat().st_mode) == 0o600


def test_keys_are_rotated_and_withdrawn_under_a_sealer_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / KEPT
    sealer = open_sealer(CredentialSettings(), tmp_path)
    sealed, old = sealer.seal(HERE, SECRET), path.read_text().strip()
    new = new_key()
    path.write_text(f"{new}\n{old}\n")
    sealed_again = sealer.seal(HERE, sealer.unseal(HERE, sealed))
    assert Sealer([new]).unseal(HERE, sealed_again) == SECRET
    path.write_text(f"{new}\n")
    assert sealer.unseal(HERE, sealed_again) == SECRET
    with pytest.raises(Permanent, match="cannot be unsealed"):
        sealer.unseal(HERE, sealed)


@pytest.mark.parametrize("spoiled", ["", "half a k", "\udcff"])
def test_a_file_that_holds_no_keys_for_a_moment_costs_nothing(tmp_path: Path, spoiled: str) -> None:
    path = tmp_path / "somewhere" / "keys"
    sealer = open_sealer(CredentialSettings(credentials_file=str(path)), tmp_path)
    keys, sealed = path.read_text(), sealer.seal(HERE, SECRET)
    path.write_bytes(spoiled.encode("utf-8", "surrogateescape"))
    assert sealer.unseal(HERE, sealed) == SECRET
    path.unlink()
    assert sealer.unseal(HERE, sealed) == SECRET
    path.write_text(keys)
    assert sealer.unseal(HERE, sealer.seal(HERE, SECRET)) == SECRET
    assert not (tmp_path / KEPT).exists()


def test_keys_that_are_set_leave_no_file(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    sealer = open_sealer(CredentialSettings(credentials_keys=SecretStr(f"{new}, {old}")), tmp_path)
    assert sealer.unseal(HERE, Sealer([old]).seal(HERE, SECRET)) == SECRET
    assert Sealer([new]).unseal(HERE, sealer.seal(HERE, SECRET)) == SECRET
    assert not (tmp_path / KEPT).exists()
