"""Secrets struck out of everything that people may see."""

import json
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

STRUCK = "•••"
LEAST = 4
"""Characters of a secret; striking out shorter ones would leave no text whole."""


class Mask:
    """Strikes out secrets, also as they look in an address, in JSON and in a header."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Strike this one out, too."""
        if len(secret) >= LEAST:
            escaped = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
            self._forms |= {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), *escaped}

    def add_pair(self, username: str, password: str) -> str:
        """Strike this pair out, and give it as basic authentication writes it."""
        pair = b64encode(f"{username}:{password}".encode()).decode()
        self.add(password)
        self.add(pair)
        return pair

    def __call__(self, text: str) -> str:
        """`text` without secrets."""
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, STRUCK)
        return text

    def start_of(self, text: str, most: int) -> str:
        """The first `most` characters of `text` without secrets, and without half of one at the end."""
        reach = most + max((len(form) for form in self._forms), default=0)
        return self(text[:reach])[:most]
