"""Walking the audit log's chain from its first line to its last."""

from collections.abc import Callable
from dataclasses import dataclass

from caudal.gateway_api.domain.audit import FIRST, broken_by
from caudal.gateway_api.ports import AuditChain

AT_ONCE = 1000
"""Lines read at a time."""


@dataclass(frozen=True, slots=True)
class Walked:
    """How far the chain holds."""

    lines: int
    """Lines that hold."""
    head: str
    """Hash of the last line that holds; kept elsewhere, it shows later that nothing before it was taken away."""
    broken: str | None = None
    """What is wrong with the line behind it; None: the whole chain holds."""


async def walk(
    chain: AuditChain,
    expected: tuple[int, str] | None = None,
    tell: Callable[[int], None] = lambda _lines: None,
) -> Walked:
    """How far the chain holds; `expected` is the number and the hash of a line that somebody noted elsewhere."""
    number, previous = 0, FIRST
    while lines := await chain.lines(after=number, limit=AT_ONCE):
        for line in lines:
            if reason := broken_by(line, number + 1, previous):
                return Walked(number, previous, reason)
            number, previous = number + 1, line["hash"]
            if expected is not None and number == expected[0] and previous != expected[1]:
                return Walked(number - 1, line["previous"], f"line {number} is not the one that was noted")
        tell(number)
    if expected is not None and number < expected[0]:
        return Walked(number, previous, f"line {expected[0]} was noted and is not there: the end was cut off")
    return Walked(number, previous)
