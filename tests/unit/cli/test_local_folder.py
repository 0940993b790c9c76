"""What a local platform keeps below its folder, and what it tells its services."""

import os
import socket
import stat
from pathlib import Path

import pytest

from caudal.cli.local import broker, ports
from caudal.cli.local.broker import MOSQUITTO_SETTINGS, BrokerKind, broker_command, chosen_kind
from caudal.cli.local.folder import DataFolder, Instance
from caudal.cli.local.log import Log
from caudal.cli.local.ports import FIRST_FOR_ALL, OURS, free_ports, is_free, wanted_port
from caudal.cli.local.services import GATEWAY_API, INGEST, common_environment, service_environment
from caudal.common.domain.errors import Permanent


def test_a_folder_is_held_by_one_and_free_again_after_it(tmp_path: Path) -> None:
    first = DataFolder(tmp_path / "data").hold()
    first.remember(Instance(4711, 8000, 1883))
    with pytest.raises(Permanent, match=r"process 4711 runs Caudal on it; stop it, or give another --data-dir"):
        DataFolder(tmp_path / "data").hold()
    assert DataFolder(tmp_path / "data").is_held()
    first.release()
    assert not DataFolder(tmp_path / "data").is_held()
    DataFolder(tmp_path / "data").hold().release()


def test_a_folder_that_cannot_be_made_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Permanent, match=f"{tmp_path}/file/data cannot be used"):
        DataFolder(tmp_path / "file" / "data").hold()


def test_the_first_password_stays_the_same_until_a_start_succeeds_and_is_then_nowhere(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path).hold()
    password = folder.first_password()
    assert DataFolder(tmp_path).first_password() == password
    (kept,) = [path for path in tmp_path.iterdir() if path.is_file() and password in path.read_text()]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert folder.is_new()
    folder.remember(Instance(1, 8000, 1883))
    assert not folder.is_new()
    assert not kept.exists()
    folder.release()


@pytest.mark.parametrize("content", ["", "{", '{"pid": 1}', "[]"])
def test_a_damaged_note_of_the_last_run_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "instance.json").write_text(content)
    assert DataFolder(tmp_path).instance() is None


def test_what_the_environment_says_of_another_platform_does_not_reach_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUDAL_DATABASE_URL", "postgresql+asyncpg://elsewhere/x")
    monkeypatch.setenv("CAUDAL_MQTT_CLIENT_ID", "somebody")
    monkeypatch.setenv("CAUDAL_HEALTH_PORT", "9100")
    monkeypatch.setenv("CAUDAL_LOG_LEVEL", "DEBUG")
    common = common_environment(DataFolder(tmp_path), 1999)
    assert common["CAUDAL_DATABASE_URL"] == f"sqlite+aiosqlite:///{tmp_path}/caudal.db"
    assert common["CAUDAL_MQTT_PORT"] == "1999"
    assert common["CAUDAL_LOG_LEVEL"] == "DEBUG"
    assert not {"CAUDAL_MQTT_CLIENT_ID", "CAUDAL_HEALTH_PORT"} & common.keys()
    assert service_environment(INGEST, common, 7001)["CAUDAL_HEALTH_PORT"] == "7001"
    assert service_environment(GATEWAY_API, common, 8001)["CAUDAL_API_PORT"] == "8001"


def test_the_broker_listens_on_loopback_only_with_the_settings_that_lose_nothing(tmp_path: Path) -> None:
    broker_command(BrokerKind.MOSQUITTO, tmp_path, 1999)
    lines = (tmp_path / "mosquitto.conf").read_text().splitlines()
    assert "listener 1999 127.0.0.1" in lines
    assert {f"{name} {value}" for name, value in MOSQUITTO_SETTINGS.items()} <= set(lines)
    broker_command(BrokerKind.EMBEDDED, tmp_path, 1999)
    assert 'listen = "127.0.0.1:1999"' in (tmp_path / "iotcore.toml").read_text()


def test_without_a_mosquitto_the_embedded_broker_is_taken_and_asking_for_mosquitto_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker, "mosquitto_binary", lambda: None)
    assert chosen_kind(None) is BrokerKind.EMBEDDED
    with pytest.raises(Permanent, match="--broker embedded"):
        chosen_kind(BrokerKind.MOSQUITTO)


def test_a_port_in_use_is_refused_with_the_option_that_chooses_another() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(Permanent, match=f"port {port} is in use by another program; .* --port"):
            wanted_port(port, "--port")


def test_chosen_ports_differ_and_are_none_that_an_outgoing_connection_could_take_meanwhile() -> None:
    chosen = free_ports(len(OURS) - 1000)
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(range(FIRST_FOR_ALL, 32_768))


def test_no_port_is_chosen_that_is_taken_or_was_chosen_before(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        held = taken.getsockname()[1]
        monkeypatch.setattr(ports, "OURS", range(held - 1, held + 1))
        if is_free(held - 1):
            assert free_ports(1) == [held - 1]
        with pytest.raises(Permanent, match="not enough ports"):
            free_ports(1, [held - 1])


def test_a_log_stays_bounded_and_keeps_its_newest_lines(tmp_path: Path) -> None:
    log = Log(tmp_path / "x.log", max_bytes=100)
    for number in range(100):
        log.write(f"line {number}")
    log.close()
    kept = (tmp_path / "x.log.1").read_text() + (tmp_path / "x.log").read_text()
    assert kept.endswith("line 98\nline 99\n")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 250
    assert sorted(os.listdir(tmp_path)) == ["x.log", "x.log.1"]
