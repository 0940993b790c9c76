"""Dynamic schemas and their records."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Annotated, Any

from fastapi import Depends, Response

from caudal.common.domain.schemas import Schema
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.records import RECORDS, SCHEMAS, GroupRecord
from caudal.gateway_api.entrypoints.access import SchemaEditor, SchemaReader
from caudal.gateway_api.entrypoints.answers import room
from caudal.gateway_api.entrypoints.door import Door, TheDoor
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating, IfMatch
from caudal.gateway_api.entrypoints.rooms import Room
from caudal.gateway_api.entrypoints.routes.readings import ordered
from caudal.gateway_api.entrypoints.schemas.common import Id, Listed
from caudal.gateway_api.entrypoints.schemas.dynamic import PreviewBody, SchemaBody, SchemaPatch
from caudal.gateway_api.entrypoints.schemas.telemetry import OrderAnswer
from caudal.gateway_api.handlers.orders import done_or_under_way
from caudal.gateway_api.handlers.records import one
from caudal.gateway_api.handlers.schemas import preview, recompute, schema_rule

schemas = room("schemas")


async def _told(door: Door) -> None:
    await door.schemas.relay.deliver_soon()


_schemas = Room(SCHEMAS, SchemaBody, lambda door: schema_rule(door.schemas), _told)

AskedSchemas = Annotated[Asked, Depends(asked_for(SCHEMAS.shape))]


@schemas.get("/api/schemas/", response_model=Listed[Schema], responses=AS_FILE)
async def list_schemas(door: TheDoor, caller: SchemaReader, asked: AskedSchemas) -> Response:
    """List dynamic schemas: those of your client, and those that all clients share."""
    return await _schemas.listed(door, caller, asked)


@schemas.post("/api/schemas/", status_code=201, response_model=Schema)
async def add_schema(door: TheDoor, caller: SchemaEditor, creating: Creating, body: SchemaBody) -> Response:
    """Add a schema; its records are computed of all readings that there are, and as more come."""
    made = partial(body.made, door.records.clock.now(), caller.client)
    return await _schemas.added(door, caller, creating, made)


@schemas.post(
    "/api/schemas/preview/",
    response_model=OrderAnswer,
    responses={202: {"model": OrderAnswer, "description": "Still at it; ask `/api/telemetry/process/{order}`"}},
)
async def preview_schema(door: TheDoor, caller: SchemaEditor, creating: Creating, body: PreviewBody) -> Response:
    """Try a schema on up to 31 days of its first 20 points; `detail` has its records, and nothing is kept."""

    async def make() -> Response:
        schema = body.tried.made(door.records.clock.now(), caller.client)
        return ordered(done_or_under_way(await preview(door.schemas, caller, schema, body.start, body.end)))

    return await creating(make)


@schemas.get("/api/schemas/{code}", response_model=Schema)
async def get_schema(door: TheDoor, caller: SchemaReader, code: Id) -> Response:
    """Show a schema."""
    return await _schemas.one(door, caller, code)


@schemas.patch("/api/schemas/{code}", response_model=Schema)
async def patch_schema(door: TheDoor, caller: SchemaEditor, code: Id, expected: IfMatch, body: SchemaPatch) -> Response:
    """Change what is named; all records are computed anew, and the old ones are shown until then."""
    return await _schemas.changed(door, caller, code, expected, body)


@schemas.delete("/api/schemas/{code}", status_code=204)
async def remove_schema(door: TheDoor, caller: SchemaEditor, code: Id, expected: IfMatch) -> Response:
    """Delete a schema and its records; the readings stay."""
    return await _schemas.removed(door, caller, code, expected)


@schemas.get("/api/schemas/{code}/records/", response_model=Listed[GroupRecord], responses=AS_FILE)
async def list_records(
    door: TheDoor, caller: SchemaReader, code: Id, asked: Annotated[Asked, Depends(asked_for(RECORDS))]
) -> Response:
    """List records of your points, or of your client; without an `order` the newest come first. A file has a column
    for each field."""
    schema = await one(door.records, caller, SCHEMAS, code)
    read = partial(door.schemas.records.page, code, caller.scope)
    if not asked.as_file:
        return await listed(asked, read)
    codes = [each.code for each in schema.fields]

    async def lines(listing: Listing) -> Page[Any]:
        return (await read(listing)).mapped(_line)

    shape = replace(RECORDS, columns=(*RECORDS.columns, *(f"values.{code}" for code in codes)))
    return await listed(replace(asked, shape=shape), lines)


def _line(record: GroupRecord) -> SimpleNamespace:
    """A record with each of its values as a field of its own."""
    plain = {name: getattr(record, name) for name in RECORDS.columns}
    return SimpleNamespace(**plain, **{f"values.{code}": value for code, value in record.values.items()})


@schemas.post(
    "/api/schemas/{code}/recompute/",
    response_model=OrderAnswer,
    responses={202: {"model": OrderAnswer, "description": "Still at it; ask `/api/telemetry/process/{order}`"}},
)
async def recompute_records(door: TheDoor, caller: SchemaEditor, creating: Creating, code: Id) -> Response:
    """Compute all records of a schema again."""

    async def make() -> Response:
        return ordered(done_or_under_way(await recompute(door.schemas, caller, code)))

    return await creating(make)
