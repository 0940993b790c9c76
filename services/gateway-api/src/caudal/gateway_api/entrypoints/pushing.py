"""Who pushes: a provider that has a key of ours, or one that signs what it sends."""

from typing import Annotated

from fastapi import Depends, Header, Request

from caudal.gateway_api.domain.errors import Forbidden
from caudal.gateway_api.domain.signatures import MAX_ID
from caudal.gateway_api.entrypoints.access import KeyHeader, paid_by_address, pushing
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.schemas.common import Id
from caudal.gateway_api.handlers.intake import check_signer

SignatureHeader = Annotated[
    str | None,
    Header(description="`v1,<base64>` over id, timestamp and body, after Standard Webhooks, with `webhook_secret`."),
]
WebhookId = Annotated[str | None, Header(max_length=MAX_ID)]
TimestampHeader = Annotated[str | None, Header(description="Seconds since 1970; at most five minutes from now.")]


async def _pusher(
    request: Request,
    door: TheDoor,
    provider: Id,
    key: KeyHeader,
    webhook_signature: SignatureHeader = None,
    webhook_id: WebhookId = None,
    webhook_timestamp: TimestampHeader = None,
) -> str | None:
    if webhook_signature is None:
        holder = await pushing(request, door, key)
        if holder.device is not None:
            raise Forbidden("this API key is for one device: send its readings to /api/telemetry/uplink/")
        return holder.provider
    said = (webhook_id or "", webhook_timestamp or "", webhook_signature)
    async with paid_by_address(request, door):
        await check_signer(door.intake, provider, *said, body=await request.body())
    await door.rates.count("caller", f"provider/{provider}")
    return provider


Pusher = Annotated[str | None, Depends(_pusher)]
"""Code of the provider that has proved who it is, by a key or by its signature; None: a key of no provider."""
