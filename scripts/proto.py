"""Makes Python of the .proto files, or says with --check whether what is committed is what they make."""

import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
INGEST = ROOT / "services" / "ingest"
SOURCE = Path("caudal/ingest/v1/readings.proto")
INTO = INGEST / "src" / "caudal" / "ingest" / "entrypoints" / "grpc"


def generated(folder: Path) -> dict[Path, bytes]:
    """Where each generated file belongs, and what it holds."""
    well_known = resources.files("grpc_tools") / "_proto"
    places = [f"-I{INGEST / 'proto'}", f"-I{well_known}", f"--python_out={folder}", f"--pyi_out={folder}"]
    if protoc.main(["protoc", *places, str(SOURCE)]):
        sys.exit(f"proto: {SOURCE} cannot be compiled")
    made = (folder / SOURCE).parent.glob("readings_pb2.py*")
    return {INTO / path.name: path.read_bytes() for path in made}


def main() -> None:
    """Write, or compare."""
    with tempfile.TemporaryDirectory() as folder:
        files = generated(Path(folder))
    stale = [path for path, content in files.items() if not path.exists() or path.read_bytes() != content]
    if "--check" in sys.argv:
        sys.exit("".join(f"proto: {path} is not what its .proto makes: make docs\n" for path in stale) or 0)
    for path in stale:
        path.write_bytes(files[path])


if __name__ == "__main__":
    main()
