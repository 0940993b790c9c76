"""Secrets struck out of everything that people may see."""

import json
from base64 import b64encode
from collections import deque
from urllib.parse import quote, quote_plus

from caudal.common.domain.payloads.refusals import printable

STRUCK = "•••"
TOKENS = 8
"""How many tokens of logins are remembered."""
LEAST = 4
"""Characters of a secret; striking out shorter ones would leave no text whole."""


class Mask:
    """Strikes out secrets, also as they look in an address, in JSON and in a header."""

    def __init__(self) -> None:
        self._lasting: set[str] = set()
        self._passing: deque[set[str]] = deque(maxlen=TOKENS)
        self._forms: list[str] = []

    def add(self, secret: str) -> None:
        """Strike this one out, too."""
        self._lasting |= _forms(secret)
        self._sort()

    def add_pair(self, username: str, password: str) -> str:
        """Strike this pair out, and give it as basic authentication writes it."""
        pair = b64encode(f"{username}:{password}".encode()).decode()
        self.add(pair)
        return pair

    def add_token(self, token: str) -> None:
        """Strike out a token that will be followed by others."""
        self._passing.append(_forms(token))
        self._sort()

    def __call__(self, text: str) -> str:
        """`text` without secrets."""
        for form in self._forms:
            text = text.replace(form, STRUCK)
        return text

    def start_of(self, text: str, most: int, is_whole: bool = True) -> str:
        """At most the first `most` characters of `text` without secrets, and without half of one at the end.

        Args:
            text: What is to be shown.
            most: Characters.
            is_whole: Whether nothing was cut off from it before.
        """
        longest = max((len(form) for form in self._forms), default=0)
        cut = text[: most + longest]
        shown = self(cut)
        if len(cut) < len(text) or not is_whole:
            shown = shown[: max(len(shown) - longest, 0)]
        return shown[:most]

    def _sort(self) -> None:
        """Longest first: one secret may be a part of another."""
        self._forms = sorted(self._lasting.union(*self._passing), key=len, reverse=True)


def _forms(secret: str) -> set[str]:
    if len(secret) < LEAST:
        return set()
    escaped = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
    quoted = quote(secret, safe="", errors="replace"), quote(secret, errors="replace")
    return {secret, *quoted, quote_plus(secret, errors="replace"), printable(secret), *escaped}
