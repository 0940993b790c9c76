"""Tokens: the attacks of RELIABILITY.md, each of them refused."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from jose import jwt

from caudal.common.domain.errors import Permanent
from caudal.common.testing.fake_clock import FakeClock
from caudal.gateway_api.adapters.key_ring import GivenKeys, KeyFolder, KeyRing
from caudal.gateway_api.adapters.signing_key import kept_signing_key, signing_key
from caudal.gateway_api.adapters.tokens import JwtTokens
from caudal.gateway_api.domain.errors import Unauthorized

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
CLOCK = FakeClock()
NOW = int(CLOCK.now().timestamp())


class OneKey:
    """A ring with one key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._ring = KeyRing(key)

    def ring(self) -> KeyRing:
        return self._ring


def tokens(key: ec.EllipticCurvePrivateKey = KEY, clock: FakeClock = CLOCK) -> JwtTokens:
    return JwtTokens(OneKey(key), clock, timedelta(minutes=5), "caudal", "caudal")


def encoded(part: object) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def header(**changes: Any) -> dict[str, Any]:
    kid = tokens().key_set()["keys"][0]["kid"]
    return {"alg": "ES256", "typ": "JWT", "kid": kid} | changes


def claims(**changes: Any) -> dict[str, Any]:
    whole = {
        "sub": "u1",
        "sid": "s1",
        "iss": "caudal",
        "aud": "caudal",
        "iat": NOW,
        "exp": NOW + 60,
        "use": "access",
    } | changes
    return {name: value for name, value in whole.items() if value is not ...}


def signed(head: dict[str, Any], body: object, key: ec.EllipticCurvePrivateKey = KEY) -> str:
    """A token signed by hand, so that nothing puts it right."""
    text = f"{encoded(head)}.{encoded(body)}"
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def with_public_key_as_secret(form: Callable[[ec.EllipticCurvePublicKey], bytes]) -> str:
    """A token signed with HS256, the public key being the secret."""
    mac = hmac.HMAC(form(KEY.public_key()), hashes.SHA256())
    text = f"{encoded(header(alg='HS256'))}.{encoded(claims())}"
    mac.update(text.encode())
    return f"{text}.{encoded(mac.finalize())}"


def pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def der(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def openssh(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


def test_token_by_hand_is_taken_so_that_the_attacks_below_mean_something() -> None:
    assert tokens().read(signed(header(), claims())).user == "u1"


def test_token_says_who_it_is_for_until_it_ends() -> None:
    clock = FakeClock()
    token, expires_at = tokens(clock=clock).issued("u1", "s1")
    assert expires_at == clock.now() + timedelta(minutes=5)
    assert tokens(clock=clock).read(token).user == "u1"
    clock.advance(minutes=5)
    with pytest.raises(Unauthorized):
        tokens(clock=clock).read(token)


def test_token_that_was_taken_before_is_refused_once_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caudal.gateway_api.adapters.tokens.MAX_PROVEN", 2)
    clock = FakeClock()
    checked = tokens(clock=clock)
    issued = [checked.issued(f"u{number}", "s1")[0] for number in range(5)]
    for _ in range(2):
        assert [checked.read(token).user for token in issued] == ["u0", "u1", "u2", "u3", "u4"]
    assert len(checked._proven) <= 2
    clock.advance(minutes=5)
    for token in issued:
        with pytest.raises(Unauthorized):
            checked.read(token)


def test_anybody_can_check_a_token_with_the_published_keys() -> None:
    token, _ = tokens(clock=FakeClock(CLOCK.now() + timedelta(days=3650))).issued("u1", "s1")
    found = jwt.decode(token, tokens().key_set(), algorithms=["ES256"], audience="caudal", issuer="caudal")
    assert found["sub"] == "u1"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b.c",
        "..",
        "é.é.é",
        "x" * 1_000_000,
        f"{encoded(header(alg='none'))}.{encoded(claims())}.",
        f"{encoded(header(alg='none'))}.{encoded(claims())}.{encoded(b'x')}",
        with_public_key_as_secret(pem),
        with_public_key_as_secret(der),
        with_public_key_as_secret(openssh),
        signed(header(), claims(), OTHER_KEY),
        signed(header(alg="ES384"), claims()),
        signed(header(alg=["ES256"]), claims()),
        signed(header(alg=None), claims()),
        signed(header(kid="../../etc/passwd"), claims()),
        signed(header(kid="' or 1=1 --"), claims()),
        signed(header(kid=None), claims()),
        signed(header(crit=["exp"]), claims()),
        signed(header(crit=["b64"], b64=False), claims()),
        signed(header(jwk=tokens(OTHER_KEY).key_set()["keys"][0]), claims(), OTHER_KEY),
        signed(header(jku="https://evil.example/jwks.json"), claims(), OTHER_KEY),
        signed(header(x5u="https://evil.example/x5u"), claims(), OTHER_KEY),
        signed(header(), [1, 2]),
        signed(header(), "text"),
        signed(header(), b"{"),
        signed(header(), b"[" * 3000),
        signed(header(), claims(exp=NOW)),
        signed(header(), claims(exp=NOW - 1)),
        signed(header(), claims(exp=...)),
        signed(header(), claims(exp=None)),
        signed(header(), claims(exp=str(NOW + 60))),
        signed(header(), claims(exp=True)),
        signed(header(), claims(exp=float("inf"))),
        signed(header(), claims(exp=float("nan"))),
        signed(header(), json.dumps(claims()).replace(str(NOW + 60), "1e400").encode()),
        signed(header(), claims(iat=...)),
        signed(header(), claims(iat=NOW + 600)),
        signed(header(), claims(nbf=NOW + 600)),
        signed(header(), claims(nbf="soon")),
        signed(header(), claims(aud="other")),
        signed(header(), claims(aud=...)),
        signed(header(), claims(aud=5)),
        signed(header(), claims(iss="other")),
        signed(header(), claims(iss=...)),
        signed(header(), claims(sub=...)),
        signed(header(), claims(sub=5)),
        signed(header(), claims(use="refresh")),
        signed(header(), claims(sid=...)),
        signed(header(), claims(sid=5)),
        signed(header(kid=["a"]), claims()),
        signed(header(), claims(use=...)),
    ],
)
def test_forged_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthorized, match="the token is not valid"):
        tokens().read(token)


