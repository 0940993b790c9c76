"""What a change of the configuration means for readings that were folded before it, and folding them again."""

from datetime import datetime

import msgspec
import structlog

from caudal.common.domain.errors import Transient
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.handlers.catalog import Changed
from caudal.gateway_api.handlers.telemetry import TelemetryDesk, process

_log = structlog.get_logger(__name__)


class Fold(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """Readings that are not what they would be under the present configuration."""

    start: datetime | None
    """None: from the first one on."""
    end: datetime | None
    """None: to the last."""
    readings: int
    """How many, at most."""
    order: str | None = None
    """The order to fold them again; None: nobody gave one, or the broker is away."""


async def fold_after(desk: TelemetryDesk, caller: Caller, changed: Changed, at_once: bool) -> Fold | None:
    """What has to be folded again after a change, and the order to do so if it is wanted; None: nothing."""
    past = changed.past
    if past is None:
        return None
    order = None
    if at_once:
        try:
            order = (await process(desk, caller, changed.point.code, past.start, past.end, wait_s=0.0)).id
        except Transient as error:
            # The change is made; that the past still has to be folded is what the answer says.
            _log.warning("cannot order a fold", point=changed.point.code, reason=str(error))
    return Fold(past.start, past.end, changed.readings, order)
