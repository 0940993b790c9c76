"""Each preset, held to payloads as devices of its kind send them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from caudal.common.domain.payloads.mapping import mapping_from
from caudal.common.domain.payloads.presets import PRESETS
from caudal.common.domain.payloads.reader import Outcome, Reader

PAYLOADS = Path(__file__).parent / "payloads"
RECEIVED_AT = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
TEN = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def read(name: str, preset: str, zone: str | None = None, **fields: Any) -> Outcome:
    payload = msgspec.json.decode((PAYLOADS / f"{name}.json").read_bytes())
    return Reader(mapping_from({"preset": preset, **fields}), zone).read(payload, RECEIVED_AT)


def test_canonical_reading_keeps_times_and_numbers() -> None:
    (reading,) = read("caudal-one", "caudal").readings
    assert reading.measured_at == TEN
    assert reading.logged_at == TEN.replace(second=5)
    assert reading.values == {"total": 184230, "flow": 12.5, "level": 31.07}
    assert type(reading.values["total"]) is int


def test_canonical_bundle_keeps_its_good_readings_and_says_what_is_wrong_with_the_others() -> None:
    outcome = read("caudal-bundle", "caudal")
    assert [reading.measured_at.isoformat() for reading in outcome.readings] == [
        "2026-03-02T13:00:00+00:00",
        "2026-03-02T13:01:00+00:00",
        "2026-03-02T13:02:00+00:00",
    ]
    assert [reading.values for reading in outcome.readings] == [{"total": 184230}, {"total": 184231}, {"flow": 0}]
    assert outcome.readings[2].problems == {"total": "'sin señal' is no number"}
    (refused,) = outcome.refused
    assert refused.field == "[3].time"
    assert "before 2000" in refused.reason


def test_flat_payload_gives_every_number_and_passes_over_words() -> None:
    (reading,) = read("flat", "flat").readings
    assert (reading.device, reading.measured_at) == ("pozo-7", TEN)
    assert (reading.values, reading.problems) == ({"caudal": 12.5, "nivel": 31.07}, {})


def test_zigbee_payload_takes_its_last_seen() -> None:
    (reading,) = read("zigbee2mqtt-leak", "zigbee2mqtt").readings
    assert (reading.measured_at, reading.is_timed) == (TEN, True)
    assert reading.values == {"battery": 97, "device_temperature": 21, "linkquality": 112, "voltage": 3025}


def test_zigbee_payload_without_time_takes_the_time_of_receipt() -> None:
    (reading,) = read("zigbee2mqtt-climate", "zigbee2mqtt").readings
    assert (reading.measured_at, reading.is_timed) == (RECEIVED_AT, False)
    assert reading.values["temperature"] == 21.53


def test_a_switch_is_a_number_where_the_mapping_says_so() -> None:
    (reading,) = read("zigbee2mqtt-leak", "zigbee2mqtt", values={"water_leak": {"kind": "switch"}}).readings
    assert reading.values == {"water_leak": 1}


@pytest.mark.parametrize("name", ["novus-logbox-tdatetime", "novus-logbox-unix"])
def test_logbox_tells_its_channels_in_either_kind_of_time(name: str) -> None:
    (reading,) = read(name, "novus-logbox", zone="UTC").readings
    assert reading.measured_at == TEN
    assert reading.values["channel_1"] == 12.5


def test_logbox_leaves_out_what_was_not_measured_and_keeps_sentinels_for_the_rules() -> None:
    (reading,) = read("novus-logbox-tdatetime", "novus-logbox", zone="UTC").readings
    assert reading.values == {"battery": 3.61, "channel_1": 12.5, "channel_2": 184230, "channel_4": -3200}


def test_wmbus_meter_gives_its_total_and_device() -> None:
    (reading,) = read("wmbusmeters", "wmbusmeters").readings
    assert (reading.device, reading.measured_at, reading.values["totalizer"]) == ("76348799", TEN, 6.408)
    assert "total_m3" not in reading.values


def test_every_preset_is_a_mapping_and_has_a_captured_payload() -> None:
    for name in PRESETS:
        mapping_from(name)
        assert list(PAYLOADS.glob(f"{name}*.json")), name
