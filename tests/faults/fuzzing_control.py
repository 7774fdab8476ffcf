"""What `scripts/fuzz` throws at the control API, in this process and over the socket of a real supervisor."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from hypothesis import strategies as st

from launchpad.control.client import Client
from launchpad.paths import stack_paths
from tests.faults.fuzzing_input import edits, scalars, spoiled, text

SMALL = f"""
servers:
  llm: {{command: {sys.executable} -m launchpad.pretend}}
  other: {{command: {sys.executable} -m launchpad.pretend, restart: never}}
jobs:
  train: {{command: "true", depends_on: [llm]}}
"""
VERBS = ["start", "stop", "restart", "apply", "reload", "diff", "status", "nothing", "", "%00", "é", "../x"]
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
bodies = (
    st.fixed_dictionaries(
        {},
        optional={
            "names": st.lists(st.sampled_from(["llm", "other", "train", "nobody"]), max_size=3) | json_values,
            "profiles": st.lists(text, max_size=2) | json_values,
            "env_files": st.lists(text, max_size=2) | json_values,
            "set_vars": st.dictionaries(text, text, max_size=2) | json_values,
            "yes": st.booleans() | json_values,
            "all": json_values,
            "retry": json_values,
        },
    )
    | json_values
)
raw_bodies = (
    bodies.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=60)
    | st.sampled_from([b"", b"[" * 2000, b"{", b"null"])
)
queries = st.sampled_from(
    [
        "",
        "?after=0",
        "?after=-1",
        "?after=x",
        "?after=9999999999&timeout=0.01",
        "?timeout=nan",
        "?timeout=-1",
        "?after=0&timeout=inf",
        "?after=" + "9" * 5000,
        "?after=1&after=2",
        "?%ff=%00",
    ]
)


Ask = Callable[..., httpx.Response]


@contextmanager
def in_process() -> Iterator[Ask]:
    """The control socket of a live supervisor, all in this process: how to ask it (method, path, and what httpx
    takes). After each answer the supervisor lives."""
    from launchpad.control.pace import Pace
    from launchpad.control.server import ControlServer, serve
    from launchpad.runtime import store
    from launchpad.runtime.control import Control
    from launchpad.runtime.options import UpOptions
    from launchpad.runtime.read import read
    from launchpad.runtime.reload import Reloader
    from launchpad.runtime.supervisor import Supervisor

    with stack_folder() as file, asyncio.Runner() as runner:
        paths = stack_paths(file)
        lock = store.take_lock(paths)
        assert lock is not None

        async def begin() -> tuple[Supervisor, ControlServer]:
            options = UpOptions(paths.file)
            supervisor = Supervisor(paths, read(options), store.begin(paths)[0])
            supervisor.start()
            control = Control(supervisor, Reloader(supervisor, options))
            return supervisor, await serve(control, paths.new_socket, Pace(rate=1e6))

        supervisor, server = runner.run(begin())

        async def ask(method: str, path: str, **more: Any) -> httpx.Response:
            transport = httpx.AsyncHTTPTransport(uds=str(paths.new_socket))
            async with httpx.AsyncClient(transport=transport, base_url="http://x", timeout=30) as client:
                answer = await asyncio.wait_for(client.request(method, path, **more), 30)
            assert not supervisor.finished.done(), "it goes on"
            return answer

        try:
            yield lambda *what, **more: runner.run(ask(*what, **more))
        finally:
            runner.run(server.close())
            runner.run(closed(supervisor))
            os.close(lock)


@contextmanager
def api_target() -> Iterator[tuple[Callable[[Any], None], st.SearchStrategy[Any]]]:
    """Requests, and what looks like one."""
    with in_process() as ask:

        def once(parts: tuple[str, str, str, bytes]) -> None:
            verb, method, query, body = parts
            answer = ask(method, f"/v1/{verb}{query}", content=body)
            assert answer.status_code in (200, 400, 404, 405, 409), (answer.status_code, verb, body)
            if method != "HEAD":
                assert isinstance(answer.json(), dict)

        methods = st.sampled_from(["GET", "POST", "PUT", "HEAD"])
        yield once, st.tuples(st.sampled_from(VERBS[:-1]), methods, queries, raw_bodies)


async def closed(supervisor: Any) -> None:
    supervisor.ask_down(kill=True)
    await asyncio.wait_for(supervisor.finished, 60)
    await supervisor.close()


@contextmanager
def stack_folder() -> Iterator[Path]:
    """A small stack's file, with a runtime folder of its own."""
    with tempfile.TemporaryDirectory(prefix="lp") as folder:
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = folder
        file = Path(folder) / "stack.yaml"
        file.write_text(SMALL)
        try:
            yield file
        finally:
            os.environ.pop("XDG_RUNTIME_DIR")
            if before is not None:
                os.environ["XDG_RUNTIME_DIR"] = before


requests = st.tuples(
    st.sampled_from(["GET", "POST", "PUT", "", "G\x00T"]),
    st.sampled_from(VERBS),
    queries,
    st.lists(st.tuples(text, text), max_size=2),
    raw_bodies,
    st.sampled_from([None, 0, 5, 10**12, -1]),
).map(lambda parts: as_http(*parts))


def as_http(
    method: str, verb: str, query: str, headers: list[tuple[str, str]], body: bytes, length: int | None
) -> bytes:
    lines = [f"{method} /v1/{verb}{query} HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


@contextmanager
def socket_target() -> Iterator[tuple[Callable[[Any], None], st.SearchStrategy[Any]]]:
    """A real supervisor in another process. It answers or hangs up, and lives; its log says nothing."""
    with stack_folder() as file:
        command = [sys.executable, "-m", "launchpad"]
        subprocess.run(
            [*command, "up", "-d", "-f", str(file)], check=True, stdin=subprocess.DEVNULL, timeout=60
        )
        paths = stack_paths(file)
        client = Client(paths.socket)
        pid = client.status().pid

        def once(data: bytes) -> None:
            with socket.socket(socket.AF_UNIX) as one:
                one.settimeout(30)
                one.connect(str(paths.socket))
                try:
                    one.sendall(data)
                    one.shutdown(socket.SHUT_WR)
                    while one.recv(65536):
                        pass
                except (BrokenPipeError, ConnectionResetError):
                    pass
            assert client.status().pid == pid, "the same supervisor lives"
            log = paths.supervisor_log.read_text()
            assert "Traceback" not in log, log[-3000:]

        try:
            yield (
                once,
                requests
                | st.binary(max_size=200)
                | st.tuples(requests, st.lists(edits, max_size=3)).map(spoiled),
            )
        finally:
            subprocess.run(
                [*command, "down", "-f", str(file)], check=False, stdin=subprocess.DEVNULL, timeout=60
            )
