"""What `scripts/fuzz` throws, and at what. Each target is a context that gives (what is done with one input, inputs)."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from launchpad.control.client import Client
from launchpad.errors import Refused
from launchpad.paths import stack_paths
from launchpad.plan.read import read_stack
from launchpad.stack import json_schema
from launchpad.views.diagnostics import render, to_json

Target = Callable[[], AbstractContextManager[tuple[Callable[[Any], None], st.SearchStrategy[Any]]]]
ENVIRON = {"HOME": "/home/user", "PATH": "/usr/bin:/bin", "PORT": "8080", "EMPTY": "", "ODD": "a${b}$$c\n"}
NAMES = ["a", "b", "llm", "train", "x-y", "A_1", "self", "vars", "stack", "1a", "", "é", "null"]
PIECES = [
    *(
        "${",
        "}",
        "$",
        "$$",
        "${self.port}",
        "${self.ports.main}",
        "${llm.url}",
        "${vars.a}",
        "${vars.b}",
        "${HOME}",
    ),
    *(
        "${NOPE}",
        "${NOPE:-x}",
        "${NOPE:?no}",
        "${EMPTY:-",
        "${a.url}",
        "${stack.dir}",
        "${ODD}",
        "${self",
        ".",
        ":",
        "-",
    ),
    *(
        " ",
        "'",
        '"',
        "\\",
        "\n",
        "\t",
        "|",
        "&&",
        ">",
        "a",
        "--port",
        "8000",
        "8000-8100",
        "auto",
        "\x00",
        "\u2028",
        "é",
    ),
]
text = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**6)
    | st.floats()
    | text
    | st.sampled_from(
        [
            "5s",
            "500ms",
            "1h",
            "10m",
            "-1s",
            "64KB",
            "2GB",
            "SIGTERM",
            "always",
            "on-failure",
            "ready",
            "/health",
        ]
    )
    | st.sampled_from(NAMES)
)


def keys() -> tuple[list[str], list[str], list[str]]:
    """Of the file, of a service, and all that occur anywhere, from the schema."""
    schema = json_schema()
    every: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            every.update(node.get("properties", {}))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(schema)
    services = [
        d.get("properties", {})
        for d in schema.get("$defs", {}).values()
        if "command" in d.get("properties", {})
    ]
    return list(schema["properties"]), sorted({key for one in services for key in one}), sorted(every)


TOP, SERVICE, EVERY = keys()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(EVERY) | st.sampled_from(NAMES) | text, inner, max_size=4)
    ),
    max_leaves=8,
)
services = st.fixed_dictionaries({"command": text | st.lists(text, max_size=4)}) | values
services = st.tuples(services, st.dictionaries(st.sampled_from(SERVICE), values, max_size=4)).map(
    lambda pair: {**pair[0], **pair[1]} if isinstance(pair[0], dict) else pair[0]
)
several = st.dictionaries(st.sampled_from(NAMES), services, max_size=4)
stacks = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(TOP, values),
        "servers": several,
        "jobs": several,
        "vars": st.dictionaries(st.sampled_from(["a", "b"]), scalars),
    },
)


def dumped(value: Any) -> bytes:
    return yaml.safe_dump(value, allow_unicode=True, default_flow_style=None).encode("utf-8", "surrogatepass")


def spoiled(parts: tuple[bytes, list[tuple[int, int, bytes]]]) -> bytes:
    data = bytearray(parts[0])
    for at, length, new in parts[1]:
        at %= len(data) + 1
        data[at : at + length] = new
    return bytes(data)


edits = st.tuples(
    st.integers(0, 4096),
    st.sampled_from([0, 0, 1, 2, 8]),
    st.binary(max_size=3)
    | st.sampled_from(
        [b"&a ", b"*a", b"<<: ", b"!!x ", b"\t", b"- ", b"? ", b"---\n", b"\xff", b"|\n", b"{", b"["]
    ),
)
files = st.tuples(stacks.map(dumped), st.lists(edits, max_size=3)).map(spoiled)
env_files = st.lists(st.tuples(st.sampled_from(["A", "B", "1", "", "é"]), text), max_size=4).map(
    lambda pairs: "\n".join(f"{name}={value}" for name, value in pairs).encode("utf-8", "surrogatepass")
)


def refused_or_read(file: Path) -> None:
    """Loads, plans, draws what is wrong. Anything but Refused is a find."""
    try:
        found = read_stack(file, environ=ENVIRON).warnings
    except Refused as refused:
        found = refused.diagnostics
        assert found, "a refusal says why"
    assert not [one for one in found if one.code.startswith("E9")], found
    drawn = render(found, color=False)
    assert "Traceback" not in drawn
    json.dumps([to_json(one) for one in found])
    for one in found:
        for label in one.labels:
            assert label.span.line >= 1, one
            assert (label.span.end_line, label.span.end_column) >= (label.span.line, label.span.column), one


@contextmanager
def stack_target() -> Iterator[tuple[Callable[[Any], None], st.SearchStrategy[Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stack.yaml"

        def once(parts: tuple[bytes, bytes | None, bytes]) -> None:
            file.write_bytes(parts[0])
            local = file.with_name("stack.local.yaml")
            local.unlink(missing_ok=True)
            if parts[1] is not None:
                local.write_bytes(parts[1])
            (Path(folder) / ".env").write_bytes(parts[2])
            refused_or_read(file)

        yield once, st.tuples(files, st.none() | files, env_files)


@contextmanager
def template_target() -> Iterator[tuple[Callable[[Any], None], st.SearchStrategy[Any]]]:
    """Texts with `${…}` in them at every place that takes one, in a stack that is in order but for these."""
    places = ["working_dir", "venv", "port", "env_file", "stop_signal", "stop_grace", "restart", "watch"]
    places += ["output", "host", "profiles", "retries"]
    checks = st.dictionaries(
        st.sampled_from(["http", "tcp", "exec", "log", "file", "timeout", "body", "status"]), text, max_size=2
    )
    one = st.fixed_dictionaries(
        {"command": text},
        optional={
            **dict.fromkeys(places, text),
            "ready": text | checks,
            "alive": checks,
            "environment": st.dictionaries(st.sampled_from(["X", "Y", "LLM_URL"]), text, max_size=2),
        },
    )
    inputs = st.fixed_dictionaries(
        {"servers": st.fixed_dictionaries({"llm": one}, optional={"a": one})},
        optional={
            "vars": st.dictionaries(st.sampled_from(["a", "b"]), text),
            "name": text,
            "jobs": st.fixed_dictionaries({"train": one}),
        },
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stack.yaml"

        def once(stack: dict[str, Any]) -> None:
            file.write_bytes(dumped(stack))
            refused_or_read(file)

        yield once, inputs


# --- the control API ------------------------------------------------------------------------------------

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


@contextmanager
def api_target() -> Iterator[tuple[Callable[[Any], None], st.SearchStrategy[Any]]]:
    """The ASGI application over a live supervisor, all in this process."""
    import httpx

    from launchpad.control.server import app
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

        async def begin() -> tuple[Supervisor, Any]:
            options = UpOptions(paths.file)
            supervisor = Supervisor(paths, read(options))
            supervisor.start()
            return supervisor, app(Control(supervisor, Reloader(supervisor, options)))

        supervisor, application = runner.run(begin())

        async def ask(verb: str, method: str, query: str, body: bytes) -> None:
            transport = httpx.ASGITransport(application)
            async with httpx.AsyncClient(transport=transport, base_url="http://x", timeout=30) as client:
                answer = await asyncio.wait_for(
                    client.request(method, f"/v1/{verb}{query}", content=body), 30
                )
            assert answer.status_code in (200, 400, 404, 405, 409), (answer.status_code, verb, body)
            if answer.status_code in (200, 400, 409) and method != "HEAD":
                assert isinstance(answer.json(), dict)
            assert not supervisor.finished.done(), "it goes on"

        try:
            yield (
                (lambda parts: runner.run(ask(*parts))),
                st.tuples(
                    st.sampled_from(VERBS[:-1]),
                    st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
                    queries,
                    raw_bodies,
                ),
            )
        finally:
            runner.run(closed(supervisor))
            os.close(lock)


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


TARGETS: dict[str, Target] = {
    "stack": stack_target,
    "template": template_target,
    "api": api_target,
    "socket": socket_target,
}
