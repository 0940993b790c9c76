"""A log file that stays bounded."""

from pathlib import Path


class Log:
    """Lines in a file; beyond `max_bytes` the file is put aside as `<name>.1` and begun anew."""

    def __init__(self, path: Path, max_bytes: int = 10_000_000) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._open()

    def _open(self) -> None:
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        self._size = self._path.stat().st_size

    def write(self, line: str) -> None:
        """Add a line."""
        if self._size > self._max_bytes:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._open()
        self._file.write(line + "\n")
        self._size += len(line) + 1

    def close(self) -> None:
        """Add no more."""
        self._file.close()
