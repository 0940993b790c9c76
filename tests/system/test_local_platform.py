"""`caudal up` and `caudal demo` as a person uses them: their own processes, real services, nothing left behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from servers.process import Server, free_port

WAIT_S = 60.0
CAUDAL = [sys.executable, "-m", "caudal.cli"]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def processes_of(folder: Path) -> dict[int, str]:
    """Process ids and commands of all that runs for the platform in `folder`, but for `caudal up` itself."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = process.joinpath("environ").read_bytes()
        except OSError:
            continue
        ours = f"CAUDAL_DATA_DIR={folder}".encode() in environment.split(b"\0") or str(folder / "broker") in command
        if command and ours:
            found[int(process.name)] = command
    return found


class Up(Server):
    """`caudal up` on a folder."""

    name = "up"
    start_timeout_s = WAIT_S
    stop_signal = signal.SIGINT

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder.with_name(f"{folder.name}-terminal"))
        self.data = folder
        self.options = options

    def command(self) -> list[str]:
        return [*CAUDAL, "up", "--data-dir", str(self.data), "--port", str(self.port), *self.options]

    def is_ready(self) -> bool:
        # The last thing it says of its start.
        return "Ctrl-C ends it" in self.said()

    def start(self) -> "Up":
        self.log.write_text("")
        super().start()
        return self

    def said(self) -> str:
        """All it printed."""
        return self.log.read_text()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with Up(tmp_path / "data") as running:
        yield running


def api(port: int, path: str, token: str = "", body: object = None) -> dict[str, object]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return dict(json.load(answer))


def login(up: Up, said: str) -> str:
    found = re.search(r"login +(\S+) +password (\S+)", said)
    assert found, said
    token = api(up.port, "/api/auth/login", body={"email": found[1], "password": found[2]})["token"]
    return str(token)


@LINUX
def test_up_can_be_logged_in_to_ends_without_a_trace_and_goes_on_where_it_was(up: Up) -> None:
    first = up.said()
    token = login(up, first)
    api(up.port, "/api/points/", token, {"code": "well-1", "device": "meter-1"})
    assert len(processes_of(up.data)) == 4
    mqtt_port = re.search(r"mqtt://127\.0\.0\.1:(\d+)", first)

    up.stop()
    assert "nothing of it is running any more" in up.said()
    assert processes_of(up.data) == {}
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.1", up.port)) != 0

    up.start()
    assert "password" not in up.said()
    assert re.search(r"mqtt://127\.0\.0\.1:(\d+)", up.said())[1] == mqtt_port[1]  # type: ignore[index]
    assert api(up.port, "/api/points/well-1", token)["device"] == "meter-1"


@LINUX
def test_a_killed_service_is_started_again_and_that_is_said(up: Up) -> None:
    (ingest,) = [pid for pid, command in processes_of(up.data).items() if "caudal.ingest" in command]
    os.kill(ingest, signal.SIGKILL)
    eventually(lambda: "ingest ended (signal 9); it is started again" in up.said(), up.said())
    eventually(lambda: any("caudal.ingest" in command for command in processes_of(up.data).values()), "ingest is away")


@LINUX
def test_killed_without_warning_up_leaves_no_process_behind_and_the_folder_is_free(up: Up) -> None:
    assert up.process is not None
    os.kill(up.process.pid, signal.SIGKILL)
    up.process.wait(WAIT_S)
    eventually(lambda: processes_of(up.data) == {}, "processes are left")
    up.start()


