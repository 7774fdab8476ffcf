"""https checks, against servers with a certificate that nobody vouches for."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from launchpad.core.model import CheckKind
from launchpad.hosts.local import probes_http
from tests.local.probing import bench, http, server

HTTP = CheckKind.HTTP
TLS = Path(__file__).parent / "tls"


def context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    return made


def test_on_this_machine_no_certificate_has_to_be_known(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b, server(http(), ssl=context()) as (port, requests):
            assert (await b.ask(HTTP, f"https://127.0.0.1:{port}/")).ok
            assert (await b.ask(HTTP, f"https://localhost:{port}/health")).ok
            assert requests[1].startswith(b"GET /health HTTP/1.1\r\n")

    asyncio.run(run())


def test_elsewhere_it_has_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes_http, "is_local", lambda address: False)

    async def run() -> None:
        async with bench(tmp_path) as b, server(http(), ssl=context()) as (port, requests):
            fact = await b.ask(HTTP, f"https://127.0.0.1:{port}/")
            assert (fact.ok, fact.seen.kind) == (False, "error")
            assert fact.seen.text == "no TLS connection: certificate verify failed"
            assert requests == []

    asyncio.run(run())


def test_an_answer_of_many_records_is_read_whole(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000 + b"ready"

    async def run() -> None:
        async with bench(tmp_path) as b, server(answer, ssl=context()) as (port, _):
            assert (await b.ask(HTTP, f"https://127.0.0.1:{port}/", body="xready$")).ok

    asyncio.run(run())


def test_who_does_not_speak_tls_is_named_as_such(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            bench(tmp_path) as b,
            server(http(), ssl=context()) as (tls, _),
            server(http()) as (plain, _),
            server(b"") as (closes, _),
            server(None) as (silent, _),
        ):
            fact = await b.ask(HTTP, f"http://127.0.0.1:{tls}/", timeout_s=20.0)
            assert (fact.ok, fact.seen.kind) == (False, "error")
            fact = await b.ask(HTTP, f"https://127.0.0.1:{plain}/", timeout_s=1.0)
            assert (fact.ok, fact.seen.kind) == (False, "silent")  # it waits for the end of a request
            fact = await b.ask(HTTP, f"https://127.0.0.1:{silent}/", timeout_s=0.2)
            assert (fact.ok, fact.seen.kind) == (False, "silent")
            assert closes

    asyncio.run(run())


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_a_handshake_that_is_answered_otherwise(tmp_path: Path, reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(reply)
        writer.close()

    async def run() -> None:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with bench(tmp_path) as b, listening:
            fact = await b.ask(HTTP, f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/")
            assert (fact.ok, fact.seen.kind) == (False, "error")
            assert fact.seen.text.startswith("no TLS connection: ")

    asyncio.run(run())
