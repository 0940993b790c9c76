"""What is read from the bus is strict and finite, and whatever else comes is `InvalidInput`, never another error."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal.common.bus import codec
from caudal.common.bus import messages as m
from caudal.common.bus.topics import CATALOGUE
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.readings import Flag, Inlet

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
KINDS = sorted({topic.message for topic in CATALOGUE if topic.message is not None}, key=lambda kind: kind.__name__)


def reading(**changes: Any) -> dict[str, Any]:
    """A message on `telemetry/…/raw` as plain data, with one reading that `changes` change."""
    one = {"measured_at": AT, "received_at": AT, "values": {"flow": 1.5}} | changes
    return {"device": "meter-1", "inlet": "uplink", "readings": [one]}


def refused(payload: bytes, kind: Any = Any) -> InvalidInput:
    """The error that `payload` gives."""
    with pytest.raises(InvalidInput) as caught:
        codec.decode(payload, kind)
    return caught.value


UNREADABLE = {
    "empty": b"",
    "open brace": b"{",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "too great": b'{"a": 1e999}',
    "5000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "5000 digits and a point": b'{"a": ' + b"9" * 5000 + b".5}",
    "depth 3000": b"[" * 3000 + b"]" * 3000,
    "depth 3000 of objects": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "depth 3000 in MessagePack": b"\x91" * 3000 + b"\x01",
    "lone surrogate": b'{"a": "\\ud800"}',
    "half a surrogate pair": b'{"a": "\\ud83d x"}',
    "invalid UTF-8": b'{"a": "\xff"}',
    "invalid UTF-8 in MessagePack": b"\xa1\xff",
    "two values": b'{"a": 1} {"a": 2}',
    "comment": b'{"a": 1 /* litre */}',
    "single quotes": b"{'a': 1}",
    "trailing comma": b'{"a": 1,}',
    "NaN in MessagePack": codec.encode_msgpack({"a": {"b": [math.nan]}}),
    "infinity in MessagePack": codec.encode_msgpack([-math.inf]),
    "extension in MessagePack": b"\xd4\x05\x00",
    "time out of range in MessagePack": b"\xc7\x0c\xff" + b"\xff" * 12,
    "number as key in MessagePack": b"\x81\x01\x02",
    "list as key in MessagePack": b"\x81\x90\x01",
    "unused code in MessagePack": b"\xc1",
}


@pytest.mark.parametrize("payload", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_unreadable_payload_is_invalid_input_with_a_reason(payload: bytes) -> None:
    error = refused(payload)
    assert error.field
    assert 0 < len(error.reason) <= 300


def test_deep_message_pack_is_refused_wherever_the_stack_stands() -> None:
    payload = b"\x91" * 900 + b"\x01"

    def decode_below(frames: int) -> None:
        if frames:
            decode_below(frames - 1)
        else:
            refused(payload)

    decode_below(300)


@pytest.mark.parametrize("encode", [codec.encode, codec.encode_msgpack])
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"values": {"flow": True}}, "readings[0].values"),
        ({"values": {"flow": "1.5"}}, "readings[0].values"),
        ({"values": {"flow": None}}, "readings[0].values"),
        ({"values": [1.5]}, "readings[0].values"),
        ({"measured_at": "2026-03-02T10:00:00"}, "readings[0].measured_at"),
        ({"measured_at": 1772445600}, "readings[0].measured_at"),
        ({"measured_at": "yesterday"}, "readings[0].measured_at"),
        ({"logged_at": False}, "readings[0].logged_at"),
        ({"problems": {"flow": 1}}, "readings[0].problems"),
    ],
)
def test_wrong_value_is_refused_by_the_name_of_its_field(encode: Any, changes: dict[str, Any], field: str) -> None:
    assert refused(encode(reading(**changes)), m.RawReadings).field.startswith(field)


@pytest.mark.parametrize("encode", [codec.encode, codec.encode_msgpack])
def test_missing_field_is_named(encode: Any) -> None:
    assert "device" in str(refused(encode({"inlet": "uplink", "readings": []}), m.RawReadings))
    assert refused(encode(reading() | {"inlet": "window-cleaner"}), m.RawReadings).field == "inlet"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_number_that_is_none_is_refused_in_a_message(number: float) -> None:
    error = refused(codec.encode_msgpack(reading(values={"flow": number})), m.RawReadings)
    assert error.field == "payload.readings[0].values.flow"


def test_zero_is_a_measurement_and_integers_stay_integers() -> None:
    message = codec.decode(codec.encode(reading(values={"a": 0, "b": 2**53 + 1, "c": -0.0})), m.RawReadings)
    assert message.readings[0].values == {"a": 0, "b": 2**53 + 1, "c": 0.0}
    assert isinstance(message.readings[0].values["b"], int)


def test_unknown_fields_are_ignored_so_that_messages_can_grow() -> None:
    later = reading(depth=3) | {"firmware": "2.1"}
    assert codec.decode(codec.encode(later), m.RawReadings) == codec.decode(codec.encode(reading()), m.RawReadings)


def test_what_stands_before_json_is_skipped() -> None:
    assert codec.decode_any(b'\xef\xbb\xbf \r\n\t{"a": 1}') == {"a": 1}


def test_any_payload_becomes_what_json_knows() -> None:
    given_by_device = {"at": AT, "blob": b"\x00\xff", "n": [1, 2.5, None, True, "x"]}
    plain = codec.decode_any(codec.encode_msgpack(given_by_device))
    assert plain == {"at": "2026-03-02T10:00:00Z", "blob": "AP8=", "n": [1, 2.5, None, True, "x"]}


# ---------------------------------------------------------------- laws


@settings(max_examples=1500, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([Any, *KINDS]))
def test_random_bytes_give_a_message_or_invalid_input(payload: bytes, kind: Any) -> None:
    read(payload, kind)


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_damaged_messages_give_a_message_or_invalid_input(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([codec.encode(reading()), codec.encode_msgpack(reading())]))
    at = data.draw(st.integers(0, len(whole) - 1))
    damage = data.draw(st.binary(max_size=4))
    read(whole[:at] + damage + whole[at + len(damage) :], m.RawReadings)


def read(payload: bytes, kind: Any) -> None:
    """Decode; a message that comes of it can be encoded as JSON, so it holds nothing but finite numbers and text."""
    try:
        message = codec.decode(payload, kind)
    except InvalidInput:
        return
    codec.encode(message)


times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
raw_readings = st.builds(
    m.RawReading,
    measured_at=times,
    received_at=times,
    values=st.dictionaries(texts, numbers, max_size=5),
    logged_at=st.none() | times,
    problems=st.dictionaries(texts, texts, max_size=3),
    payload=texts,
)
processed_values = st.builds(
    m.ProcessedValue,
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    measured=st.none() | numbers,
    flags=st.lists(st.sampled_from(Flag), max_size=3),
    constants=st.dictionaries(texts, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
)
processed_readings = st.builds(
    m.ProcessedReading,
    measured_at=times,
    received_at=times,
    values=st.dictionaries(texts, processed_values, max_size=3),
    amends=st.booleans(),
    erased=st.lists(texts, max_size=2),
)
written = st.one_of(
    st.builds(
        m.RawReadings,
        device=texts,
        inlet=st.sampled_from(Inlet),
        readings=st.lists(raw_readings, max_size=4),
        provider=st.none() | texts,
        window=st.none() | texts,
    ),
    st.builds(m.ProcessedReadings, device=texts, point=texts, readings=st.lists(processed_readings, max_size=3)),
    st.builds(m.Result, id=texts, ok=st.booleans(), detail=st.dictionaries(texts, numbers), timestamp=times),
)


@settings(max_examples=300, deadline=None)
@given(written)
def test_message_comes_back_as_it_was_written(message: m.Message) -> None:
    assert codec.decode(codec.encode(message), type(message)) == message
    assert codec.decode(codec.encode_msgpack(message), type(message)) == message


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_message_is_frozen_and_requires_zones(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen
    for field in msgspec.structs.fields(kind):
        if field.type is datetime:
            raise AssertionError(f"{kind.__name__}.{field.name} takes naive times; declare it as Time")


def test_time_of_another_zone_is_the_same_instant() -> None:
    sent = codec.encode(reading(measured_at="2026-03-02T07:00:00-03:00"))
    assert codec.decode(sent, m.RawReadings).readings[0].measured_at - AT == timedelta(0)
