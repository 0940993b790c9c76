"""The only place that makes and reads tokens: ES256 by python-jose, and nothing else."""

import base64
import hashlib
import json
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeGuard
from uuid import uuid4

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jose import jwk, jwt
from jose.exceptions import JOSEError
from jose.utils import base64url_decode, base64url_encode

from caudal.common.ports import Clock
from caudal.gateway_api.adapters.key_ring import KeyRing, Keys
from caudal.gateway_api.domain.errors import Unauthorized
from caudal.gateway_api.domain.sessions import Bearer

ALGORITHM = "ES256"
MAX_TOKEN_BYTES = 4096
MAX_PROVEN = 1000
"""Of how many tokens it is remembered that they are ours."""
LEEWAY_S = 5.0
"""How far ahead another machine's clock may be."""
USE = "access"
"""What these tokens are for; one made for something else is refused."""

_REFUSED = Unauthorized("the token is not valid")


@dataclass(frozen=True, slots=True)
class _PublicKey:
    """A key that checks tokens."""

    pem: str
    numbers: dict[str, Any]
    until: datetime | None


class JwtTokens:
    """Tokens that say who somebody is for a while; times are checked against `clock`."""

    def __init__(self, keys: Keys, clock: Clock, lifetime: timedelta, issuer: str, audience: str) -> None:
        self._keys = keys
        self._clock = clock
        self._lifetime = lifetime
        self._issuer = issuer
        self._audience = audience
        self._proven: dict[str, dict[str, Any]] = {}
        """Claims of tokens whose signature was checked: it proves the same each time, at a third of a millisecond."""
        self._ring: KeyRing | None = None
        self._look()

    def issued(self, user: str, session: str) -> tuple[str, datetime]:
        self._look()
        now = self._clock.now().replace(microsecond=0)
        expires_at = now + self._lifetime
        claims = {
            "sub": user,
            "sid": session,
            "iss": self._issuer,
            "aud": self._audience,
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
            "jti": uuid4().hex,
            "use": USE,
        }
        return jwt.encode(claims, self._private, algorithm=ALGORITHM, headers={"kid": self._kid}), expires_at

    def read(self, token: str) -> Bearer:
        if len(token) > MAX_TOKEN_BYTES:
            raise _REFUSED
        claims = self._proven.get(token)
        if claims is None:
            claims = self._claims_of(token)
            if len(self._proven) >= MAX_PROVEN:
                self._proven.clear()
            self._proven[token] = claims
        self._check_times(claims)
        if claims.get("use") != USE or not isinstance(claims.get("sid"), str):
            raise _REFUSED
        return Bearer(str(claims["sub"]), claims["sid"])

    def key_set(self) -> dict[str, Any]:
        self._look()
        known = {kid: key for kid, key in self._public.items() if self._is_in_use(key)}
        return {"keys": [{**key.numbers, "kid": kid, "use": "sig", "alg": ALGORITHM} for kid, key in known.items()]}

    def _look(self) -> None:
        """Take over what has become of the keys."""
        ring = self._keys.ring()
        if ring is self._ring:
            return
        private = ring.signing.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        retired = dict(_known_by_name(each.key, each.until) for each in ring.retired)
        kid, signing = _known_by_name(ring.signing.public_key(), None)
        self._private, self._kid = private.decode(), kid
        self._public = {kid: signing, **{name: key for name, key in retired.items() if name != kid}}
        self._ring = ring

    def _claims_of(self, token: str) -> dict[str, Any]:
        """What a token says whose signature is ours; whether it is time for it is not looked at."""
        try:
            if not _is_in_one_spelling(token):
                raise _REFUSED
            return jwt.decode(
                token,
                self._key_for(jwt.get_unverified_header(token)),
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                # Times are checked against our clock and without int(), which 1e400 breaks.
                options={"require_aud": True, "require_iss": True, "require_sub": True}
                | {"verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except (JOSEError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
            raise Unauthorized("the token is not valid") from error

    def _key_for(self, header: dict[str, Any]) -> str:
        """The key of ours that the header names; a key that it brings (jwk, jku, x5u) is never looked at."""
        if header.get("alg") != ALGORITHM or "crit" in header:
            raise _REFUSED
        if header.get("kid") not in self._public:
            # Another replica may have a new one.
            self._look()
        key = self._public.get(header["kid"])
        if key is None or not self._is_in_use(key):
            raise _REFUSED
        return key.pem

    def _is_in_use(self, key: _PublicKey) -> bool:
        return key.until is None or self._clock.now() < key.until

    def _check_times(self, claims: dict[str, Any]) -> None:
        now = self._clock.now().timestamp()
        expires, issued, begins = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)
        if not (_is_time(expires) and _is_time(issued) and _is_time(begins)):
            raise _REFUSED
        if not expires > now or issued > now + LEEWAY_S or begins > now + LEEWAY_S:
            raise _REFUSED


def _is_in_one_spelling(token: str) -> bool:
    """Whether its parts are as we write them: decoding alone takes `/` for `_`, strange characters and spare bits."""
    parts = token.encode().split(b".")
    return all(base64url_encode(base64url_decode(part)) == part for part in parts)


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _known_by_name(key: ec.EllipticCurvePublicKey, until: datetime | None) -> tuple[str, _PublicKey]:
    public = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    numbers: dict[str, Any] = jwk.construct(public, ALGORITHM).to_dict()
    return _thumbprint(numbers), _PublicKey(public, numbers, until)


def _thumbprint(numbers: dict[str, Any]) -> str:
    """RFC 7638: the same for the same key, wherever it is computed."""
    required = {name: numbers[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(required, sort_keys=True, separators=(",", ":")).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
