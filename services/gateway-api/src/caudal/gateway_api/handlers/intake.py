"""What providers push and devices send: published once, acknowledged only when the broker has it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from caudal.common.bus.codec import decode_any, encode_msgpack
from caudal.common.bus.contents import MAX_PACKED, PLAIN_BYTES, packed
from caudal.common.bus.messages import Push
from caudal.common.bus.topics import PROVIDER_PUSH, TELEMETRY_UPLINK
from caudal.common.domain.errors import InvalidInput, Transient
from caudal.common.ports import Clock, Outgoing, Publisher
from caudal.gateway_api.domain.errors import Forbidden, Unauthorized
from caudal.gateway_api.domain.permissions import ApiKey
from caudal.gateway_api.domain.repeats import attempt_of
from caudal.gateway_api.domain.signatures import check_signature
from caudal.gateway_api.domain.uplinks import refuse_foreign
from caudal.gateway_api.handlers.once import OnceDesk, once
from caudal.gateway_api.ports import CatalogStore, Credentials, Space

PUSH_S = 8.0
"""From a whole body to its answer, whatever the broker does."""
SIGNING_SECRET = "webhook_secret"
"""Name of the credential with which a provider signs its pushes."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The ports that taking pushes in needs."""

    catalog: CatalogStore
    credentials: Credentials
    once: OnceDesk
    publisher: Publisher
    clock: Clock
    space: Space


async def take_push(intake: Intake, pusher: str | None, provider: str, body: bytes, idempotency_key: str | None) -> str:
    """Publish a body that a provider pushed; the id of the push, once the broker has acknowledged it.

    The same Idempotency-Key with the same body gives the same id and is published once, however many come at once.

    Raises:
        Forbidden: the key is another provider's, or the provider is switched off.
        InvalidInput: the body is no JSON, or the Idempotency-Key came with another body before.
        OutOfSpace: the disk is too full; what is left is for devices, which cannot be told to wait.
        Transient: the broker did not acknowledge in time; nothing is remembered, so trying again is right.
    """
    await _check_provider(intake, pusher, provider)
    check_json(body)

    async def publish(push: str) -> str:
        await _publish(intake, provider, push, body)
        return push

    return await _once(intake, f"provider/{provider}", body, idempotency_key, publish)


async def take_uplink(intake: Intake, key: ApiKey, body: bytes, idempotency_key: str | None) -> str:
    """Publish what a device sends with a key of its own, as if it had spoken on its topic; the id of the push.

    Its point's mapping reads it. Idempotency-Key: as `take_push`.

    Raises:
        Forbidden: the key is for no device, or the device is by now another client's than the key.
        InvalidInput: the body is no JSON, too large, or names another device.
        OutOfSpace: as `take_push`.
        Transient: the broker did not acknowledge in time.
    """
    device = await _checked_device(intake, key)
    refuse_foreign(check_json(body), device)
    if len(body) > MAX_PACKED:
        raise InvalidInput("body", f"has {len(body)} bytes; a device's own may have {MAX_PACKED}")

    async def publish(push: str) -> str:
        topic = TELEMETRY_UPLINK.address(device=device)
        await intake.publisher.publish([Outgoing(topic, body.lstrip(), needs_reader=True)])
        return push

    return await _once(intake, f"device/{device}", body, idempotency_key, publish)


async def _once(
    intake: Intake, owner: str, body: bytes, idempotency_key: str | None, publish: Callable[[str], Awaitable[str]]
) -> str:
    try:
        async with asyncio.timeout(PUSH_S):
            await intake.space.check()
            if idempotency_key is None:
                return await publish(uuid4().hex)
            attempt = attempt_of(owner, idempotency_key, body)
            return await once(intake.once, attempt, publish)
    except TimeoutError as error:
        raise Transient("the broker did not acknowledge the push in time", retry_after_s=5.0) from error


async def check_signer(
    intake: Intake, provider: str, message_id: str, timestamp: str, signatures: str, *, body: bytes
) -> None:
    """Nothing, if `provider` signed this.

    Raises:
        Unauthorized: it did not, has no secret to sign with, or there is no such provider.
    """
    secret = await intake.credentials.secret("provider", provider, SIGNING_SECRET)
    if secret is None:
        raise Unauthorized("webhook-signature does not fit the body")
    check_signature(secret, message_id, timestamp, signatures, body, intake.clock.now())


async def _check_provider(intake: Intake, pusher: str | None, provider: str) -> None:
    if pusher != provider:
        raise Forbidden("this API key is another provider's")
    if not await intake.catalog.takes_pushes(provider):
        raise Forbidden("this provider is switched off")


async def _checked_device(intake: Intake, key: ApiKey) -> str:
    if key.device is None:
        raise Forbidden("this API key is for no device: a provider's pushes go to /api/telemetry/uplink/{provider}")
    claimed = await intake.catalog.client_of_device(key.device)
    if claimed is not None and key.client not in (None, *claimed):
        raise Forbidden("this device is no longer one of the key's client")
    return key.device


def check_json(body: bytes) -> Any:
    """What `body` says, if it is JSON.

    Raises:
        InvalidInput: it is not.
    """
    if body.lstrip()[:1] not in (b"{", b"["):
        raise InvalidInput("body", "is no JSON object or array")
    try:
        return decode_any(body.lstrip())
    except InvalidInput as error:
        raise InvalidInput("body" if error.field == "payload" else error.field, error.reason) from error


async def _publish(intake: Intake, provider: str, push: str, body: bytes) -> None:
    content, encoding = await asyncio.to_thread(packed, body) if len(body) > PLAIN_BYTES else packed(body)
    message = Push(id=push, provider=provider, received_at=intake.clock.now(), content=content, encoding=encoding)
    topic = PROVIDER_PUSH.address(provider=provider)
    await intake.publisher.publish([Outgoing(topic, encode_msgpack(message), needs_reader=True)])
