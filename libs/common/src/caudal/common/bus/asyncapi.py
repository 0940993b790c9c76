"""The bus as an AsyncAPI 3.0 document, made of the two catalogues: `python -m caudal.common.bus.asyncapi [--check]`.

Needs PyYAML, which only the development environment has; no service imports this module.
"""

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import yaml

from caudal.common.bus import messages
from caudal.common.bus.codec import MAX_MESSAGE_BYTES
from caudal.common.bus.topics import CATALOGUE, Topic
from caudal.common.domain.ids import ID_PATTERN

PATH = Path("docs/asyncapi/caudal.yaml")
"""Where the document is kept, from the root of the project."""
VERSION = "1.0.0"
"""Of the contract: a field with a default adds to the second number, a change of meaning to the first."""

DESCRIPTION = f"""\
What the services of Caudal say to one another and to devices, over MQTT.

Every message is published with QoS 1 and acknowledged by its reader only after what it caused is committed, so it may
come more than once, and doing it twice changes nothing. A payload is JSON, or the same shape as MessagePack when its
first byte is neither {{ nor [; it has at most {MAX_MESSAGE_BYTES} bytes. Times carry a zone. Readers ignore fields that
they do not know.
"""


def document() -> dict[str, Any]:
    """The whole document as plain data."""
    kinds = sorted({topic.message for topic in CATALOGUE if topic.message}, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Caudal",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_channel_id(topic): _channel(topic) for topic in CATALOGUE},
        "operations": dict(operation for topic in CATALOGUE for operation in _operations(topic)),
        "components": {
            "messages": {_message_id(topic): _message(topic) for topic in CATALOGUE},
            "schemas": {name: _documented(name, schema) for name, schema in sorted(schemas.items())},
        },
    }


def text() -> str:
    """The document as YAML, as it is committed."""
    note = "# Made by `python -m caudal.common.bus.asyncapi` from the catalogues of libs/common; do not edit.\n"
    return note + yaml.dump(document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Writes what people read: long text as it is, and nothing by reference."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _channel_id(topic: Topic[object]) -> str:
    return "-".join(part for part in topic.template.split("/") if not part.startswith("{"))


def _message_id(topic: Topic[object]) -> str:
    return topic.message.__name__ if topic.message else f"{_channel_id(topic)}-payload"


def _channel(topic: Topic[object]) -> dict[str, Any]:
    name = _message_id(topic)
    channel: dict[str, Any] = {"address": topic.template}
    if topic.description:
        channel["description"] = topic.description
    channel["parameters"] = {parameter: {"description": f"Matches {ID_PATTERN}"} for parameter in topic.parameters}
    channel["messages"] = {name: {"$ref": f"#/components/messages/{name}"}}
    return channel


def _operations(topic: Topic[object]) -> list[tuple[str, dict[str, Any]]]:
    channel = _channel_id(topic)
    binding = {"mqtt": {"qos": 1, "retain": topic.retained, "bindingVersion": "0.2.0"}}

    def operation(service: str, action: str) -> tuple[str, dict[str, Any]]:
        reference = {"$ref": f"#/channels/{channel}"}
        return f"{service}-{action}s-{channel}", {
            "action": action,
            "channel": reference,
            "tags": [{"name": service}],
            "bindings": binding if action == "send" else {"mqtt": {"qos": 1, "bindingVersion": "0.2.0"}},
        }

    return [operation(sender, "send") for sender in topic.senders] + [
        operation(reader, "receive") for reader in topic.readers
    ]


def _message(topic: Topic[object]) -> dict[str, Any]:
    name = _message_id(topic)
    if topic.message is None:
        return {"name": name, "contentType": "application/octet-stream", "summary": topic.description}
    summary = inspect.getdoc(topic.message) or ""
    return {"name": name, "summary": summary.splitlines()[0], "payload": {"$ref": f"#/components/schemas/{name}"}}


# ---------------------------------------------------------------- what the source says about fields


def _documented(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with the line that stands below each field in the source."""
    for field, line in _field_lines().get(name, {}).items():
        if field in schema.get("properties", {}):
            schema["properties"][field]["description"] = line
    return schema


def _field_lines() -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(messages))
    return {node.name: _lines_of(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _lines_of(node: ast.ClassDef) -> dict[str, str]:
    lines = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            value = below.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                lines[field.target.id] = re.sub(r"\s+", " ", value.value).strip()
    return lines


def main(arguments: list[str]) -> int:
    """Write the document, or with `--check` say whether the one that is there is the same."""
    if "--check" not in arguments:
        PATH.parent.mkdir(parents=True, exist_ok=True)
        PATH.write_text(text(), encoding="utf-8")
        return 0
    if PATH.exists() and PATH.read_text(encoding="utf-8") == text():
        return 0
    sys.stderr.write(f"{PATH} is not what the catalogues say: run `python -m caudal.common.bus.asyncapi`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
