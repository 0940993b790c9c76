"""Mappings of one's own: paths, numbers, units, forms, and errors that name their field."""

from datetime import UTC, datetime
from typing import Any

import pytest

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.payloads.mapping import mapping_from
from caudal.common.domain.payloads.reader import MAX_READINGS, Outcome, Reader
from caudal.common.domain.payloads.refusals import Refusal
from caudal.common.domain.payloads.values import MAX_VALUES

RECEIVED_AT = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
TS = "2026-03-02T10:00:00Z"


def read(mapping: dict[str, Any], payload: Any, zone: str | None = None) -> Outcome:
    return Reader(mapping_from(mapping), zone).read(payload, RECEIVED_AT)


def values_of(mapping: dict[str, Any], payload: Any) -> dict[str, int | float]:
    (reading,) = read({"time": {"path": "t"}, **mapping}, {"t": TS, **payload}).readings
    return reading.values


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        ("q", {"q": 7}),
        ("a.q", {"a": {"q": 7}}),
        ("a[1].q", {"a": [{}, {"q": 7}]}),
        ("a[-1]", {"a": [1, 7]}),
        ("@['a.b']", {"a.b": 7}),
        ("$.a.q", {"a": {"q": 7}}),
        ("$.a[?@.n == 'flow'].v", {"a": [{"n": "level", "v": 1}, {"n": "flow", "v": 7}]}),
        (["x", "q"], {"q": 7}),
        ("@['caudal medio']", {"caudal medio": 7}),
    ],
)
def test_a_path_finds_its_number(path: Any, payload: dict[str, Any]) -> None:
    assert values_of({"values": {"flow": {"path": path}}}, payload) == {"flow": 7}


def test_scale_then_shift_then_unit() -> None:
    rules = {"level": {"scale": 0.1, "shift": 5, "convert": ["cm", "m"]}}
    assert values_of({"values": rules}, {"level": 950}) == {"level": 1.0}


def test_a_count_that_needs_no_arithmetic_stays_an_exact_integer() -> None:
    assert values_of({"values": {"n": {}}}, {"n": 9007199254740993}) == {"n": 9007199254740993}


def test_decimal_comma_is_read_where_the_mapping_says_so_and_nothing_is_guessed() -> None:
    mapping = {"decimal": ",", "values": {"a": {}, "b": {}, "c": {}, "d": {}}, "time": {"path": "t"}}
    (reading,) = read(mapping, {"t": TS, "a": "12,5", "b": "1.234", "c": 1.5, "d": "1.234,5"}).readings
    assert reading.values == {"a": 12.5, "c": 1.5}
    assert set(reading.problems) == {"b", "d"}
    (reading,) = read(mapping | {"thousands": "."}, {"t": TS, "b": "1.234", "d": "1.234,5"}).readings
    assert reading.values == {"b": 1234, "d": 1234.5}


@pytest.mark.parametrize("raw", [True, False, "ERR", "0x10", "1_000", "nan", "inf", "١٢", [], {}, "1" * 65, 2**63])
def test_what_is_no_number_is_told_as_a_problem_beside_the_good_ones(raw: Any) -> None:
    (reading,) = read({"preset": "caudal"}, {"ts": TS, "values": {"good": 1, "bad": raw}}).readings
    assert reading.values == {"good": 1}
    assert "bad" in reading.problems


@pytest.mark.parametrize("raw", [None, "", "  ", "N/A"])
def test_what_was_not_measured_is_absent(raw: Any) -> None:
    mapping = {"preset": "caudal", "missing": ["n/a"]}
    (reading,) = read(mapping, {"ts": TS, "values": {"good": 0, "bad": raw}}).readings
    assert (reading.values, reading.problems) == ({"good": 0}, {})


@pytest.mark.parametrize("values", [{}, {"flow": None}, {"flow": "ERR"}, {"flow": True}])
def test_a_reading_without_any_number_is_refused(values: dict[str, Any]) -> None:
    outcome = read({"preset": "caudal"}, {"ts": TS, "values": values})
    assert not outcome.readings
    assert [refused.kind for refused in outcome.refused] == [Refusal.VALUES]


def test_entries_of_one_instant_become_one_reading() -> None:
    mapping = {
        "readings": "result",
        "form": "entries",
        "time": {"path": "time"},
        "values": {"flow": {"path": "3grecuc1v", "convert": ["m3/h", "l/s"]}, "total": {"path": "3grecdi1va"}},
    }
    entries = [
        {"variable": "3grecuc1v", "value": "36", "time": TS},
        {"variable": "3grecdi1va", "value": 184230, "time": TS},
        {"variable": "3grecuc1v", "value": 18, "time": "2026-03-02T09:00:00Z"},
        {"variable": "rssi", "value": -70, "time": TS},
        {"variable": "3grecuc1v", "value": 36, "time": "yesterday"},
        {"value": 3, "time": TS},
    ]
    outcome = read(mapping, {"status": True, "result": entries})
    assert [reading.values for reading in outcome.readings] == [{"flow": 10.0, "total": 184230}, {"flow": 5.0}]
    assert [refused.field for refused in outcome.refused] == ["[4].time", "[5].variable"]


