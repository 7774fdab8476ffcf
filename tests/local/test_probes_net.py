"""http and tcp probes against real sockets: what each kind of answer is called, and whose it must be."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path

import pytest

from launchpad.core.model import CheckKind
from launchpad.hosts.local import diagnose, sockets_netlink
from launchpad.hosts.local.port_hold import has_remains
from tests.e2e.harness import eventually
from tests.local.probing import bench, free_port, has_ipv6, http, lease, process, server
from tests.local.test_sockets import refuse

HTTP, TCP = CheckKind.HTTP, CheckKind.TCP
needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")

LISTEN = """
import socket, sys
sock = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET,
                            reuse_port=len(sys.argv) > 3)
print(sock.getsockname()[1], flush=True)
while True:
    peer, _ = sock.accept()
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    peer.close()
"""


def test_refused_is_answered_within_the_call(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b:
            port = free_port()
            b.send(HTTP, f"http://127.0.0.1:{port}/health")
            fact = b.told.get_nowait()
            assert (fact.ok, fact.seen.kind, fact.seen.text) == (False, "refused", "refused")
            assert fact.seen.detail == f"127.0.0.1:{port}"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("reply", "more", "ok", "kind", "text"),
    [
        (http(), {}, True, "ok", "answers 200"),
        (http("302 Found", "", "Location: http://127.0.0.1:1/\r\n"), {}, True, "ok", "answers 302"),
        (http("503 Busy", "model is loading"), {}, False, "status", 'answers 503 "model is loading"'),
        (http("400 Bad", "<!doctype html><p>no"), {}, False, "status", "answers 400"),
        (http("204 Empty", ""), {"status": ((200, 200),)}, False, "status", "answers 204"),
        (http("404 No", ""), {"status": ((200, 200), (404, 404))}, True, "ok", "answers 404"),
        (http(body='{"state": "ready"}'), {"body": '"state": *"ready"'}, True, "ok", "answers 200"),
        (http(body="not yet"), {"body": "^ready"}, False, "body", 'answers 200, but "not yet" does not match `^ready`'),
        (b"HTTP/1.0 200 OK\r\n\r\nold but fine", {"body": "fine$"}, True, "ok", "answers 200"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nre\r\n3\r\nady\r\n0\r\n\r\n", {"body": "^ready$"}, True, "ok", "answers 200"),
        (b"HTTP/1.1 103 Early\r\n\r\n" + http(), {}, True, "ok", "answers 200"),
        (b"", {}, False, "error", "closes the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.0\r\n", {}, False, "error", "does not answer in HTTP"),
        (http(body="x"), {"body": "("}, False, "error", "the pattern `(` is not a regular expression: missing ), unterminated subpattern"),
    ],
)  # fmt: skip
def test_what_an_answer_is_called(
    tmp_path: Path, reply: bytes, more: dict[str, object], ok: bool, kind: str, text: str
) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b, server(reply) as (port, _):
            fact = await b.ask(HTTP, f"http://127.0.0.1:{port}/health", **more)
            assert (fact.ok, fact.seen.kind, fact.seen.text) == (ok, kind, text)

    asyncio.run(run())


HANGS_UP = """
import socket, sys
sock = socket.create_server(("127.0.0.1", 0))
print(sock.getsockname()[1], flush=True)
while True:
    peer, _ = sock.accept()
    peer.recv(65536)
    peer.sendall(sys.argv[1].encode())
    peer.close()
