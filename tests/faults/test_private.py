"""Somebody wants in, or wants the supervisor to fall over."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launchpad.paths import stack_paths
from tests.e2e.conftest import Make
from tests.e2e.harness import eventually, rss_bytes
from tests.e2e.test_promises_private import NOBODY, ask
from tests.faults.table import TALKING, Case, Drill, Row, cases, fault

AREA = "strangers"
BOUND_BYTES = 40e6


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@fault(
    AREA,
    "another user",
    "another uid asks the control socket, whose folder is opened by hand; reads and writes the state",
)
def test_another_user(make_stack: Make, row: Row) -> None:
    drill = Drill(make_stack(TALKING), row).begin()
    stack, control = drill.stack, drill.stack.client.socket_path
    for folder in (Path(os.environ["XDG_RUNTIME_DIR"]), control.parent):
        os.chmod(folder, 0o755)
    os.chmod(control, 0o666)
    assert "200" in ask(control, None)
    assert "200" not in ask(control, NOBODY)
    for file in [stack.log("counts"), *(stack.folder / ".launchpad").rglob("*")]:
        done = subprocess.run(
            [
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "sh",
                "-c",
                'cat "$1" || echo x >> "$1"',
                "-",
                str(file),
            ],
            capture_output=True,
            check=False,
        )
        assert not done.stdout, file
        assert done.returncode, file
    drill.end()
    row.outcome = "refused; reads and writes nothing"
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


PLANTED = [
    "logs/llm.log",
    "logs/llm.old",
    "lock",
    "state.json",
    "events.jsonl",
    "supervisor.log",
    "sinks",
    "logs",
    "records.jsonl",
]
PLANTS = cases(
    [
        Case(
            AREA,
            f"a link planted at `{name}`",
            "a symbolic link to a file or folder of the user's, before `up`",
        )
        for name in PLANTED
    ]
)


@pytest.mark.parametrize(("name", "case"), [*zip(PLANTED, PLANTS, strict=True)], ids=PLANTED)
def test_planted(make_stack: Make, row: Row, name: str, case: Case) -> None:
    row.case = case
    stack = make_stack("servers: {llm: {command: PRETEND --print hello, output: {jsonl: out.jsonl}}}")
    home, place = stack.folder / "precious", stack_paths(stack.file).state_dir / name
    home.mkdir(mode=0o700)
    target = home / "file"
    is_folder = name in ("sinks", "logs", "logs/llm.old")
    target.write_text("untouched")
    place.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    place.symlink_to(home if is_folder else target)
    done = stack.up(check=None)
    said = done.stderr.splitlines()[0] if done.returncode else ""
    row.outcome = f"`up` exits {done.returncode}" + (f": {said}" if said else "")
    there = [path.name for path in home.iterdir()]
    stack.cli("down")
    assert "Traceback" not in done.stderr
    assert there == ["file"], "nothing is written through it"
    assert target.read_text() == "untouched"
    assert [path.name for path in home.iterdir()] == ["file"], "nothing is written through it"
    row.survivors = len(stack.survivors())
    assert row.survivors == 0


@contextmanager
def many_descriptors(count: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] < count:
        pytest.skip("too few descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], count), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(path))
    return client


def connected(path: Path) -> socket.socket | None:
    try:
        return connect(path)
    except BlockingIOError:
        return None


@fault(
    AREA,
    "a thousand connections that say nothing",
    "1000 connections to the control socket, half of them with half a request; `ps` meanwhile",
)
def test_silent_connections(make_stack: Make, row: Row) -> None:
    row.tries = 1000
    drill = Drill(make_stack(TALKING), row).begin()
    path, before = drill.stack.client.socket_path, rss_bytes(drill.supervisor)
    opened: list[socket.socket] = []
    with many_descriptors(2048):
        try:
            for number in range(row.tries):
                opened.append(eventually(lambda: connected(path), "there is room in the queue"))
                try:
                    if number % 2:
                        opened[-1].sendall(b"POST /v1/stop HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
                except OSError:
                    continue  # sent away: that is an answer, too
            with row.recovers():
                drill.stack.cli("ps", check=0)
            drill.works()
            grown = rss_bytes(drill.supervisor) - before
            row.outcome = (
                f"the supervisor grew by {grown / 1e6:.0f} MB and holds {held(drill.supervisor)} descriptors"
            )
            assert grown < BOUND_BYTES
        finally:
            for client in opened:
                client.close()
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


def held(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


HUGE = {
    "a body without an end": b"POST /v1/stop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"10000\r\n"
    + b"x" * 65536
    + b"\r\n",
    "a header without an end": b"GET /v1/status HTTP/1.1\r\nX: ",
    "a path without an end": b"GET /",
    "a body that is announced as 1 TB": b"POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n",
    "JSON that is nested 100 000 deep": b"POST /v1/stop HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
    + b"[" * 100_000,
    "no HTTP at all": bytes(range(256)) * 16,
}
HUGE_CASES = cases(
    [
        Case(AREA, f"control: {name}", "sent to the control socket until it is refused, 64 MB at most")
        for name in HUGE
    ]
)


@pytest.mark.parametrize(("what", "case"), [*zip(HUGE, HUGE_CASES, strict=True)], ids=list(HUGE))
def test_huge_requests(make_stack: Make, row: Row, what: str, case: Case) -> None:
    row.case = case
    drill = Drill(make_stack(TALKING), row).begin()
    before = rss_bytes(drill.supervisor)
    more = (
        HUGE[what][HUGE[what].index(b"10000\r\n") :]
        if "without an end" in what and "body" in what
        else b"x" * 65536
    )
    sent = 0
    with connect(drill.stack.client.socket_path) as client:
        try:
            client.sendall(HUGE[what])
            while sent < 64 << 20 and "JSON" not in what:
                client.sendall(more)
                sent += len(more)
        except OSError:
            pass
        try:
            answer = client.recv(64)
        except OSError:
            answer = b""
    row.outcome = f"after {sent / 1e6:.1f} MB: {answer[9:12].decode() or 'closed'}"
    grown = rss_bytes(drill.supervisor) - before
    with row.recovers():
        drill.stack.cli("ps", check=0)
    drill.works()
    log = (drill.stack.folder / ".launchpad/stack.yaml/supervisor.log").read_text()
    assert "Traceback" not in log, log[-2000:]
    assert grown < BOUND_BYTES, row.outcome
    assert sent < 8 << 20, "it is refused before long"
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


SECRET = "hunter2-very-secret"


@fault(
    AREA,
    "secrets in an edit, a crash, a refusal",
    "a secret in the environment, the command, the output; edits that change it; every command is asked",
)
def test_secrets(make_stack: Make, row: Row) -> None:
    text = """
        env_file: [.env]
        servers:
          llm: {command: "PRETEND --name ${API_TOKEN}", environment: {DB_PASSWORD: "N${API_TOKEN}", MODE: a}}
          dies: {command: [sh, -c, "echo token ${API_TOKEN}; exit 1"], restart: never}
    """
    stack = make_stack(text)
    (stack.folder / ".env").write_text(f"API_TOKEN={SECRET}\nOTHER=unsuspicious-value-4711\n")
    said = [stack.up(check=None)]
    (stack.folder / ".env").write_text(f"API_TOKEN={SECRET}-2\nOTHER=unsuspicious-value-4712\n")
    for edit in (
        text.replace("MODE: a", "MODE: b"),
        text.replace("restart: never", "restrat: never"),
        text.replace("--name", "--name x${OTHER}"),
        text.replace("${API_TOKEN}; exit", "${nobody.port} ${API_TOKEN}; exit"),
    ):
        said.append(stack.cli("diff"))
        stack.write(edit)
        said.append(stack.cli("diff"))
        said.append(stack.cli("reload"))
        said.append(stack.cli("up", "--dry-run"))
        said.append(stack.cli("check", "--json"))
    for command in (
        ["config"],
        ["ps", "--json"],
        ["events", "--json"],
        ["env", "llm"],
        ["graph"],
        ["restart", "llm"],
        ["down"],
    ):
        said.append(stack.cli(*command))
    shown = "".join(done.stdout + done.stderr for done in said)
    state = stack_paths(stack.file).state_dir
    kept = {
        file.name: file.read_text(errors="replace")
        for file in state.rglob("*")
        if file.is_file() and "logs" not in file.parts
    }
    for secret in (SECRET, "unsuspicious-value"):
        assert secret not in shown, shown[max(0, shown.index(secret) - 300) :][:600]
        assert [
            name for name, content in kept.items() if secret in content and not name.startswith("llm.")
        ] == []
    row.outcome = f"in none of {len(said)} outputs, nor in the journal, nor in supervisor.log"
    row.survivors = len(stack.survivors())
    assert row.survivors == 0


@fault(
    AREA,
    "requests in a row",
    "1500 requests without a pause from three clients; the server is asked meanwhile",
)
def test_many_requests(make_stack: Make, row: Row) -> None:
    row.tries = 1500
    drill = Drill(make_stack(TALKING), row).begin()
    before, begun = rss_bytes(drill.supervisor), time.monotonic()
    code = "import sys; from pathlib import Path; from launchpad.control.client import Client; c = Client(Path(sys.argv[1])); [c.status() for _ in range(500)]"
    asking = [
        subprocess.Popen([sys.executable, "-c", code, str(drill.stack.client.socket_path)]) for _ in range(3)
    ]
    try:
        for _ in range(5):
            drill.works()
        assert [one.wait(100) for one in asking] == [0, 0, 0]
    finally:
        for one in asking:
            one.kill()
            one.wait()
    grown = rss_bytes(drill.supervisor) - before
    row.outcome = f"{row.tries / (time.monotonic() - begun):.0f} were answered a second; the supervisor grew by {grown / 1e6:.0f} MB"
    assert grown < BOUND_BYTES
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)
