"""Every list of the API, found in its documentation, keeps the conventions of lists."""

import csv
import json
from io import StringIO
from typing import Any

import pytest

from caudal.gateway_api.domain.listing import ListShape
from caudal.gateway_api.main import documentation
from integration.api.house import NOW, ApiHouse, reading
from integration.api.test_api_schemas import DAILY, processed

Parameters = dict[str, dict[str, Any]]

LISTS: dict[str, Parameters] = {
    path: {each["name"]: each for each in item["get"]["parameters"] if each["in"] == "query"}
    for path, item in json.loads(documentation())["paths"].items()
    if any(each["name"] == "page_size" for each in item.get("get", {}).get("parameters", ()))
}
EVERYWHERE = {"search", "order", "page", "page_size", "format"}
RUNS = "=cmd()|'/c calc'!A1"


def filters_of(parameters: Parameters) -> set[str]:
    return set(parameters) - EVERYWHERE


def orders_of(parameters: Parameters) -> list[str]:
    told: str = parameters["order"]["description"]
    return told.rpartition(": ")[2].rstrip(".").split(", ")


def path_of(template: str) -> str:
    return template.replace("{code}", "daily" if "/schemas/" in template else "well-1")


@pytest.fixture
async def lived_in(api: ApiHouse) -> ApiHouse:
    """A house with something in every list."""
    await api.add_provider()
    await api.add_point(provider="acme")
    await api.add_point(code="well-2", device="meter-2", name=RUNS, sampling_minutes=5)
    await api.keep(reading(NOW, total=1.0), device="meter-9")
    await api.client.post("/api/auth/password/reset-request", json={"email": "reader@caudal.test"})
    told = {"types": ["OFFLINE"], "channels": ["EMAIL"]}
    for path, body in (
        ("/api/clients/", {"code": "a"}),
        ("/api/points/well-1/meter-swaps/", {"variable": "total", "at": "2026-03-01T14:00:00Z"}),
        ("/api/users/owners/", {"user": "reader", "point": "well-1", "kind": "PRIMARY"}),
        ("/api/users/notifications/", {"user": "reader", **told}),
        ("/api/users/notifications/", {"user": "reader", "point": "well-1", **told}),
        ("/api/schemas/", DAILY),
    ):
        assert (await api.admin.post(path, json=body)).status_code == 201
    await processed(api, ("meter-1", [reading(NOW, total=1.0)]))
    return api


def test_lists_are_found() -> None:
    assert {"/api/points/", "/api/variables/", "/api/providers/", "/api/telemetry/unclaimed/"} <= set(LISTS)


@pytest.mark.parametrize("template", LISTS)
async def test_every_order_filter_and_form_of_every_list(lived_in: ApiHouse, template: str) -> None:
    """One test for all that a list can be asked for: a house costs more than its questions."""
    path, parameters = path_of(template), LISTS[template]
    everything = (await lived_in.admin.get(path)).json()
    assert everything["total"] == len(everything["items"]) > 0
    await _orders(lived_in, path, parameters, everything["total"])
    await _filters(lived_in, path, parameters)
    await _files(lived_in, path, everything["items"])
    await _bad_values(lived_in, path, parameters)


async def _orders(api: ApiHouse, path: str, parameters: Parameters, total: int) -> None:
    orders = orders_of(parameters)
    for order in [*orders, *(f"-{name}" for name in orders), ",-".join(orders)]:
        pages = [
            (await api.admin.get(path, params={"order": order, "page_size": 1, "page": page})).json()["items"]
            for page in range(1, total + 1)
        ]
        assert [len(page) for page in pages] == [1] * total, order
        assert len({json.dumps(page) for page in pages}) == total, f"{order} is not a total order"


async def _filters(api: ApiHouse, path: str, parameters: Parameters) -> None:
    values = {"string": "nothing-is-called-so", "boolean": "false", "number": "1e9"}
    for name in filters_of(parameters):
        schema = parameters[name]["schema"]
        kind = next((each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"), schema)
        value = "2026-03-02T10:00:00Z" if kind.get("format") == "date-time" else values.get(kind.get("type", ""), "")
        if "$ref" in kind or "enum" in kind:
            continue
        answer = await api.admin.get(path, params={name: value})
        assert answer.status_code == 200, (name, value, answer.text)


async def _files(api: ApiHouse, path: str, items: list[dict[str, Any]]) -> None:
    asked = [({"format": "csv"}, {}), ({"page_size": "1", "page": "7"}, {"accept": "text/csv;q=0.9, */*"})]
    for params, headers in asked:
        answer = await api.admin.get(path, params=params, headers=headers)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert 'filename="' in answer.headers["content-disposition"]
        lines = list(csv.DictReader(StringIO(answer.text)))
        assert len(lines) == len(items)
        assert {name.partition(".")[0] for name in lines[0]} <= set(items[0])
        assert not any(cell.startswith("=") for line in lines for cell in line.values())


async def _bad_values(api: ApiHouse, path: str, parameters: Parameters) -> None:
    bad = {"order": "password", "page": "0", "page_size": "501", "format": "xml", "nothing_like_it": "1"}
    for name in filters_of(parameters):
        schema = parameters[name]["schema"]
        bad[name] = "x" * 201 if "maxLength" in json.dumps(schema) else "\u0000 no such value"
    for name, value in bad.items():
        answer = await api.admin.get(path, params={name: value})
        assert answer.status_code == 422, (name, answer.text)
        assert answer.json()["error"]["fields"][0]["field"] == name
    twice = await api.admin.get(path, params=[("page", "1"), ("page", "2")])
    assert twice.json()["error"]["fields"] == [{"field": "page", "reason": "is given more than once"}]


async def test_filters_find_what_they_say(lived_in: ApiHouse) -> None:
    async def found(query: str) -> list[str]:
        return [point["code"] for point in (await lived_in.reader.get(f"/api/points/?{query}")).json()["items"]]

    assert await found("sampling_minutes_to=60") == ["well-2"]
    assert await found("sampling_minutes_from=60") == ["well-1"]
    assert await found("provider=acme") == ["well-1"]
    assert await found(f"created_from={NOW:%Y-%m-%dT%H:%M:%SZ}") == ["well-1", "well-2"]
    assert await found(f"created_to={NOW:%Y-%m-%dT%H:%M:%SZ}") == []
    assert await found("order=provider,-code&search=meter") == ["well-1", "well-2"]
    assert await found("search=%20Meter-2%20") == ["well-2"], "spaces around it are not looked for"
    assert await found("order=-provider") == ["well-1", "well-2"], "what has no provider comes last either way"


async def test_file_has_the_whole_list_and_runs_nothing(lived_in: ApiHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caudal.gateway_api.entrypoints.lists.MAX_PAGE_SIZE", 1)
    answer = await lived_in.reader.get("/api/points/?format=csv&order=-code")
    lines = list(csv.DictReader(StringIO(answer.text)))
    assert [line["code"] for line in lines] == ["well-2", "well-1"]
    assert lines[0]["name"] == f"'{RUNS}"
    assert (lines[1]["provider"], lines[0]["provider"], lines[1]["sampling_minutes"]) == ("acme", "", "60")


def test_a_shape_asks_for_nothing_that_it_does_not_have() -> None:
    from caudal.gateway_api.domain import lists

    for shape in vars(lists).values():
        if isinstance(shape, ListShape):
            assert set(shape.filters) & EVERYWHERE == set()
            assert shape.ordered
            assert shape.key
