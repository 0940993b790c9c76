"""What `verify` tells: one line per check, or one JSON object."""

import sys
from dataclasses import dataclass

import msgspec

from caudal.gateway_api.handlers.verification import Walked


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def chain_check(walked: Walked) -> Check:
    """What the audit log's chain looks like."""
    if walked.broken is not None:
        return Check("audit log", False, f"holds for {walked.lines} lines, then: {walked.broken}")
    return Check("audit log", True, f"{walked.lines} lines, head {walked.lines}:{walked.head}")


def told(checks: list[Check], as_json: bool) -> str:
    """The outcome of all checks."""
    if as_json:
        return msgspec.json.encode({"ok": all(check.ok for check in checks), "checks": checks}).decode()
    return "\n".join(f"{'ok    ' if check.ok else 'BROKEN'}  {check.name}: {check.detail}" for check in checks)


def progress(lines: int) -> None:
    """Say how far the walk has come, to whoever is watching."""
    if sys.stderr.isatty():
        print(f"\r{lines} lines of the audit log", end="", file=sys.stderr, flush=True)


def noted(text: str) -> tuple[int, str]:
    """A line's number and hash from `12:ab34…`.

    Raises:
        ValueError: it is no such thing.
    """
    number, _, head = text.partition(":")
    return int(number), head