@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(Unauthorized):
        tokens().read(text)


@given(st.integers(0, 400), st.integers(1, 255))
def test_any_changed_byte_is_refused(place: int, change: int) -> None:
    maker = tokens()
    raw = bytearray(maker.issued("u1", "s1")[0].encode())
    raw[place % len(raw)] ^= change
    with pytest.raises(Unauthorized):
        maker.read(raw.decode("latin-1"))


@pytest.mark.parametrize(
    "respell",
    [
        lambda token: token.replace("_", "/"),
        lambda token: token.replace("-", "+"),
        lambda token: token + "==",
        lambda token: token + "!",
        lambda token: token.replace(".", ".\u00e9", 1),
        lambda token: token[:-1] + _NEXT[token[-1]],
    ],
)
def test_a_token_has_one_spelling(respell: Callable[[str], str]) -> None:
    """Another spelling decodes to the same bytes, so that its signature would be right."""
    maker = tokens()
    issued = (maker.issued("u1", "s1")[0] for _ in range(100))
    spellings = next((token, respell(token)) for token in issued if respell(token) != token)
    assert maker.read(spellings[0]).user == "u1"
    with pytest.raises(Unauthorized):
        maker.read(spellings[1])


_NEXT = dict(zip("AQgw", "BRhx", strict=True))
"""What the last character of a signature may be, and one that differs in bits that mean nothing."""


class TestSigningKey:
    def test_it_is_made_once_and_read_by_its_owner_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "keys" / "signing.pem"
        first = kept_signing_key(path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert first.private_numbers() == kept_signing_key(path).private_numbers()
        assert [entry.name for entry in path.parent.iterdir()] == ["signing.pem"]

    def test_key_that_another_process_made_meanwhile_wins(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "signing.pem"
        theirs = kept_signing_key(path)
        answers = iter([False, True])
        monkeypatch.setattr(Path, "exists", lambda _path: next(answers))
        assert kept_signing_key(path).private_numbers() == theirs.private_numbers()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "nonsense",
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            .decode(),
            ec.generate_private_key(ec.SECP384R1())
            .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            .decode(),
            pem(KEY.public_key()).decode(),
        ],
    )
    def test_any_other_key_is_refused(self, text: str) -> None:
        with pytest.raises(Permanent):
            signing_key(text)


class TestRotation:
    def test_old_tokens_are_good_until_they_end_and_replicas_pick_new_keys_up(self, tmp_path: Path) -> None:
        clock = FakeClock()
        minutes = timedelta(minutes=5)
        here, elsewhere = (JwtTokens(KeyFolder(tmp_path), clock, minutes, "caudal", "caudal") for _ in range(2))
        old, ends_at = here.issued("u1", "s1")
        KeyFolder(tmp_path).rotate(clock.now(), ends_at)
        new, _ = here.issued("u2", "s2")
        assert [elsewhere.read(token).user for token in (old, new)] == ["u1", "u2"]
        assert len(elsewhere.key_set()["keys"]) == 2
        clock.advance(minutes=4, seconds=59)
        assert here.read(old).user == "u1"
        clock.advance(seconds=1)
        with pytest.raises(Unauthorized):
            JwtTokens(KeyFolder(tmp_path), clock, minutes * 9, "caudal", "caudal").read(old)
        assert len(elsewhere.key_set()["keys"]) == 1
        KeyFolder(tmp_path).rotate(clock.now(), clock.now() + minutes)
        assert len([path for path in tmp_path.iterdir() if path.name.startswith("retired")]) == 1

    def test_retired_key_has_lost_its_private_half(self, tmp_path: Path) -> None:
        folder = KeyFolder(tmp_path)
        folder.rotate(CLOCK.now(), CLOCK.now() + timedelta(minutes=5))
        (retired,) = (path.read_text() for path in tmp_path.iterdir() if path.name.startswith("retired"))
        assert "PRIVATE" not in retired
        assert (tmp_path / "signing.pem").stat().st_mode & 0o777 == 0o600

    def test_first_of_several_given_keys_signs_and_the_others_check(self) -> None:
        def private(key: ec.EllipticCurvePrivateKey) -> str:
            form = serialization.PrivateFormat.PKCS8
            return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()

        both = GivenKeys(private(OTHER_KEY) + private(KEY))
        checks = JwtTokens(both, CLOCK, timedelta(minutes=5), "caudal", "caudal")
        assert checks.read(tokens().issued("u1", "s1")[0]).user == "u1"
        with pytest.raises(Unauthorized):
            tokens().read(checks.issued("u2", "s2")[0])