def test_two_numbers_for_one_variable_and_instant_are_both_kept() -> None:
    mapping = {"form": "entries", "time": {"path": "time"}}
    entries = [{"variable": "flow", "value": value, "time": TS} for value in (1, 1, 2)]
    assert [reading.values for reading in read(mapping, entries).readings] == [{"flow": 1}, {"flow": 2}]


def test_series_by_variable_become_readings() -> None:
    mapping = {"form": "series", "time": {"path": "ts"}, "values": {"total": {"path": "5003"}, "flow": {"path": "q"}}}
    payload = {
        "5003": [{"ts": 1772445600000, "value": "184230"}, {"ts": 1772449200000, "value": "184300"}],
        "q": [{"ts": 1772445600000, "value": 12.5}],
    }
    readings = read(mapping, payload).readings
    assert [reading.values for reading in readings] == [{"total": 184230, "flow": 12.5}, {"total": 184300}]


def test_pairs_of_time_and_value_are_entries_too() -> None:
    mapping = {"form": "series", "time": {"path": "[0]"}, "value": "[1]", "values": "*"}
    assert read(mapping, {"flow": [[1772445600000, 12.5]]}).readings[0].values == {"flow": 12.5}


def test_device_and_date_may_stand_outside_the_reading() -> None:
    mapping = {
        "readings": "$.stations[*].data",
        "device": "$.serial",
        "time": {"path": "fecha", "time_of_day": "hora", "format": "%d-%m-%Y %H:%M", "zone": "America/Santiago"},
        "values": {"flow": {"path": "caudal"}},
        "decimal": ",",
    }
    data = [{"fecha": "02-03-2026", "hora": "07:00", "caudal": "12,5"}, {"fecha": "02-03-2026", "caudal": "1"}]
    outcome = read(mapping, {"serial": "pozo 7", "stations": [{"data": data}]})
    (reading,) = outcome.readings
    assert reading.measured_at == datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    assert reading.device is not None
    assert reading.device.startswith("pozo_7-")
    assert "time of day" in outcome.refused[0].reason


def test_foreign_names_become_ids_that_stay_apart() -> None:
    (reading,) = read({"preset": "caudal"}, {"ts": TS, "values": {"Nivel [m]": 1, "Nivel (m)": 2}}).readings
    assert len(reading.values) == 2


def test_a_variable_named_like_a_time_key_is_kept_where_values_stand_apart() -> None:
    (reading,) = read({"preset": "caudal"}, {"ts": TS, "values": {"time": 3, "id": 4}}).readings
    assert reading.values == {"time": 3, "id": 4}


def test_an_unreadable_logger_time_costs_nothing_else() -> None:
    (reading,) = read({"preset": "caudal"}, {"ts": TS, "logged_at": "?", "values": {"a": 1}}).readings
    assert (reading.logged_at, reading.values, reading.problems) == (None, {"a": 1}, {})


def test_too_much_in_one_payload_is_refused_whole() -> None:
    many = read({"preset": "caudal"}, [{}] * (MAX_READINGS + 1))
    wide = read({"preset": "caudal"}, {"ts": TS, "values": {f"v{n}": n for n in range(MAX_VALUES + 1)}})
    assert "10001 readings" in many.refused[0].reason
    assert "more than 500" in wide.refused[0].reason


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ("caudale", "mapping"),
        ({"preset": "caudale"}, "mapping.preset"),
        ({"preset": ["caudal"]}, "mapping.preset"),
        ({"tiem": {}}, "mapping.tiem"),
        ({"time": {"format": "%Q"}}, "mapping.time.format"),
        ({"time": {"format": "epoch_h"}}, "mapping.time.format"),
        ({"time": {"zone": "Chile"}}, "mapping.time.zone"),
        ({"time": {"clock_change": "guess"}}, "mapping.time.clock_change"),
        ({"time": {"path": "$.["}}, "mapping.time.path"),
        ({"readings": "$.a["}, "mapping.readings"),
        ({"readings": ""}, "mapping.readings"),
        ({"readings": [""]}, "mapping.readings"),
        ({"device": ["id", "a["]}, "mapping.device"),
        ({"values": {"q": {"path": "a["}}}, "mapping.values.q.path"),
        ({"values": {}}, "mapping.values"),
        ({"values": {"a b": {}}}, "mapping.values.a b"),
        ({"values": {"ok": {}, "q": {"scale": 0}}}, "mapping.values.q.scale"),
        ({"values": {"q": {"scale": True}}}, "mapping.values.q.scale"),
        ({"values": {"q": {"convert": ["m3/h", "m"]}}}, "mapping.values.q.convert"),
        ({"values": {"q": {"convert": ["furlong", "m"]}}}, "mapping.values.q.convert"),
        ({"decimal": ",", "thousands": ","}, "mapping.thousands"),
        ({"decimal": ";"}, "mapping.decimal"),
    ],
)
def test_a_mapping_that_cannot_be_used_says_which_field(entry: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        mapping_from(entry)
    assert refusal.value.field == field
