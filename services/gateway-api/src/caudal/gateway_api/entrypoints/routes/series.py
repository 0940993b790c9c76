"""Stored values, as they were measured or made into intervals."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import InvalidInput
from caudal.common.ports import Function, Sample
from caudal.gateway_api.domain.cursors import cursor_of
from caudal.gateway_api.domain.intervals import Range, every, range_of
from caudal.gateway_api.entrypoints.access import SeriesReader
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import Door, TheDoor
from caudal.gateway_api.entrypoints.representations import CSV, PARQUET, as_csv
from caudal.gateway_api.entrypoints.schemas.common import Id, Instant, Text
from caudal.gateway_api.entrypoints.schemas.telemetry import SeriesAnswer
from caudal.gateway_api.handlers.series import (
    MAX_SAMPLES,
    SeriesPage,
    SeriesQuestion,
    archived_part,
    chosen_variables,
    page,
    pages,
    units_of,
)
from caudal.gateway_api.handlers.telemetry import point_of_code

series = room("telemetry")

DEFAULT_WIDTH = timedelta(days=1)
"""What is shown when no `from` is given."""
Format = Literal["json", "csv", "parquet"]


class SeriesQuery(BaseModel):
    """What `/api/telemetry/data/` is asked."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    point: Id
    """Code of the point."""
    variables: Text = ""
    """Codes with commas between them; all when left out."""
    start: Annotated[Instant | None, Field(alias="from")] = None
    """Included; a day before `to` if left out."""
    end: Annotated[Instant | None, Field(alias="to")] = None
    """Excluded; now if left out."""
    every: Text | None = None
    """Width of intervals such as 5m, 1h or 1d; left out: the samples themselves."""
    function: Function = Function.MEAN
    """What is made of the values of an interval."""
    format: Format | None = None
    """Left out: by the Accept header."""
    flags: bool = False
    """Tell the flags of samples (JSON, without `every`)."""
    cursor: Text | None = None
    """`next_cursor` of the page before (JSON)."""
    limit: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 10_000
    """Samples of one page (JSON)."""


@series.get(
    "/api/telemetry/data/",
    response_model=SeriesAnswer,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}, PARQUET: {"schema": {"type": "string"}}}}},
)
async def read_data(
    door: TheDoor, request: Request, caller: SeriesReader, query: Annotated[SeriesQuery, Query()]
) -> Response:
    """Show stored values; CSV and Parquet bring the whole range, JSON a page of it."""
    point = await point_of_code(door.telemetry, caller, query.point)
    question = _question(door, point, query)
    wanted = query.format or _accepted(request.headers.get("accept", ""))
    if query.flags and (wanted != "json" or question.every is not None):
        raise InvalidInput("flags", "come with samples in JSON: leave out `every` and `format`")
    if wanted != "json":
        return await _download(door, question, wanted)
    found = await page(door.series, question, cursor_of(query.cursor) if query.cursor else None, query.limit)
    samples = await _with_flags(door, question, found) if query.flags else found.samples
    return answer(_said(door, point, question, query, found, samples))


def _question(door: Door, point: Point, query: SeriesQuery) -> SeriesQuestion:
    wanted = [code.strip() for code in query.variables.split(",") if code.strip()]
    return SeriesQuestion(
        point=point.code,
        variables=chosen_variables(point, wanted),
        range=range_of(query.start, query.end, door.series.clock.now(), DEFAULT_WIDTH),
        every=every(query.every) if query.every is not None else None,
        function=query.function,
    )


def _accepted(accept: str) -> Format:
    """The first format in an Accept header that we write."""
    for part in accept.lower().split(","):
        kind = part.partition(";")[0].strip()
        if kind == "text/csv":
            return "csv"
        if kind in (PARQUET, "application/x-parquet", "application/parquet"):
            return "parquet"
        if kind in ("application/json", "*/*"):
            return "json"
    return "json"


async def _download(door: Door, question: SeriesQuestion, wanted: Format) -> Response:
    chunks = pages(door.series, question)
    # What fails does so here, while the answer can still say it.
    begun = _begun_with(await anext(chunks), chunks)
    body = as_csv(question.variables, begun) if wanted == "csv" else _as_parquet(question, begun)
    name = f"{question.point}.{wanted}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(body, media_type=CSV if wanted == "csv" else PARQUET, headers=headers)


def _as_parquet(question: SeriesQuestion, samples: AsyncIterator[list[Sample]]) -> AsyncIterator[bytes]:
    # Imported where it is used: few ask for it, and every start would wait for Arrow.
    from caudal.gateway_api.entrypoints.parquet_series import as_parquet

    return as_parquet(question.variables, samples)


async def _begun_with(first: list[Sample], rest: AsyncIterator[list[Sample]]) -> AsyncIterator[list[Sample]]:
    yield first
    async for samples in rest:
        yield samples


async def _with_flags(door: Door, question: SeriesQuestion, found: SeriesPage) -> list[dict[str, Any]]:
    if not found.samples:
        return []
    first, last = found.samples[0].at, found.samples[-1].at
    flags = await door.telemetry.ledger.flags(question.point, question.variables, first, last)
    return [{"at": s.at, "values": s.values, "flags": flags.get(s.at, {})} for s in found.samples]


def _said(
    door: Door, point: Point, question: SeriesQuestion, query: SeriesQuery, found: SeriesPage, samples: list[Any]
) -> dict[str, Any]:
    units = units_of(point)
    archive = archived_part(door.series, question.range)
    return {
        "point": point.code,
        "variables": {code: units[code] for code in question.variables},
        **_span(question.range),
        "every": query.every,
        "function": question.function if question.every is not None else None,
        "archive": _span(archive) if archive else None,
        "samples": samples,
        "next_cursor": found.next.text() if found.next else None,
    }


def _span(part: Range) -> dict[str, Any]:
    return {"from": part.start, "to": part.end}
