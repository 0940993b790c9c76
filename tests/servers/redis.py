"""Redis, as it is shipped: append-only, fsync every second."""

import shutil
from collections.abc import Sequence

from servers.process import Server


class Redis(Server):
    """A Redis server."""

    name = "redis"

    def command(self) -> Sequence[str]:
        return [
            shutil.which("redis-server") or "redis-server",
            "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--appendonly", "yes",
        ]  # fmt: skip
