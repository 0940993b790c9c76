"""Keep watch over points: notice who falls silent and who speaks again, and tell it once."""

from collections.abc import Collection, Sequence
from datetime import datetime

from caudal.processor.domain.silence import Silence, Watched, silences_of
from caudal.processor.ports import Silences

LOOKED_BACK_AT_ONCE = 500
"""Points whose earlier rows are read in one look; the others, of which there are many after a start, have to wait."""


class Vigil:
    """Looks at all points from time to time; what it remembers only saves questions, and may be lost."""

    def __init__(self, silences: Silences) -> None:
        self._silences = silences
        self._looked: dict[str, datetime] = {}
        """Point to its last reading when it was looked at."""
        self._heard: dict[str, dict[str, datetime]] = {}
        """Point to when the last value of each variable was measured."""
        self._begun: dict[str, datetime] = {}
        """Point to its last reading when we began, until its earlier rows are looked at."""

    async def begin(self) -> None:
        """Note how far readings go, before what waited for us is taken in: who falls silent in it has spoken by then.

        Raises:
            Transient: the database is away.
        """
        self._begun = {each.point: each.heard_at for each in await self._silences.watched()}

    async def look(self, now: datetime, *, may_begin: bool) -> dict[str, int]:
        """End silences that are over, and begin those that are new, if that may be said now; how many of each.

        Raises:
            Transient: the database is away.
        """
        watched = await self._silences.watched()
        known = {(each.point, each.variable): each for each in await self._silences.standing()}
        await self._listen([each for each in watched if not each.is_silent(now)], now)
        found = {(each.point, each.variable): each for each in self._judged(watched, list(known.values()), now)}
        begun = [silence for key, silence in found.items() if key not in known] if may_begin else []
        ended = [silence for key, silence in known.items() if key not in found]
        return {
            "fell silent": await self._silences.begin(begun),
            "speak again": await self._silences.end(ended, now),
        }

    def _judged(self, watched: Sequence[Watched], known: Sequence[Silence], now: datetime) -> list[Silence]:
        standing: dict[str, dict[str, datetime]] = {}
        for silence in known:
            standing.setdefault(silence.point, {})[silence.variable] = silence.since
        return [
            Silence(each.point, variable, since, each.device)
            for each in watched
            for variable, since in silences_of(
                each, self._heard.get(each.point, {}), standing.get(each.point, {}), now
            ).items()
        ]

    async def _listen(self, speaking: Collection[Watched], now: datetime) -> None:
        """Find out which variables have spoken: in the last row mostly, or in those before it."""
        asked = [each for each in speaking if self._is_incomplete(each)]
        spoken = await self._silences.spoken([each.point for each in asked])
        left = LOOKED_BACK_AT_ONCE
        for each in asked:
            heard = self._heard.setdefault(each.point, {})
            heard |= dict.fromkeys(spoken.get(each.point, ()), each.heard_at)
            missing = [code for code in each.variables if code not in heard or heard[code] < now - each.due]
            if missing and self._looked.get(each.point) != each.heard_at:
                if not left:
                    continue
                left -= 1
                await self._look_back(each, missing)
            self._looked[each.point] = each.heard_at

    async def _look_back(self, watched: Watched, missing: Collection[str]) -> None:
        """Look for variables in the last rows, and once in those that were the last when we began."""
        heard = self._heard[watched.point]
        for until in {self._begun.pop(watched.point, watched.heard_at), watched.heard_at}:
            for code, at in (await self._silences.heard(watched.point, missing, until)).items():
                heard[code] = max(at, heard.get(code, at))

    def _is_incomplete(self, watched: Watched) -> bool:
        """Whether the last row is new, or has not had all variables so far: the rest may come in another message."""
        heard = self._heard.get(watched.point, {})
        is_new = self._looked.get(watched.point) != watched.heard_at
        return is_new or any(heard.get(code) != watched.heard_at for code in watched.variables)
