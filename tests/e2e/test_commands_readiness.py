"""Every kind of `ready` and `alive`, end to end: it waits, it passes, it can say no."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import alive, fire, get

# --- every kind of readiness -----------------------------------------------------------------------------

KINDS = {
    "http path": ("--port ${self.port}", "/health"),
    "http URL": ("--port ${self.port}", "http://127.0.0.1:${self.port}/v1/models"),
    "http status": ("--port ${self.port}", "{http: /nowhere, status: 404}"),
    "http body": ("--port ${self.port}", '{http: /, body: "uptime_s.: ?[0-9]"}'),
    "tcp": ("--port ${self.port}", "{tcp: true}"),
    "tcp address": ("--port ${self.port}", '{tcp: "127.0.0.1:${self.port}"}'),
    "exec": ("--touch there", "{exec: test -e there}"),
    "log": ("--log-line 'listening on 8000, at last'", "{log: 'listening on [0-9]+'}"),
    "file": ("--touch there", "{file: there}"),
    "notify": ("--notify", "{notify: true}"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_readiness(make_stack: Make, kind: str) -> None:
    """Each kind: not ready while it loads, ready once it is, and the dependent starts then."""
    options, ready = KINDS[kind]
    stack = make_stack(f"""
        servers:
          llm:
            command: PRETEND --mark marks --name llm --ready-when go {options}
            port: auto
            ready: {ready}
        jobs:
          train: {{command: "PRETEND --mark marks --name train --exit 0", depends_on: [llm]}}
    """)
    stack.pipe("go")
    stack.start("up", "-d")
    stack.wait_state("llm", "starting")
    assert not stack.marks_of("train", "start")
    fire(stack.folder / "go")
    stack.wait_state("train", "done")
    assert stack.first("llm", "ready").at < stack.first("train", "start").at
    assert stack.ps()["llm"]["state"] == "ready"
    stack.down()


@pytest.mark.parametrize(
    ("ready", "why"),
    [
        ("{http: /health, status: 404, timeout: 1500ms}", "200"),
        ("{http: /health, body: impossible, timeout: 1500ms}", "body"),
        ("{exec: 'false', timeout: 1500ms}", "exits 1"),
        ("{log: impossible, timeout: 1500ms}", "no line of its output matches `impossible`"),
        ("{file: nowhere, timeout: 1500ms}", "nowhere"),
        ("{notify: true, timeout: 1500ms}", "no READY=1 has come"),
    ],
)
def test_readiness_that_never_comes(make_stack: Make, ready: str, why: str) -> None:
    """Each kind can say no: past `timeout` it is E401, with what was seen and its last lines, and exit 1."""
    stack = make_stack(f"""
        servers:
          llm: {{command: "PRETEND --port ${{self.port}} --print shard-7-of-9", port: auto, ready: {ready}, restart: never}}
    """)
    done = stack.up(check=1)
    assert "E401" in done.stderr
    assert why in done.stderr
    assert "shard-7-of-9" in done.stderr
    stack.down()


def test_successes(make_stack: Make) -> None:
    """`successes: 3`: three probes in a row, not one."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND
            ready: {exec: "sh -c 'echo probe >> probes'", successes: 3}
    """)
    stack.up()
    assert len((stack.folder / "probes").read_text().split()) >= 3
    stack.down()


def test_exec_probe_gets_the_services_environment_and_folder(make_stack: Make) -> None:
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND
            port: auto
            working_dir: inside
            environment: {COLOUR: green}
            ready: {exec: 'sh -c "test $$COLOUR = green && test $$PORT = ${self.port} && test -e here"'}
    """)
    (stack.folder / "inside").mkdir()
    (stack.folder / "inside" / "here").touch()
    stack.up()
    stack.down()


def test_readiness_headers(make_stack: Make) -> None:
    """`headers` are sent: a server that wants a token is ready only with it."""
    stack = make_stack("""
        servers:
          llm:
            command: [python3, server.py]
            port: auto
            ready: {http: /health, headers: {Authorization: "Bearer ${API_KEY}"}, timeout: 30s}
    """)
    (stack.folder / "server.py").write_text(TOKEN_SERVER)
    stack.environ["API_KEY"] = "sesame-1234"
    stack.up()
    stack.down()


TOKEN_SERVER = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.headers["Authorization"] == "Bearer sesame-1234" else 401)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_unready_and_ready_again(make_stack: Make) -> None:
    """A ready server that fails its readiness is `unready`, keeps its pid, and is ready again when it passes."""
    stack = make_stack("""
        servers:
          llm: {command: PRETEND, ready: {exec: test ! -e broken, interval: 200ms}}
    """)
    stack.up()
    pid = stack.ps()["llm"]["pid"]
    (stack.folder / "broken").touch()
    stack.wait_state("llm", "unready")
    (stack.folder / "broken").unlink()
    assert stack.wait_state("llm", "ready").pid == pid
    stack.down()


def test_alive_restarts(make_stack: Make) -> None:
    """`alive`: past its limit the server is restarted, with the same port; its old process is gone."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --port ${self.port}
            port: auto
            ready: /health
            alive: {http: /health, interval: 200ms, failures: 2}
            restart: {policy: on-failure, backoff: {initial: 10ms}}
    """)
    stack.up()
    before = stack.ps()["llm"]
    get(f"{before['url']}/unhealthy")
    after = stack.wait_for(lambda s: s.services[0].state == "ready" and s.services[0].pid != before["pid"])
    assert not alive(before["pid"])
    assert after.services[0].ports == before["ports"]
    assert after.services[0].restarts == 1
    stack.down()


def test_alive_ends_a_frozen_server(make_stack: Make) -> None:
    """`alive`: it accepts and never answers again; and it is deaf to SIGTERM. Still restarted."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --port ${self.port} --ignore-term
            port: auto
            ready: /health
            alive: {http: /health, interval: 200ms, failures: 2, probe_timeout: 300ms}
            restart: {policy: on-failure, backoff: {initial: 10ms}}
            stop_grace: 300ms
    """)
    stack.up()
    before = stack.ps()["llm"]
    get(f"{before['url']}/freeze")
    stack.wait_for(lambda s: s.services[0].state == "ready" and s.services[0].pid != before["pid"])
    assert not alive(before["pid"])
    stack.down()


def test_probe_follows_no_proxy(make_stack: Make) -> None:
    """P6: a proxy in the environment is not asked for 127.0.0.1."""
    stack = make_stack(
        'servers: {llm: {command: "PRETEND --port ${self.port}", port: auto, ready: {http: /health, timeout: 20s}}}'
    )
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{closed.getsockname()[1]}"
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            stack.environ[name] = proxy
        stack.up()
        stack.down()


def test_stopped_server_is_not_ready(make_stack: Make) -> None:
    """P4: a server that is suspended with SIGSTOP becomes unready, not dead."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --port ${self.port}
            port: auto
            ready: {http: /health, interval: 200ms, probe_timeout: 300ms}
    """)
    stack.up()
    pid = stack.ps()["llm"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    stack.wait_state("llm", "unready")
    os.kill(pid, signal.SIGCONT)
    assert stack.wait_state("llm", "ready").pid == pid
    stack.down()
