"""docs/guides/providers.md is true: each of its examples is asked, and its tables name what there is."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from caudal.common.domain.provider_presets import PROVIDER_PRESETS
from caudal.common.domain.providers import CONNECTIONS, Authentication
from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.providers.opening import open_client
from caudal.ingest.ports import Answered, Question

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
TEXTS = {name: (GUIDES / name).read_text(encoding="utf-8") for name in ("providers.md", "proveedores.md")}
EXAMPLES: list[dict[str, Any]] = [
    msgspec.json.decode(block) for text in TEXTS.values() for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)
]
NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize("example", EXAMPLES, ids=[str(number) for number in range(len(EXAMPLES))])
async def test_example_is_asked_and_read_as_the_guide_says(example: dict[str, Any]) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        said = example["login"] if request.method == "POST" else example["answer"]
        return httpx.Response(200, stream=httpx.ByteStream(msgspec.json.encode(said)))

    provider, credentials = example["provider"], example["credentials"]
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        client = open_client(
            provider["api"], provider["connection"], provider["authentication"], credentials, http, FakeClock(NOW)
        )
        outcome = await client.latest(msgspec.convert(example["source"], Question))
    assert isinstance(outcome, Answered), outcome
    assert [str(request.url) for request in asked if request.method == "GET"] == [example["asks"]]
    assert [
        {"measured_at": reading.measured_at.isoformat().replace("+00:00", "Z"), "values": reading.values}
        for reading in outcome.readings
    ] == example["readings"]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_guide_names_every_field_kind_and_provider(text: str) -> None:
    kinds = re.findall(r'"(\w+)"', str(Authentication.__annotations__["kind"]).replace("'", '"'))
    fields = {field for part in (*CONNECTIONS.values(), Authentication) for field in part.__struct_fields__}
    for word in {*fields, *kinds, *PROVIDER_PRESETS, *(preset.api for preset in PROVIDER_PRESETS.values())}:
        assert f"`{word}`" in text, word
    for preset in PROVIDER_PRESETS.values():
        assert all(f"`{key}`" in text for key in preset.keys.values())


def test_both_languages_show_the_same_examples() -> None:
    half = len(EXAMPLES) // 2
    assert EXAMPLES[:half] == EXAMPLES[half:]
    assert half == 6
