"""Why a provider cannot be reached is told in words that somebody can act on."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from caudal.common.testing.fake_clock import FakeClock
from caudal.ingest.adapters.providers.http import open_http
from caudal.ingest.adapters.providers.opening import open_client
from caudal.ingest.ports import Failed, Question
from certificates import write_certificate


async def refused(base_url: str) -> str:
    """Why a provider at this address fails; it may pass by itself."""
    async with open_http(["127.0.0.0/8"]) as http:
        authentication = {"kind": "none"}
        client = open_client("tago", {"base_url": base_url, "timeout_s": 5}, authentication, {}, http, FakeClock())
        outcome = await client.latest(Question(remote_id="well", keys={"flow": "q"}))
    assert isinstance(outcome, Failed)
    assert outcome.is_transient
    return outcome.reason


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of somebody who says no HTTP."""

    async def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")
        writer.close()

    server = await asyncio.start_server(gone, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_certificate_that_nobody_we_trust_has_signed(tmp_path: Path) -> None:
    write_certificate(tmp_path / "certificate.pem", tmp_path / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    async with listening(context) as port:
        reason = await refused(f"https://127.0.0.1:{port}")
    assert "cannot be reached: its certificate is not trusted (self" in reason


async def test_no_tls_where_https_is_asked_for() -> None:
    async with listening() as port:
        assert (await refused(f"https://127.0.0.1:{port}")).endswith("cannot be reached: it speaks no TLS that we do")


async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*asked: object, **how: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert await refused("https://nobody.invalid") == "nobody.invalid cannot be reached: nobody knows its name"


async def test_nobody_there() -> None:
    assert await refused("http://127.0.0.1:1") == "127.0.0.1:1 cannot be reached"