def test_a_second_up_on_the_same_folder_and_one_on_the_same_port_are_refused_with_advice(
    up: Up, tmp_path: Path
) -> None:
    assert up.process is not None
    same_folder = subprocess.run(
        [*CAUDAL, "up", "--data-dir", str(up.data), "--port", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    assert same_folder.returncode == 1
    assert f"process {up.process.pid} runs Caudal on it" in same_folder.stderr
    assert "has ended" not in same_folder.stderr
    same_port = subprocess.run(
        [*CAUDAL, "up", "--data-dir", str(tmp_path / "other"), "--port", str(up.port)],
        capture_output=True, text=True, check=False, timeout=WAIT_S,
    )  # fmt: skip
    assert same_port.returncode == 1
    assert f"port {up.port} is in use by another program; choose another one with --port" in same_port.stderr
    assert "Traceback" not in same_folder.stderr + same_port.stderr


@LINUX
@pytest.mark.timeout(240)
def test_ctrl_c_in_the_middle_of_a_start_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    starting = subprocess.Popen(
        [*CAUDAL, "up", "--data-dir", str(folder), "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    eventually(lambda: len(processes_of(folder)) > 1, "nothing was started")
    starting.send_signal(signal.SIGINT)
    _, said = starting.communicate(timeout=WAIT_S)
    assert "Caudal is ready" not in said
    assert "Traceback" not in said
    assert processes_of(folder) == {}


@pytest.mark.parametrize(
    "command",
    [
        ["user", "create", "--email", "ana@example.com", "--role", "admin", "--password", "long-enough"],
        ["client", "create", "--code", "a", "--name", "A"],
        ["credentials", "rotate"],
        ["import", "points.csv", "--kind", "points"],
        ["verify"],
        ["rebuild-store"],
    ],
)
def test_what_needs_a_platform_says_how_to_start_one_where_none_was(tmp_path: Path, command: list[str]) -> None:
    folder = tmp_path / "nowhere"
    done = refused(*command, "--data-dir", str(folder))
    assert f"no platform has run on {folder} yet; start it with: caudal up --data-dir {folder}" in done
    assert not folder.exists()


@pytest.mark.parametrize("command", ["up", "demo", "migrate"])
def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    assert f"{tmp_path}/file cannot be used as data folder" in refused(command, "--data-dir", str(tmp_path / "file"))


def test_one_port_for_both_is_refused(tmp_path: Path) -> None:
    port = str(free_port())
    said = refused("up", "--data-dir", str(tmp_path), "--port", port, "--mqtt-port", port)
    assert f"--port and --mqtt-port are both {port}" in said


def refused(*arguments: str) -> str:
    """What the command line says when it does nothing."""
    done = subprocess.run([*CAUDAL, *arguments], capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_load_without_a_running_platform_says_how_to_start_one(tmp_path: Path) -> None:
    assert f"caudal up --data-dir {tmp_path}" in refused("load", "--data-dir", str(tmp_path), "rows.csv")


@pytest.mark.parametrize("broker", ["mosquitto", "embedded"])
def test_demo_gives_the_volume_of_the_file_to_within_one_pulse(tmp_path: Path, broker: str) -> None:
    folder = tmp_path / "demo"
    options = ["--once", "--json", "--data-dir", str(folder), "--port", "0", "--mqtt-port", str(free_port())]
    done = subprocess.run(
        [*CAUDAL, "demo", "--broker", broker, *options], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert list(outcome) == [
        "readings_sent", "readings_stored", "volume_m3", "expected_volume_m3", "resets", "glitches", "duplicates",
        "late", "rejected", "flags", "seconds",
    ]  # fmt: skip
    assert outcome["readings_stored"] == outcome["readings_sent"] == 1268
    assert outcome["expected_volume_m3"] == 497240.496
    assert abs(outcome["volume_m3"] - outcome["expected_volume_m3"]) <= 0.01
    assert (outcome["resets"], outcome["glitches"], outcome["duplicates"], outcome["rejected"]) == (1, 1, 63, 3)
    assert 24 < outcome["late"] <= 85
    assert processes_of(folder) == {}


def test_demo_refuses_a_folder_with_readings(tmp_path: Path) -> None:
    (tmp_path / "instance.json").write_text('{"pid": 1, "api_port": 8000, "mqtt_port": 1883}')
    done = subprocess.run(
        [*CAUDAL, "demo", "--data-dir", str(tmp_path)], capture_output=True, text=True, check=False, timeout=WAIT_S
    )
    assert done.returncode == 1
    assert "give a new folder" in done.stderr
