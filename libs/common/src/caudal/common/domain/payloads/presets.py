"""Mappings that are known by name, written as their users would write them."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "caudal": {
        "readings": ["readings", "$"],
        "device": "device",
        "time": {"path": ["measured_at", "timestamp", "ts", "time"]},
        "logged": {"path": "logged_at"},
        "values": {"*": {"path": "values"}},
    },
    "flat": {
        "readings": ["readings", "$"],
        "device": ["device", "device_id", "id"],
        "time": {"path": ["measured_at", "timestamp", "ts", "time", "datetime"]},
        "logged": {"path": "logged_at"},
        "values": "*",
        "ignore": ["device", "device_id", "id"],
    },
    "zigbee2mqtt": {
        "time": {"path": "last_seen", "otherwise": "received"},
        "values": "*",
        "ignore": ["elapsed"],
    },
    "novus-logbox": {
        "time": {"path": "timestamp", "format": "tdatetime_or_epoch"},
        "values": {"battery": {}, "*": {"path": "value_channels", "prefix": "channel_"}},
    },
    "wmbusmeters": {
        "device": "id",
        "time": {"path": "timestamp", "format": "rfc3339"},
        "values": {"totalizer": {"path": "total_m3"}, "*": {"path": "@", "texts": "skip"}},
        "ignore": ["id"],
    },
}
"""Names to mappings; docs/guides/mapping.md shows a payload of each."""
