"""What may be said about a provider that is asked; everything else is an error that names its field."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.payloads.mapping import mapping_from
from caudal.common.domain.provider_presets import PROVIDER_PRESETS
from caudal.common.domain.providers import CONNECTIONS, Authentication, ProviderApi, provider_settings

URL = {"base_url": "https://api.example.com"}
GENERIC = {**URL, "path": "/values", "time": {"path": "at"}, "paging": "none"}


def test_the_six_providers_are_configurations_like_any_other() -> None:
    assert sorted(PROVIDER_PRESETS) == ["nettra", "novus", "tago", "tdata", "thingsio", "twin"]
    for preset in PROVIDER_PRESETS.values():
        given = json.loads(json.dumps([preset.connection, preset.authentication]))
        found = provider_settings(preset.api, *given)
        assert found.authentication.secrets()
        mapping_from(preset.mapping)


@pytest.mark.parametrize(
    ("api", "connection", "authentication", "field"),
    [
        ("soap", URL, {}, "api"),
        ("tago", {}, {}, "connection.base_url"),
        ("tago", {"base_url": "ftp://example.com"}, {}, "connection.base_url"),
        ("tago", {"base_url": "https://"}, {}, "connection.base_url"),
        ("tago", {"base_url": "https://user:word@example.com"}, {}, "connection.base_url"),
        ("tago", {"base_url": "https://example.com/?key=1"}, {}, "connection.base_url"),
        ("tago", {"base_url": "https://example.com:99999"}, {}, "connection.base_url"),
        ("tago", {"base_url": "http://[::1"}, {}, "connection.base_url"),
        ("tago", {"base_url": "https://exa mple.com"}, {}, "connection.base_url"),
        ("tago", {**URL, "page_rows": 0}, {}, "connection.page_rows"),
        ("tago", {**URL, "page_rows": "many"}, {}, "connection.page_rows"),
        ("tago", {**URL, "timeout_s": 1e9}, {}, "connection.timeout_s"),
        ("tago", {**URL, "requests_per_s": 0.1}, {}, "connection.requests_per_s"),
        ("tago", {**URL, "colour": "blue"}, {}, "connection.colour"),
        ("tago", {**URL, "path": "/data/{token}"}, {}, "connection.path"),
        ("tago", {**URL, "path": "data"}, {}, "connection.path"),
        ("tago", {**URL, "path": "/a/../b"}, {}, "connection.path"),
        ("tago", {**URL, "path": "/data?x=1"}, {}, "connection.path"),
        ("tago", {**URL, "path": "/{remote_id.__class__}"}, {}, "connection.path"),
        ("thethings", URL, {}, "connection.path"),
        ("thethings", {**URL, "path": "/things/{token}"}, {"kind": "path_token"}, "connection.path"),
        ("generic", {**URL, "path": "/x", "time": {}, "paging": "none"}, {}, "connection.time.path"),
        ("generic", {**GENERIC, "time": {"path": "at", "format": "soon"}}, {}, "connection.time.format"),
        ("generic", {**GENERIC, "time": {"path": "at", "zone": "Mars"}}, {}, "connection.time.zone"),
        ("generic", {**GENERIC, "sent_time": "%Y-%m-%d"}, {}, "connection.sent_time"),
        ("generic", {**GENERIC, "sent_time": "%H%H"}, {}, "connection.sent_time"),
        ("generic", {**GENERIC, "sent_time": "later"}, {}, "connection.sent_time"),
        ("generic", {**GENERIC, "readings": "$["}, {}, "connection.readings"),
        ("generic", {**GENERIC, "paging": "cursor"}, {}, "connection.params"),
        ("generic", {**GENERIC, "params": {"x": "{secret}"}}, {}, "connection.params.x"),
        ("generic", {**GENERIC, "paging": "guess"}, {}, "connection.paging"),
        ("tago", URL, {"kind": "magic"}, "authentication.kind"),
        ("tago", URL, {"kind": "bearer", "token": "the secret itself", "value": 1}, "authentication.value"),
        ("tago", URL, {"kind": "header", "header": "X-Key: 1\r\nX"}, "authentication.header"),
        ("tago", URL, {"kind": "login", "login_path": "login"}, "authentication.login_path"),
        ("tago", URL, {"kind": "login", "login_fields": ["user"]}, "authentication.login_fields"),
    ],
)
def test_what_cannot_be_used_is_told_by_its_field(
    api: str, connection: dict[str, Any], authentication: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        provider_settings(api, connection, authentication)
    assert error.value.field == field
    assert len(error.value.reason) < 400


words = st.text(max_size=12) | st.sampled_from(
    ["{remote_id}", "/{key}", "%Y", "%H%H", "$", "$[", "http://[", "//", "%"]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(data=st.data(), api=st.sampled_from(ProviderApi))
def test_whatever_is_said_is_settings_or_an_error_with_a_field(data: st.DataObject, api: ProviderApi) -> None:
    fields = {"path", "time", *CONNECTIONS[api].__struct_fields__}
    connection = {**GENERIC} if api == ProviderApi.GENERIC else {**URL}
    for field in data.draw(st.lists(st.sampled_from(sorted(fields)), max_size=2)):
        connection[field] = data.draw(anything)
    field = data.draw(st.sampled_from(Authentication.__struct_fields__))
    told = field_of_error(api, connection, {field: data.draw(anything)})
    assert told is None or told.split(".")[0] in ("connection", "authentication")


def field_of_error(api: str, connection: dict[str, Any], authentication: dict[str, Any]) -> str | None:
    """What is said to be wrong, if anything is."""
    try:
        provider_settings(api, connection, authentication)
    except InvalidInput as error:
        return error.field
    return None
