"""Questions asked by somebody known: credentials put where an API wants them, and tokens that expire renewed."""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from caudal.common.domain.payloads.paths import first_finder
from caudal.common.domain.providers import Authentication
from caudal.common.ports import Clock
from caudal.ingest.adapters.providers.failures import UNSUCCESSFUL, Failure, permanent, transient
from caudal.ingest.adapters.providers.http import Http, Sent
from caudal.ingest.domain.payloads import is_text
from caudal.ingest.ports import Failed

REFUSED_FOR = timedelta(minutes=5)
"""How long a refused login is not tried again: accounts are locked after a few."""

LOGINS = 3
"""Within a minute: an answer that is refused for another reason than the token is no reason to log in for ever."""

Judge = Callable[[Any, str], None]
"""(answer, its beginning for people)."""

_name = re.compile(r"\{(\w+)\}")


class Exchange:
    """Asks one provider as somebody.

    Args:
        authentication: Who we say we are.
        secrets: By name.
        http: Carries the questions.
        clock: For how long a refused login is left alone.
    """

    def __init__(self, authentication: Authentication, secrets: Mapping[str, str], http: Http, clock: Clock) -> None:
        self._authentication, self._secrets, self._http, self._clock = authentication, secrets, http, clock
        self._login_lock = asyncio.Lock()
        self._token: str | None = None
        self._logins: deque[datetime] = deque(maxlen=LOGINS)
        self._refusal: tuple[datetime, Failure] | None = None
        self._find_token = first_finder(authentication.token)
        for name in authentication.secrets():
            if name != "username":
                http.mask.add(secrets.get(name, ""))

    def mask(self, text: str) -> str:
        """`text` without secrets."""
        return self._http.mask(text)

    async def get(
        self,
        path: str,
        names: Mapping[str, str],
        params: Mapping[str, str],
        judge: Judge = lambda answer, raw: None,
        link: str = "",
    ) -> tuple[Any, str]:
        """What stands at a path, and the beginning of the answer for people.

        Args:
            path: Template.
            names: What `{…}` in the path stands for, apart from the token.
            params: As they are to be sent.
            judge: Raises a `Failure` if an answer says of itself that it is none.
            link: Address of a further page, instead of path and params.

        Raises:
            Failure: there is no telling.
        """
        self._require_secrets()
        if not all(is_text(text) for text in (*names.values(), *params.values())):
            raise permanent("a name over there is no text")
        filled = _filled(path, {**names, "token": self._secrets.get(self._authentication.secret, "")})
        sent = Sent(filled, {**({} if link else params), **self._parameters()}, {}, link=link)
        if self._authentication.kind != "login":
            return await self._judged(sent, self._headers(), judge)
        token = await self._logged_in(instead_of=None)
        try:
            return await self._judged(sent, self._bearer(token), judge)
        except Failure as failure:
            if failure.status not in (401, 403, UNSUCCESSFUL):
                raise
        token = await self._logged_in(instead_of=token)
        return await self._judged(sent, self._bearer(token), judge)

    async def _judged(self, sent: Sent, headers: Mapping[str, str], judge: Judge) -> tuple[Any, str]:
        try:
            answer, raw = await self._http.json(replace(sent, headers=headers))
        except Failure as failure:
            if failure.status == 401 and not self._authentication.is_of_point():
                failure.outcome = msgspec.structs.replace(failure.outcome, concerns_all=True)
            raise
        judge(answer, raw)
        return answer, raw

    def _require_secrets(self) -> None:
        for name in self._authentication.secrets():
            if not self._secrets.get(name):
                raise permanent(f"the secret {name!r} is not set")
            if not is_text(self._secrets[name]):
                raise permanent(f"the secret {name!r} is no text")

    def _headers(self) -> dict[str, str]:
        us = self._authentication
        match us.kind:
            case "bearer":
                return self._bearer(self._secrets[us.secret])
            case "header":
                return {us.header or "Authorization": _header(self._secrets[us.secret])}
            case "device_token":
                return {us.header or "Device-Token": _header(self._secrets[us.secret])}
            case "basic":
                pair = self._http.mask.add_pair(self._secrets["username"], self._secrets["password"])
                return {us.header or "Authorization": f"Basic {pair}"}
            case _:
                return {}

    def _parameters(self) -> dict[str, str]:
        us = self._authentication
        return {us.parameter: self._secrets[us.secret]} if us.kind == "query" else {}

    def _bearer(self, token: str) -> dict[str, str]:
        us = self._authentication
        return {us.header or "Authorization": f"{us.scheme} {_header(token)}".lstrip()}

    async def _logged_in(self, instead_of: str | None) -> str:
        """A token other than the one that is refused; whoever asks at the same time gets the same."""
        async with self._login_lock:
            now = self._clock.now()
            if self._token is not None and (self._token != instead_of or self._is_enough(now)):
                return self._token
            self._token = None
            if self._refusal and now < self._refusal[0]:
                raise self._refusal[1]
            self._token = await self._log_in()
            self._logins.append(now)
            return self._token

    def _is_enough(self, now: datetime) -> bool:
        return len(self._logins) == LOGINS and now - self._logins[0] < timedelta(minutes=1)

    async def _log_in(self) -> str:
        us = self._authentication
        fields = zip(us.login_fields, (self._secrets["username"], self._secrets["password"]), strict=True)
        try:
            answer, _ = await self._http.json(Sent(us.login_path, {}, {}, body=dict(fields)))
        except Failure as failure:
            raise self._remembered(failure) from None
        token = self._find_token(answer, answer) if self._find_token else None
        if not isinstance(token, str) or not token:
            raise transient("the login gives no token where one is expected: look at authentication.token")
        self._http.mask.add_token(token)
        return token

    def _remembered(self, failure: Failure) -> Failure:
        outcome = failure.outcome
        told = Failure(
            Failed(
                reason=f"login: {outcome.reason}",
                is_transient=outcome.is_transient,
                retry_after_s=outcome.retry_after_s,
                raw=outcome.raw,
            )
        )
        if not outcome.is_transient:
            self._refusal = (self._clock.now() + REFUSED_FOR, told)
        return told


def _header(secret: str) -> str:
    if not secret.isascii() or not secret.isprintable():
        raise permanent("a secret holds characters that no header can carry")
    return secret


def _filled(path: str, names: Mapping[str, str]) -> str:
    """`path` with every name replaced, so that none of them becomes more than one part of the path."""

    def part(name: re.Match[str]) -> str:
        value = names[name[1]]
        if value in ("", ".", ".."):
            raise permanent(f"what stands for {name[0]} is no part of a path")
        return quote(value, safe="")

    return _name.sub(part, path)
