"""The only place that makes and reads tokens: ES256 by python-jose, and nothing else."""

import base64
import hashlib
import json
import math
from datetime import datetime, timedelta
from typing import Any, TypeGuard
from uuid import uuid4

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jose import jwk, jwt
from jose.exceptions import JOSEError

from caudal.common.ports import Clock
from caudal.gateway_api.domain.errors import Unauthorized

ALGORITHM = "ES256"
MAX_TOKEN_BYTES = 4096
MAX_PROVEN = 1000
"""Of how many tokens it is remembered that they are ours."""
LEEWAY_S = 5.0
"""How far ahead another machine's clock may be."""
USE = "access"
"""What these tokens are for; one made for something else is refused."""

_HEADER_MAY_HAVE = {"alg", "typ", "kid"}
_REFUSED = Unauthorized("the token is not valid")


class JwtTokens:
    """Tokens that say who somebody is for a while; times are checked against `clock`."""

    def __init__(
        self, key: ec.EllipticCurvePrivateKey, clock: Clock, lifetime: timedelta, issuer: str, audience: str
    ) -> None:
        self._private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._public = public.decode()
        self._numbers: dict[str, Any] = jwk.construct(self._public, ALGORITHM).to_dict()
        self._kid = _thumbprint(self._numbers)
        self._clock = clock
        self._lifetime = lifetime
        self._issuer = issuer
        self._audience = audience
        self._proven: dict[str, dict[str, Any]] = {}
        """Claims of tokens whose signature was checked: it proves the same each time, at a third of a millisecond."""

    def issued(self, subject: str) -> tuple[str, datetime]:
        now = self._clock.now().replace(microsecond=0)
        expires_at = now + self._lifetime
        claims = {
            "sub": subject,
            "iss": self._issuer,
            "aud": self._audience,
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
            "jti": uuid4().hex,
            "use": USE,
        }
        return jwt.encode(claims, self._private, algorithm=ALGORITHM, headers={"kid": self._kid}), expires_at

    def subject_of(self, token: str) -> str:
        if len(token) > MAX_TOKEN_BYTES:
            raise _REFUSED
        claims = self._proven.get(token)
        if claims is None:
            claims = self._claims_of(token)
            if len(self._proven) >= MAX_PROVEN:
                self._proven.clear()
            self._proven[token] = claims
        self._check_times(claims)
        if claims.get("use") != USE:
            raise _REFUSED
        return str(claims["sub"])

    def _claims_of(self, token: str) -> dict[str, Any]:
        """What a token says whose signature is ours; whether it is time for it is not looked at."""
        try:
            self._check_header(jwt.get_unverified_header(token))
            return jwt.decode(
                token,
                self._public,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                # Times are checked against our clock and without int(), which 1e400 breaks.
                options={"require_aud": True, "require_iss": True, "require_sub": True}
                | {"verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except (JOSEError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
            raise Unauthorized("the token is not valid") from error

    def key_set(self) -> dict[str, Any]:
        return {"keys": [{**self._numbers, "kid": self._kid, "use": "sig", "alg": ALGORITHM}]}

    def _check_header(self, header: dict[str, Any]) -> None:
        """Refuse every header but our own; a key that it brings or names (jwk, jku, x5u) is never looked at."""
        if header.get("alg") != ALGORITHM or header.get("kid") != self._kid or "crit" in header:
            raise _REFUSED

    def _check_times(self, claims: dict[str, Any]) -> None:
        now = self._clock.now().timestamp()
        expires, issued, begins = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)
        if not (_is_time(expires) and _is_time(issued) and _is_time(begins)):
            raise _REFUSED
        if not expires > now or issued > now + LEEWAY_S or begins > now + LEEWAY_S:
            raise _REFUSED


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _thumbprint(numbers: dict[str, Any]) -> str:
    """RFC 7638: the same for the same key, wherever it is computed."""
    required = {name: numbers[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(required, sort_keys=True, separators=(",", ":")).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
