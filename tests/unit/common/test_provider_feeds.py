"""Settings of a provider's WebSocket: what they say, and which field cannot be used."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from caudal.common.domain.errors import InvalidInput, Permanent
from caudal.common.domain.payloads.mapping import mapping_from
from caudal.common.domain.payloads.reader import Reader
from caudal.common.domain.provider_feeds import feed_settings, filled

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "providers.md"
URL = "wss://stream.example.com/v1"

BAD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, "connection.url"),
    ({"url": "https://stream.example.com"}, {}, "connection.url"),
    ({"url": "wss://me:secret@stream.example.com"}, {}, "connection.url"),
    ({"url": f"{URL}?token=x"}, {}, "connection.url"),
    ({"url": URL, "uri": "x"}, {}, "connection.uri"),
    ({"url": URL, "headers": {"Host": "x"}}, {}, "connection.headers.Host"),
    ({"url": URL, "headers": {"Sec-WebSocket-Key": "x"}}, {}, "connection.headers.Sec-WebSocket-Key"),
    ({"url": URL, "headers": {"X": "a\r\nY: b"}}, {}, "connection.headers.X"),
    ({"url": URL, "params": {"a b": "x"}}, {}, "connection.params.a b"),
    ({"url": URL, "subprotocols": ["a b"]}, {}, "connection.subprotocols"),
    ({"url": URL, "subscribe": ["x"] * 51}, {}, "connection.subscribe"),
    ({"url": URL, "subscribe": [7]}, {}, "connection.subscribe.0"),
    ({"url": URL, "ping_s": 0}, {}, "connection.ping_s"),
    ({"url": URL, "idle_s": 0}, {}, "connection.idle_s"),
    ({"url": URL, "max_bytes": 10**9}, {}, "connection.max_bytes"),
    ({"url": URL, "resume": {"parameter": "since", "overlap_s": -1}}, {}, "connection.resume.overlap_s"),
    ({"url": URL}, {"kind": "login"}, "authentication.kind"),
    ({"url": URL}, {"kind": "device_token"}, "authentication.kind"),
    ({"url": URL}, {"kind": "bearer", "secret": "a b"}, "authentication.secret"),
]


@pytest.mark.parametrize(("connection", "authentication", "field"), BAD, ids=lambda value: str(value)[:40])
def test_what_cannot_be_used_is_told_by_its_field(
    connection: dict[str, Any], authentication: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        feed_settings(connection, authentication)
    assert caught.value.field == field


def test_every_secret_that_is_needed_is_known_by_its_name() -> None:
    connection = {
        "url": URL,
        "params": {"key": "{api_key}"},
        "headers": {"X-Fleet": "fleet-{fleet}"},
        "subscribe": ["AUTH {pin}", {"op": "login", "args": [{"user": "{user}"}]}],
    }
    assert feed_settings(connection, {"kind": "basic"}).secrets() == {
        "api_key", "fleet", "pin", "user", "username", "password",
    }  # fmt: skip


def test_secrets_stand_wherever_their_names_stood() -> None:
    secrets = {"a": 'x"y', "b": "z"}
    assert filled(["{a}-{b}", {"k": ["{b}", 7, None]}], secrets) == ['x"y-z', {"k": ["z", 7, None]}]
    assert filled('{"op": "hello"}', secrets) == '{"op": "hello"}', "only a bare name in braces is one"


def test_a_secret_that_is_not_set_is_told_by_its_name_alone() -> None:
    with pytest.raises(Permanent, match="'b' is not set"):
        filled("{a}{b}", {"a": "not-to-be-told", "b": ""})


def test_the_entry_of_the_guide_can_be_used_and_reads_what_such_a_provider_says() -> None:
    [block] = re.findall(r"```jsonc\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    entry = json.loads(block)
    settings = feed_settings(entry["connection"], entry["authentication"])
    assert settings.secrets() == set(entry["credentials"])
    now = datetime(2026, 3, 2, 10, tzinfo=UTC)
    said = {"serial": "meter-7", "t": "2026-03-02T09:59:00Z", "q": 1.5}
    [reading] = Reader(mapping_from(entry["mapping"]), "UTC").read(said, now).readings
    assert (reading.device, reading.values) == ("meter-7", {"flow": 1.5})
