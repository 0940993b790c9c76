"""What people are shown of an answer holds no secret, and no half of one."""

import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.common.domain.providers import Authentication
from caudal.ingest.adapters.providers.failures import retry_after_s
from caudal.ingest.adapters.providers.masking import LEAST, TOKENS, Mask

secrets = st.text(min_size=LEAST, max_size=30).filter(lambda text: not set(text) & {"•"})


@given(secret=secrets, before=st.text(max_size=50), behind=st.text(max_size=50), most=st.integers(1, 80))
def test_an_excerpt_ends_before_or_behind_a_secret(secret: str, before: str, behind: str, most: int) -> None:
    mask = Mask()
    mask.add(secret)
    for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
        shown = mask.start_of(before + form + behind, most)
        assert len(shown) <= most
        assert form not in shown
        assert mask(before + form + behind).startswith(shown)


def test_of_many_tokens_the_last_are_remembered() -> None:
    mask = Mask()
    mask.add("the-password")
    for number in range(1000):
        mask.add_token(f"token-{number:04d}")
    text = mask(f"the-password token-0000 token-{1000 - TOKENS:04d} token-0999")
    assert text == "••• token-0000 ••• •••"


@pytest.mark.parametrize("kind", ["none", "bearer", "header", "basic", "query", "login", "path_token", "device_token"])
def test_every_kind_of_authentication_names_its_secrets(kind: str) -> None:
    authentication = Authentication(kind=kind)  # type: ignore[arg-type]
    expected = {"none": (), "basic": ("username", "password"), "login": ("username", "password")}
    assert authentication.secrets() == expected.get(kind, ("token",))
    assert authentication.is_of_point() == (kind in ("path_token", "device_token"))


@given(st.text(max_size=40))
def test_any_retry_after_is_a_pause_or_nothing(header: str) -> None:
    pause = retry_after_s(header, datetime(2026, 3, 5, 14, tzinfo=UTC))
    assert pause is None or 0 <= pause <= 86_400
