"""What the tests of probes share: a prober with an inbox, services that are real processes, small servers."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from msgspec import Struct, field

from launchpad.core.facts import Fact, Probed
from launchpad.core.model import CheckKind, Handle, Launch, Lease, Probing
from launchpad.core.wishes import Probe
from launchpad.hosts.local.probes import Prober
from launchpad.hosts.local.running import Running

PATIENCE_S = 30.0


class Bench(Struct, dict=True):
    """A prober and what it has told so far. `pids` says which processes count as the service's own."""

    folder: Path
    own: set[int] = field(default_factory=lambda: {os.getpid()})
    told: asyncio.Queue[Probed] = field(default_factory=asyncio.Queue)
    seq: int = 0

    def __post_init__(self) -> None:
        self.prober = Prober(self._take, lambda running: set(self.own))
        self.running = self.service()

    def _take(self, fact: Fact) -> None:
        assert isinstance(fact, Probed)
        self.told.put_nowait(fact)

    def service(self, attempt: int = 1, **more: object) -> Running:
        launch = Launch(("x",), (), True, str(self.folder), ports=more.pop("ports", ()))  # type: ignore[arg-type]
        return Running(
            "llm",
            attempt,
            Handle(os.getpid()),
            launch,
            self.folder / "llm.log",
            int(more.pop("log_start", 0)),  # type: ignore[call-overload]
            time.time(),
            {"PATH": os.environ["PATH"], "WHO": "llm"},
        )

    def send(self, kind: CheckKind, target: str = "", *, look: bool = False, **more: object) -> Probe:
        self.seq += 1
        probing = Probing(kind, target, **more)  # type: ignore[arg-type]
        wish = Probe("llm", self.running.attempt, "ready", self.seq, probing, look)
        self.prober.probe(wish, self.running)
        return wish

    async def answer(self) -> Probed:
        return await asyncio.wait_for(self.told.get(), PATIENCE_S)

    async def ask(self, kind: CheckKind, target: str = "", **more: object) -> Probed:
        """One probe and its answer."""
        wish = self.send(kind, target, **more)  # type: ignore[arg-type]
        fact = await self.answer()
        assert (fact.service, fact.attempt, fact.check, fact.seq) == ("llm", wish.attempt, "ready", wish.seq)
        return fact


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    made = Bench(folder)
    try:
        yield made
    finally:
        await made.prober.close()


@asynccontextmanager
async def server(
    reply: bytes | list[bytes] | None,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    whole: bool = False,
    **more: object,
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Listens in this process and gives each request the next reply (None: never answers, b"": closes).
    Yields the port and the requests seen; their heads only, unless `whole`."""
    replies = [reply] if not isinstance(reply, list) else list(reply)
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", request.lower())
            seen.append(request + (await reader.readexactly(int(length[1])) if whole and length else b""))
            answer = replies.pop(0) if len(replies) > 1 else replies[0]
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
                if b"content-length" in answer.lower():
                    await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    made = await asyncio.start_server(serve, host, port, **more)  # type: ignore[arg-type]
    try:
        yield made.sockets[0].getsockname()[1], seen
    finally:
        made.close()


def http(status: str = "200 OK", body: str = "ok", extra: str = "") -> bytes:
    raw = body.encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(raw)}\r\n{extra}\r\n".encode() + raw


@contextmanager
def process(code: str, *args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python program; yields once it has printed its first line, with that line."""
    child = subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdout is not None
    try:
        yield child, child.stdout.readline().strip()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        assert child.stdin is not None
        child.stdin.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def lease(name: str, number: int) -> Lease:
    return Lease("llm", name, number, "127.0.0.1")


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True
