"""docs/guides/mapping.md is true: each of its examples is run, and its tables name what there is."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from caudal.common.domain.payloads.mapping import Mapping, TimeRule, ValueRule, mapping_from
from caudal.common.domain.payloads.presets import PRESETS
from caudal.common.domain.payloads.reader import Reader
from caudal.common.domain.payloads.times import FORMS
from caudal.common.domain.payloads.units import RATIOS, conversion

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
TEXTS = {name: (GUIDES / name).read_text(encoding="utf-8") for name in ("mapping.md", "mapeo.md")}
EXAMPLES: list[dict[str, Any]] = [
    msgspec.json.decode(block) for block in re.findall(r"```json\n(.*?)```", TEXTS["mapping.md"], re.DOTALL)
]
RECEIVED_AT = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize("example", EXAMPLES, ids=[str(number) for number in range(len(EXAMPLES))])
def test_example_is_read_as_the_guide_says(example: dict[str, Any]) -> None:
    outcome = Reader(mapping_from(example["mapping"]), example.get("zone")).read(example["payload"], RECEIVED_AT)
    told = [
        {
            "device": reading.device,
            "measured_at": reading.measured_at.isoformat().replace("+00:00", "Z"),
            "logged_at": reading.logged_at and reading.logged_at.isoformat().replace("+00:00", "Z"),
            "values": reading.values,
            "problems": reading.problems,
        }
        for reading in outcome.readings
    ]
    assert [{name: value for name, value in each.items() if value} for each in told] == example.get("readings", [])
    assert {refused.field: refused.reason for refused in outcome.refused} == example.get("refused", {})


def test_both_languages_show_the_same_examples() -> None:
    english, spanish = (re.findall(r"```json\n(.*?)```", text, re.DOTALL) for text in TEXTS.values())
    assert english == spanish


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_guide_shows_every_preset_and_names_every_field_format_and_unit(text: str) -> None:
    shown = {example["mapping"] for example in EXAMPLES if isinstance(example["mapping"], str)}
    assert shown == set(PRESETS)
    for kind in (Mapping, TimeRule, ValueRule):
        for field in kind.__struct_fields__:
            assert re.search(rf"[`\"]{field}[`\"]", text), field
    for form in FORMS:
        assert f"`{form}`" in text, form
    listed = re.search(r"(?:Units|Unidades): (.*?)\.\n", text, re.DOTALL)
    assert listed
    units = [unit for unit in listed[1].split() if unit != "·"]
    assert len(units) == sum(len(ratios) for ratios in RATIOS.values())
    for unit in units:
        conversion(unit, unit)
