"""The Python of the .proto files is what they make."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_committed_code_is_what_the_proto_makes() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "proto.py", "--check"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
