"""PostgreSQL with a database per test, cloned from a template."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from servers.process import Server

KEPT = """
create schema kept;
create function kept.refuse() returns event_trigger language plpgsql as
$$ begin raise 'tables stay as they are in a database that is used again: ask for one of your own'; end $$;
do $$
declare name text;
begin
    for name in select tablename from pg_tables where schemaname = 'public' loop
        execute format('create table kept.%1$I as table public.%1$I', name);
    end loop;
end $$;
create event trigger no_changes on ddl_command_end execute function kept.refuse();
"""
"""Keeps a copy of what is in the tables, and the tables themselves from being changed."""
RESTORED = """
select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid();
set session_replication_role = replica;
do $$
declare name text;
begin
    for name in select tablename from pg_tables where schemaname = 'public' loop
        execute format('delete from public.%1$I; insert into public.%1$I select * from kept.%1$I', name);
    end loop;
    perform setval(oid::regclass, 1, false) from pg_class where relkind = 'S';
end $$;
"""
"""Ends what still works in a database and brings back what `KEPT` has kept; no trigger hears of it."""


def binaries() -> Path:
    """Where initdb and postgres are.

    Raises:
        pytest.skip.Exception: PostgreSQL is not installed.
    """
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).parent)
    for folder in found:
        if (folder / "initdb").exists():
            return folder
    pytest.skip("needs PostgreSQL")


class Postgres(Server):
    """A PostgreSQL server; as root it runs under the account `postgres`, since initdb refuses root."""

    name = "postgres"

    def __init__(self, folder: Path, *, lasts: bool = True) -> None:
        """One that `lasts` outlives its machine; another saves the time that this takes, at its end above all."""
        if self.user():
            # What is below pytest's own folder is shut to other accounts whenever another run of pytest starts.
            folder = Path(tempfile.mkdtemp(prefix="caudal-postgres-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            shutil.chown(folder, self.user())
        super().__init__(folder)
        self.data = self.folder / "data"
        self.databases = 0
        self.free: dict[str, list[str]] = {}
        """Databases that nobody uses now, by the template they are like."""
        self.durability = "on" if lasts else "off"
        self.stop_signal = signal.SIGINT if lasts else signal.SIGQUIT

    def user(self) -> str | None:
        return "postgres" if os.geteuid() == 0 else None

    def command(self) -> Sequence[str]:
        return [
            str(binaries() / "postgres"), "-D", str(self.data), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}",
            "-c", "max_connections=100", "-c", "shared_buffers=128MB", "-c", f"fsync={self.durability}",
        ]  # fmt: skip

    def is_ready(self) -> bool:
        ready = subprocess.run(
            [binaries() / "pg_isready", "-h", self.host, "-p", str(self.port), "-q"], check=False, timeout=5
        )
        return ready.returncode == 0

    def start(self) -> "Postgres":
        if not self.data.exists():
            subprocess.run(
                [binaries() / "initdb", "-D", self.data, "-U", "caudal", "-A", "trust", "-E", "UTF8", "--no-sync"],
                check=True,
                capture_output=True,
                user=self.user(),
                cwd=self.folder,
            )
        super().start()
        return self

    def signal(self, number: int) -> None:
        """To its backends too when it is frozen, thawed or killed: each is in a session of its own."""
        backends = self.backends()
        super().signal(number)
        if number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL):
            for pid in backends:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def kill(self) -> None:
        """kill -9, with all its backends, as when the machine loses power; returns once they are gone."""
        if self.process is None or self.process.poll() is not None:
            return
        backends = self.backends()
        self.signal(signal.SIGKILL)
        self.process.wait(10)
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in backends) and time.monotonic() < deadline:
            time.sleep(0.01)

    def backends(self) -> list[int]:
        """The processes that it started."""
        assert self.process is not None
        listing = ["ps", "-A", "-o", "pid=,ppid="]
        pairs = subprocess.run(listing, check=True, capture_output=True, text=True, timeout=10).stdout.splitlines()
        return [int(pid) for pid, parent in map(str.split, pairs) if int(parent) == self.process.pid]

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement through psql and return what it prints, unaligned."""
        done = subprocess.run(
            [
                binaries() / "psql", "-h", self.host, "-p", str(self.port), "-U", "caudal", "-d", database,
                "-v", "ON_ERROR_STOP=1", "-qAtc", statement,
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )  # fmt: skip
        return done.stdout.strip()

    def database(self, template: str = "template1") -> str:
        """The URL of a fresh database made from `template`."""
        self.databases += 1
        name = f"test_{os.getpid()}_{self.databases}"
        self.sql(f'create database "{name}" template "{template}"')
        return f"postgresql+asyncpg://caudal@{self.host}:{self.port}/{name}"

    @contextmanager
    def borrowed(self, template: str) -> Iterator[str]:
        """The URL of a database that is as `template` is; its rows may be changed, its tables may not.

        Emptying one that was used before costs 2 ms, making one costs 60.
        """
        free = self.free.setdefault(template, [])
        url = free.pop() if free else self._kept(self.database(template))
        yield url
        self.sql(RESTORED, url.rpartition("/")[2])
        free.append(url)

    def _kept(self, url: str) -> str:
        self.sql(KEPT, url.rpartition("/")[2])
        return url
