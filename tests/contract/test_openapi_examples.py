"""The OpenAPI document shows every body and every answer by an example, and each example is what its shape says."""

import json
from typing import Any

import jsonschema
import pytest

from caudal.gateway_api.main import documentation

DOCUMENT: dict[str, Any] = json.loads(documentation())


def told() -> dict[str, dict[str, Any]]:
    """Every JSON body, and every JSON answer that tells of success, by operation."""
    found = {}
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            parts = {"body": operation.get("requestBody", {})} | operation["responses"]
            for name, part in parts.items():
                if name == "body" or name.startswith("2"):
                    for kind, media in part.get("content", {}).items():
                        if kind == "application/json":
                            found[f"{method} {path} {name}"] = media
    return found


TOLD = told()


def test_there_are_many() -> None:
    assert len(TOLD) > 100


@pytest.mark.parametrize("name", TOLD)
def test_example_is_what_its_shape_says(name: str) -> None:
    media = TOLD[name]
    assert "example" in media
    schema = media["schema"] | {"components": DOCUMENT["components"]}
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    assert [f"{error.json_path}: {error.message}" for error in checker.iter_errors(media["example"])] == []
    assert media["example"] not in ({}, [], [{}]) or name.endswith("jwks.json 200"), "a key set is of any keys"
