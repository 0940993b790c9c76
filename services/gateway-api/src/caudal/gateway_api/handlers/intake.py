"""What providers push: published once, acknowledged only when the broker has it."""

import asyncio
from dataclasses import dataclass
from uuid import uuid4

from caudal.common.bus.codec import decode_any, encode_msgpack
from caudal.common.bus.contents import PLAIN_BYTES, packed
from caudal.common.bus.messages import Push
from caudal.common.bus.topics import PROVIDER_PUSH
from caudal.common.domain.errors import InvalidInput, Transient
from caudal.common.ports import Clock, Outgoing, Publisher
from caudal.gateway_api.domain.errors import Forbidden
from caudal.gateway_api.domain.intake import PushClaim, PushState, digest_of
from caudal.gateway_api.domain.permissions import ApiKey
from caudal.gateway_api.ports import CatalogStore, Pushes

PUSH_S = 8.0
"""From a whole body to its answer, whatever the broker does."""
MAX_KEY_LENGTH = 255
"""Of an Idempotency-Key."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The ports that taking pushes in needs."""

    catalog: CatalogStore
    pushes: Pushes
    publisher: Publisher
    clock: Clock


async def take_push(intake: Intake, key: ApiKey, provider: str, body: bytes, idempotency_key: str | None) -> str:
    """Publish a body that a provider pushed; the id of the push, once the broker has acknowledged it.

    The same Idempotency-Key with the same body gives the same id and is published once, however many come at once.

    Raises:
        Forbidden: the key is another provider's, or the provider is switched off.
        InvalidInput: the body is no JSON, or the Idempotency-Key came with another body before.
        Transient: the broker did not acknowledge in time; nothing is remembered, so trying again is right.
    """
    await _check_provider(intake, key, provider)
    check_json(body)
    try:
        async with asyncio.timeout(PUSH_S):
            if idempotency_key is None:
                push = uuid4().hex
                await _publish(intake, provider, push, body)
                return push
            return await _take_once(intake, provider, body, checked_key(idempotency_key))
    except TimeoutError as error:
        raise Transient("the broker did not acknowledge the push in time", retry_after_s=5.0) from error


async def _check_provider(intake: Intake, key: ApiKey, provider: str) -> None:
    if key.provider != provider:
        raise Forbidden("this API key is another provider's")
    known = await intake.catalog.provider(provider)
    if known is None or not known.active:
        raise Forbidden("this provider is switched off")


def check_json(body: bytes) -> None:
    """Nothing, if `body` is JSON.

    Raises:
        InvalidInput: it is not.
    """
    if body.lstrip()[:1] not in (b"{", b"["):
        raise InvalidInput("body", "is no JSON object or array")
    try:
        decode_any(body.lstrip())
    except InvalidInput as error:
        raise InvalidInput("body" if error.field == "payload" else error.field, error.reason) from error


def checked_key(key: str) -> str:
    """`key`, if it may be an Idempotency-Key.

    Raises:
        InvalidInput: it is empty, too long or unprintable.
    """
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise InvalidInput("Idempotency-Key", f"must be 1 to {MAX_KEY_LENGTH} printable ASCII characters")
    return key


async def _take_once(intake: Intake, provider: str, body: bytes, key: str) -> str:
    digest, pause_s = digest_of(body), 0.01
    while True:
        claim = await intake.pushes.claim(provider, key, digest, uuid4().hex, intake.clock.now())
        if claim.digest != digest:
            raise InvalidInput("Idempotency-Key", "came with another body before")
        if claim.is_ours:
            await _publish_claimed(intake, provider, key, claim, body)
            return claim.id
        if claim.state is PushState.PUBLISHED:
            return claim.id
        # Somebody else is publishing it at this moment, perhaps in another process.
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.5)


async def _publish_claimed(intake: Intake, provider: str, key: str, claim: PushClaim, body: bytes) -> None:
    try:
        await _publish(intake, provider, claim.id, body)
    except BaseException:
        await asyncio.shield(intake.pushes.release(provider, key, claim.id))
        raise
    await intake.pushes.published(provider, key)


async def _publish(intake: Intake, provider: str, push: str, body: bytes) -> None:
    content, encoding = await asyncio.to_thread(packed, body) if len(body) > PLAIN_BYTES else packed(body)
    message = Push(id=push, provider=provider, received_at=intake.clock.now(), content=content, encoding=encoding)
    topic = PROVIDER_PUSH.address(provider=provider)
    await intake.publisher.publish([Outgoing(topic, encode_msgpack(message), needs_reader=True)])
