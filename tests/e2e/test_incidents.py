"""The two incidents from which launchpad was born: each must be impossible, or diagnosed by name."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import PRETEND, eventually

REQUEST_BYTES = 256 * 1024
REQUESTS = 100


def ask(url: str, timeout: float) -> int:
    with httpx.Client(trust_env=False, timeout=timeout) as client:
        return client.get(f"{url}/spam?bytes={REQUEST_BYTES}").status_code


# --- (a) the server freezes at its second message --------------------------------------------------------


def test_a_server_under_an_unread_console_answers_a_hundred_requests(make_stack: Make) -> None:
    stack = make_stack("""
        servers:
          llm: {command: "PRETEND --port ${self.port}", port: auto, ready: /health}
    """)
    up = stack.start("up", stdout=subprocess.PIPE)  # and nobody ever reads it
    llm = stack.wait_up()["llm"]
    assert llm.url
    assert [ask(llm.url, 30.0) for _ in range(REQUESTS)] == [200] * REQUESTS
    log = stack.folder / ".launchpad" / "stack.yaml" / "logs"
    kept = sum(file.stat().st_size for file in log.glob("llm.log*"))
    assert kept >= REQUESTS * REQUEST_BYTES, "every byte is in the run's log"
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 130
    assert not stack.survivors()


def test_the_old_design_freezes() -> None:
    """A pipe that nobody reads: what launchpad replaces. If this did not freeze, the test above would prove nothing."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [*PRETEND.split(), "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        eventually(lambda: _answers(port), "the server listens")
        with pytest.raises(httpx.ReadTimeout):
            _ask_again_and_again(port)
    finally:
        server.kill()
        server.wait()
        assert server.stdout
        server.stdout.close()


def _ask_again_and_again(port: int) -> None:
    for _ in range(REQUESTS):
        ask(f"http://127.0.0.1:{port}", 2.0)


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


# --- (b) the training script does not reach its server ---------------------------------------------------

TRAIN = """
import json, os, sys, urllib.request
stale = json.load(open("config.json"))["port"]
url = os.environ["LLM_URL"]
assert str(stale) not in url, "the stale port was handed out"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
assert opener.open(url + "/health", timeout=10).status == 200
print("trained against", url)
"""


def training(
    make_stack: Make, server: str, host: str = "127.0.0.1"
) -> tuple[subprocess.CompletedProcess[str], str]:
    stack = make_stack(f"""
        servers:
          llm: {{command: "{server}", host: "{host}", port: auto, ready: /health}}
        jobs:
          train:
            command: [{sys.executable}, train.py]
            depends_on: [llm]
            primary: true
    """)
    (stack.folder / "train.py").write_text(textwrap.dedent(TRAIN))
    (stack.folder / "config.json").write_text('{"port": 64999}')
    done = stack.cli("up", timeout=60)
    assert not stack.survivors()
    return done, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("host", "bind"),
    [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "0.0.0.0"), ("::1", "::1")],
)
def test_training_reaches_its_server(make_stack: Make, host: str, bind: str) -> None:
    done, said = training(make_stack, f"PRETEND --port ${{self.port}} --bind {bind}", host)
    assert done.returncode == 0, said
    where = "http://[::1]:" if host == "::1" else "http://127.0.0.1:"
    assert f"trained against {where}" in said, "a literal address is handed out"


def test_training_waits_for_a_slow_start(make_stack: Make) -> None:
    done, said = training(make_stack, "PRETEND --port ${self.port} --ready-after 8s --loading refused")
    assert done.returncode == 0, said


def test_a_server_on_the_other_family_is_diagnosed(make_stack: Make) -> None:
    """`localhost` was ::1 here: the server says it listens, the client is refused."""
    done, said = training(make_stack, "PRETEND --port ${self.port} --bind ::1")
    assert done.returncode == 1, said
    assert "E402" in said
    assert "127.0.0.1:" in said
    assert "[::1]:" in said
    assert "pid" in said
    assert "trained" not in said


def test_prints_are_seen_at_once(make_stack: Make) -> None:
    """Python block-buffers what is not a terminal; PYTHONUNBUFFERED is not set around launchpad here."""
    stack = make_stack("""
        jobs:
          train: {command: "PRETEND --no-flush --print step-1"}
    """)
    assert "PYTHONUNBUFFERED" not in stack.environ
    up = stack.start("up")
    eventually(lambda: "step-1" in stack.output(), "the print is seen while the job runs")
    assert up.poll() is None, "the job still runs"
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 130


def test_a_stack_can_ask_for_buffering(make_stack: Make) -> None:
    """The proof that the test above tests something: with buffering on, nothing is seen."""
    stack = make_stack("""
        jobs:
          train:
            command: PRETEND --no-flush --print step-1 --touch started
            environment: {PYTHONUNBUFFERED: ""}
    """)
    stack.start("up")
    eventually((stack.folder / "started").exists, "the job has printed")
    log = stack.folder / ".launchpad" / "stack.yaml" / "logs" / "train.log"
    assert "step-1" not in log.read_text()


@pytest.fixture
def zombie(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Last week's server: still holds its port, still answers 200. (port, pid)"""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*PRETEND.split(), "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    eventually(lambda: _answers(port), "the zombie listens")
    yield port, process.pid
    process.kill()
    process.wait()


def test_a_zombie_on_the_port_is_named_and_not_ready(make_stack: Make, zombie: tuple[int, int]) -> None:
    port, pid = zombie
    stack = make_stack(f"""
        servers:
          llm: {{command: "PRETEND --port ${{self.port}}", port: {port}, ready: /health}}
        jobs:
          train: {{command: "PRETEND --exit 0", depends_on: [llm]}}
    """)
    done = stack.cli("up")
    assert done.returncode == 2, done.stderr
    assert "E301" in done.stderr
    assert f"pid {pid}" in done.stderr
    assert "launchpad.pretend" in done.stderr
    assert "nothing was started" in done.stderr


def test_a_zombie_behind_a_readiness_url_is_named_and_not_ready(
    make_stack: Make, zombie: tuple[int, int]
) -> None:
    """The server takes another port than the one that is probed; the zombie answers there."""
    port, pid = zombie
    stack = make_stack(f"""
        servers:
          llm:
            command: PRETEND --port ${{self.port}}
            port: auto
            ready: {{http: "http://127.0.0.1:{port}/health", timeout: 3s}}
            restart: never
        jobs:
          train: {{command: "PRETEND --exit 0", depends_on: [llm]}}
    """)
    done = stack.cli("up")
    assert done.returncode == 1
    assert "E403" in done.stderr
    assert f"pid {pid}" in done.stderr
    assert os.path.exists(f"/proc/{pid}"), "the stranger is left alone"
