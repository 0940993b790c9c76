"""How often somebody may try to come in."""

import hashlib
from datetime import timedelta

ATTEMPTS = 5
"""Failures after which an account, or an address, has to wait."""
ATTEMPT_AGE = timedelta(minutes=15)
"""How long a failure counts."""


def digest_of(text: str) -> str:
    """`text` so that nobody can read it: people type passwords where the address belongs, so none is kept as it is."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
