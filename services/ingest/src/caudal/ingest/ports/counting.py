"""What is counted at every door."""

from typing import Protocol

from caudal.common.domain.payloads.refusals import Refusal
from caudal.common.domain.readings import Inlet


class Tally(Protocol):
    """Counts what came in and what became of it."""

    def accepted(self, inlet: Inlet, readings: int) -> None:
        """`readings` were handed on."""
        ...

    def rejected(self, inlet: Inlet, kind: Refusal) -> None:
        """A payload was put away, whole or in part."""
        ...

    def dropped(self, reason: str) -> None:
        """A message was let go on purpose, such as a retained one that does not say when."""
        ...