"""


@pytest.mark.parametrize("more", ["", "Content-Length: 2\r\n"])
def test_a_server_that_hangs_up_first_is_left_without_remains(tmp_path: Path, more: str) -> None:
    """In TIME_WAIT they would keep a program that binds without SO_REUSEADDR from its port for a minute."""
    with process(HANGS_UP, f"HTTP/1.0 200 OK\r\n{more}\r\nok") as (_, line):
        port = int(line)

        async def run() -> None:
            async with bench(tmp_path) as b:
                await b.ask(HTTP, f"http://127.0.0.1:{port}/")

        asyncio.run(run())
        eventually(lambda: not has_remains(port), "no connection is left on its port")


def test_a_request_that_is_taken_slowly_is_sent_whole(tmp_path: Path) -> None:
    """More than the kernel takes at once: the rest follows as it is read, and the answer is waited for."""
    content = '{"prompt": "' + "x" * (8 << 20) + '"}'

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(len(content))
        told.append((head, body))
        writer.write(http())
        writer.close()

    told: list[tuple[bytes, bytes]] = []

    async def run() -> None:
        async with bench(tmp_path) as b, await asyncio.start_server(take, "127.0.0.1") as own:
            port = own.sockets[0].getsockname()[1]
            assert (await b.ask(HTTP, f"http://127.0.0.1:{port}/", content=content)).ok
            assert told[0][1] == content.encode()

    asyncio.run(run())


def test_503_then_200(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b, server([http("503 Wait", "loading"), http()]) as (port, _):
            url = f"http://127.0.0.1:{port}/"
            assert [(await b.ask(HTTP, url)).ok for _ in range(3)] == [False, True, True]

    asyncio.run(run())


def test_the_request_is_as_it_was_written(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b, server(http()) as (port, seen):
            url = f"http://user:p%20w@127.0.0.1:{port}/a b?c=ü&d=1"
            headers = (("X-Token", "s3"), ("Host", "model.local"))
            assert (await b.ask(HTTP, url, headers=headers)).ok
            assert (await b.ask(HTTP, f"http://127.0.0.1:{port}")).ok
            first, second = seen
            assert first.startswith(b"GET /a%20b?c=%C3%BC&d=1 HTTP/1.1\r\n")
            lines = first.lower().split(b"\r\n")
            assert b"x-token: s3" in lines
            assert b"host: model.local" in lines
            assert b"authorization: basic dxnlcjpwihc=" in lines
            assert second.startswith(b"GET / HTTP/1.1\r\n")
            assert f"host: 127.0.0.1:{port}".encode() in second.lower().split(b"\r\n")

    asyncio.run(run())


def test_json_is_sent_by_post(tmp_path: Path) -> None:
    """The body's length counts bytes, and a header of one's own wins."""

    async def run() -> None:
        content = '{"prompt": "\u00e4\u4e00"}'
        async with bench(tmp_path) as b, server(http(), whole=True) as (port, seen):
            assert (await b.ask(HTTP, f"http://127.0.0.1:{port}/v1", content=content)).ok
            more = (("Content-Type", "application/x-ndjson"),)
            assert (await b.ask(HTTP, f"http://127.0.0.1:{port}/v1", content="[1]", headers=more)).ok
        head, _, body = seen[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /v1 HTTP/1.1\r\n")
        assert b"content-type: application/json" in head
        assert body.decode() == content
        assert b"content-type: application/x-ndjson" in seen[1]
        assert b"application/json" not in seen[1]

    asyncio.run(run())


def test_a_proxy_in_the_environment_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with (
            bench(tmp_path) as b,
            server(http("502 Proxy", "")) as (proxy, asked),
            server(http()) as (port, _),
        ):
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
            assert (await b.ask(HTTP, f"http://127.0.0.1:{port}/")).ok
            assert asked == []

    asyncio.run(run())


def test_a_silent_server_ends_by_the_timeout_and_holds_nothing_up(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b, server(None) as (deaf, seen), server(http()) as (port, _):
            slow = [b.send(HTTP, f"http://127.0.0.1:{deaf}/", timeout_s=1.0) for _ in range(5)]
            quick = b.send(HTTP, f"http://127.0.0.1:{port}/", timeout_s=25.0)
            first = await b.answer()
            assert (first.seq, first.ok) == (quick.seq, True)
            rest = [await b.answer() for _ in slow]
            assert {fact.seq for fact in rest} == {wish.seq for wish in slow}
            text = "accepts the connection, but does not answer"
            assert {(fact.seen.kind, fact.seen.text) for fact in rest} == {("silent", text)}
            assert len(seen) == 5

    asyncio.run(run())


def test_a_server_with_a_full_queue_is_silent(tmp_path: Path) -> None:
    async def run() -> None:
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            port = deaf.getsockname()[1]
            async with bench(tmp_path) as b:
                for _ in range(4):
                    b.send(TCP, f"127.0.0.1:{port}", timeout_s=0.3)
                kinds = [(await b.answer()).seen for _ in range(4)]
                assert kinds[0].kind == "ok"
                assert (kinds[-1].kind, kinds[-1].text) == ("silent", "does not accept the connection")

    asyncio.run(run())


def test_an_endless_answer_is_ready_at_its_head(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            bench(tmp_path) as b,
            server(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\ndata:") as (port, _),
        ):
            assert (await b.ask(HTTP, f"http://127.0.0.1:{port}/events", timeout_s=20.0)).ok
            assert b.told.empty()

    asyncio.run(run())


def test_a_restarted_server_is_asked_over_a_fresh_connection(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b:
            port = free_port()
            for _ in range(3):
                async with server(http(), port=port):
                    await b.ask(HTTP, f"http://127.0.0.1:{port}/")
                assert (await b.ask(HTTP, f"http://127.0.0.1:{port}/")).seen.kind == "refused"

    asyncio.run(run())


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_tcp(tmp_path: Path, host: str) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b, server(None) as (port, _):
            fact = await b.ask(TCP, f"{host}:{port}")
            assert (fact.ok, fact.seen.text) == (True, "accepts connections")

    asyncio.run(run())


@pytest.mark.parametrize("target", ["http://", "nonsense", "ftp://127.0.0.1:9/", "http://127.0.0.1:99999/"])
def test_a_target_that_cannot_be_asked_is_final(tmp_path: Path, target: str) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b:
            fact = await b.ask(HTTP, target)
            assert (fact.ok, fact.seen.kind, fact.seen.final) == (False, "error", True)
            assert f"`{target}`" in fact.seen.text

    asyncio.run(run())


def test_p4_a_stranger_that_answers_is_named_and_is_not_ready(tmp_path: Path) -> None:
    async def run(port: int, pid: int) -> None:
        async with bench(tmp_path) as b:
            for kind, target in ((HTTP, f"http://127.0.0.1:{port}/"), (TCP, f"127.0.0.1:{port}")):
                fact = await b.ask(kind, target)
                assert (fact.ok, fact.seen.kind) == (False, "stranger")
                assert fact.seen.text.startswith(f"pid {pid} `python")
                assert fact.seen.text.endswith(f"answers on 127.0.0.1:{port}, not `llm`")
                assert (await b.ask(kind, target, ours=False)).ok
            b.own.add(pid)
            assert (await b.ask(HTTP, f"http://127.0.0.1:{port}/")).ok
            b.own.remove(pid)
            assert (await b.ask(HTTP, f"http://127.0.0.1:{port}/")).ok, "a process stays whose it is"
            b.prober._asker._ownership._now = lambda: time.monotonic() + diagnose.BELIEVED_S
            assert not (await b.ask(HTTP, f"http://127.0.0.1:{port}/")).ok

    with process(LISTEN, "127.0.0.1", "0") as (child, port):
        asyncio.run(run(int(port), child.pid))


def test_p4_a_stranger_that_answers_badly_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            bench(tmp_path) as b,
            server(http("503 No", "old")) as (port, _),
            server(None) as (deaf, _),
        ):
            b.own.clear()
            for target, does in (
                (f"http://127.0.0.1:{port}/", "answers"),
                (f"http://127.0.0.1:{deaf}/", "listens"),
            ):
                fact = await b.ask(HTTP, target, timeout_s=0.5)
                assert (fact.ok, fact.seen.kind) == (False, "stranger")
                assert f"pid {os.getpid()} " in fact.seen.text
                assert f" {does} on 127.0.0.1:" in fact.seen.text

    asyncio.run(run())


def test_p4_a_port_shared_with_a_stranger_is_not_ready(tmp_path: Path) -> None:
    async def run(port: int, pid: int) -> None:
        async with bench(tmp_path) as b:
            b.own = {pid}
            assert (await b.ask(TCP, f"127.0.0.1:{port}")).ok
            with process(LISTEN, "127.0.0.1", str(port), "shared") as (second, _):
                fact = await b.ask(TCP, f"127.0.0.1:{port}")
                assert (fact.ok, fact.seen.kind) == (False, "stranger")
                assert fact.seen.text.startswith(f"pid {second.pid} ")
                assert fact.seen.text.endswith(f"shares 127.0.0.1:{port} with `llm`")

    with process(LISTEN, "127.0.0.1", "0", "shared") as (child, port):
        asyncio.run(run(int(port), child.pid))


@needs_ipv6
@pytest.mark.parametrize("netlink", [True, False])
@pytest.mark.parametrize(("bound", "shown"), [("::1", "[::1]"), ("::", "[::]")])
def test_p6_the_very_port_at_another_address_is_final_after_a_second_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, shown: str, netlink: bool
) -> None:
    if not netlink:
        monkeypatch.setattr(sockets_netlink, "listening", refuse)
    now = [100.0]

    async def run(port: int, pid: int) -> None:
        async with bench(tmp_path) as b:
            b.own = {pid}
            b.prober._asker._elsewhere._now = lambda: now[0]
            url = f"http://127.0.0.1:{port}/"
            assert (await b.ask(HTTP, url)).seen.kind == "refused"
            first = (await b.ask(HTTP, url, look=True)).seen
            assert (first.kind, first.final) == ("elsewhere", False)
            assert first.text.startswith(f"listens on {shown}:{port} (pid {pid} `python")
            assert first.text.endswith(f"`), launchpad knocks at 127.0.0.1:{port}")
            now[0] += 0.9
            assert not (await b.ask(HTTP, url, look=True)).seen.final
            now[0] += 0.2
            assert (await b.ask(HTTP, url, look=True)).seen.final

    with process(LISTEN, bound, "0") as (child, port):
        asyncio.run(run(int(port), child.pid))


def test_p6_another_port_is_told_and_never_final(tmp_path: Path) -> None:
    now = [100.0]

    async def run(port: int, pid: int) -> None:
        async with bench(tmp_path) as b:
            b.own = {pid}
            b.prober._asker._elsewhere._now = lambda: now[0]
            url = f"http://127.0.0.1:{free_port()}/"
            for _ in range(3):
                seen = (await b.ask(HTTP, url, look=True)).seen
                assert (seen.kind, seen.final) == ("elsewhere", False)
                assert seen.text.startswith(f"listens on 127.0.0.1:{port} (pid {pid} ")
                now[0] += 10
            b.running = b.service(2, ports=(lease("metrics", port),))
            assert (await b.ask(HTTP, url, look=True)).seen.kind == "refused"

    with process(LISTEN, "127.0.0.1", "0") as (child, port):
        asyncio.run(run(int(port), child.pid))


def test_a_cancelled_attempt_tells_nothing_more(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b, server(None) as (deaf, _):
            b.send(HTTP, f"http://127.0.0.1:{deaf}/", timeout_s=0.5)
            b.send(HTTP, f"http://127.0.0.1:{deaf}/", timeout_s=0.5)
            b.prober.cancel(1)
            b.running = b.service(2)
            b.send(HTTP, f"http://127.0.0.1:{deaf}/", timeout_s=1.0)
            assert (await b.answer()).attempt == 2

    asyncio.run(run())
