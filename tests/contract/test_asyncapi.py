"""The committed document is what the catalogues say, and messages are what the document says."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from caudal.common.bus import asyncapi, codec
from caudal.common.bus import messages as m
from caudal.common.bus.topics import CATALOGUE
from caudal.common.domain.readings import Flag, Inlet

COMMITTED = Path(__file__).parents[2] / asyncapi.PATH
AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
EXAMPLES: list[m.Message] = [
    m.RawReadings(
        device="meter-1",
        inlet=Inlet.WINDOW,
        window="w-1",
        readings=[
            m.RawReading(measured_at=AT, received_at=AT, values={"total": 7, "flow": 0.0}, problems={"ph": "no"})
        ],
    ),
    m.ProcessedReadings(
        device="meter-1",
        point="well-1",
        readings=[
            m.ProcessedReading(
                measured_at=AT,
                received_at=AT,
                values={"flow": m.ProcessedValue(value=None, measured=3, flags=[Flag.GLITCH], constants={"k": 1.0})},
            )
        ],
    ),
    m.Rejected(id="r", device="meter-1", received_at=AT, inlet=Inlet.PUSH, topic="a", reason="is no JSON"),
    m.Command(id="c", action="restart", params={"deep": [1, {"x": None}]}),
    m.Result(id="c", ok=True, timestamp=AT),
    m.CameraConfig(fps=10),
    m.GatewayStatus(online=False),
]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """What is committed, as any tool reads it."""
    found: dict[str, Any] = yaml.safe_load(COMMITTED.read_text(encoding="utf-8"))
    return found


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(item)


def resolve(document: dict[str, Any], reference: str) -> Any:
    """What a local reference stands for."""
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def schema_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The schema of a message, complete in itself."""
    return {"$ref": f"#/components/schemas/{name}", "components": document["components"]}


def test_committed_document_is_what_the_catalogues_say(document: dict[str, Any]) -> None:
    assert COMMITTED.read_text(encoding="utf-8") == asyncapi.text(), "run python -m caudal.common.bus.asyncapi"
    assert document == json.loads(json.dumps(asyncapi.document()))


def test_check_tells_of_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert asyncapi.main(["--check"]) == 1
    assert asyncapi.main([]) == 0
    assert asyncapi.main(["--check"]) == 0
    with (tmp_path / asyncapi.PATH).open("a") as file:
        file.write("# edited\n")
    assert asyncapi.main(["--check"]) == 1


def test_document_has_the_structure_of_asyncapi_3(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert set(document) <= {
        "asyncapi",
        "id",
        "info",
        "servers",
        "defaultContentType",
        "channels",
        "operations",
        "components",
    }
    assert document["info"]["title"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", document["info"]["version"])
    keys = [*document["channels"], *document["operations"], *document["components"]["messages"]]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", key) for key in keys)
    for channel in document["channels"].values():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel["parameters"])
        assert channel["messages"]
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert resolve(document, operation["channel"]["$ref"])["address"]
        assert operation["bindings"]["mqtt"]["qos"] == 1


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = [item["$ref"] for item in walk(document) if "$ref" in item]
    assert references
    assert all(resolve(document, reference) is not None for reference in references)


def test_every_topic_has_its_channel_and_both_ends(document: dict[str, Any]) -> None:
    assert {channel["address"] for channel in document["channels"].values()} == {t.template for t in CATALOGUE}
    assert len(document["operations"]) == sum(len(topic.senders) + len(topic.readers) for topic in CATALOGUE)


def test_every_schema_is_json_schema_and_documents_what_the_source_documents(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert schema["description"], name
    reading = document["components"]["schemas"]["RawReading"]["properties"]
    assert reading["logged_at"]["description"] == "When the device's logger wrote it down, if it says so."


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_message_on_the_wire_is_what_the_document_says(document: dict[str, Any], message: m.Message) -> None:
    validator = Draft202012Validator(schema_of(document, type(message).__name__))
    validator.validate(json.loads(codec.encode(message)))
    with_wrong_type = {key: [[]] for key in json.loads(codec.encode(message))}
    assert not validator.is_valid(with_wrong_type)
