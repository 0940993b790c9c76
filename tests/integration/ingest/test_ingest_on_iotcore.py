"""Ingest on the embedded broker of local mode."""

from pathlib import Path

from buses import running, until
from caudal.common.bus.codec import encode
from ears import Ears, ingest_settings
from servers.iotcore import Iotcore
from servers.service import Service


async def test_uplinks_and_windows_go_through_the_embedded_broker(tmp_path: Path) -> None:
    with (
        Iotcore(tmp_path / "broker") as broker,
        Service(tmp_path / "ingest", "ingest", ingest_settings(broker.port, tmp_path)),
    ):
        ears = Ears(broker.port)
        async with running(ears.bus):
            for number in range(300):
                await ears.say(("telemetry/D/uplink", encode({"ts": 1_700_000_000 + number, "values": {"n": number}})))
            (tmp_path / "windows").mkdir()
            (tmp_path / "windows" / "a.csv").write_text("ts,id,n\n2026-03-02T10:00:00Z,E,1\n")
            order = {"id": "c", "action": "run", "params": {"path": "a.csv"}}
            await ears.say(("window/w/command", encode(order)))
            await until(lambda: len(ears.readings("D")) == 300 and bool(ears.readings("E") and ears.results()))
        assert [reading.values["n"] for reading in ears.readings("D")] == list(range(300))
        assert ears.results()[0].ok
