"""P9: nothing secret leaks. The socket is this user's, state is 0600, values that look secret are masked."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from launchpad.paths import runtime_dir, stack_paths
from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, environ_of

NOBODY = 65534
SECRET = "hunter2-very-secret"
PLAIN_FROM_FILE = "value-of-an-env-file"


def secretive(make_stack: Make, jobs: str = "") -> Stack:
    stack = make_stack(f"""
        name: secretive
        env_file: [.env]
        servers:
          llm:
            command: PRETEND --port ${{self.port}} --name "${{HF_TOKEN}}"
            port: auto
            ready: {{http: "/health?key=${{HF_TOKEN}}", headers: {{Authorization: "Bearer ${{HF_TOKEN}}"}}}}
            environment: {{API_KEY: "{SECRET}", WEBHOOK: "https://x/${{HF_TOKEN}}", MODE: "shown"}}
        {jobs}
    """)
    (stack.folder / ".env").write_text(f"HF_TOKEN={SECRET}\nINNOCENT={PLAIN_FROM_FILE}\n")
    return stack


def test_p9_secrets_are_masked(make_stack: Make) -> None:
    """P9: values of env_file and of names that look secret: not in config, ps, events, env, graph, url, up."""
    stack = secretive(make_stack)
    said = [stack.up()]
    for command in (
        ["config"],
        ["ps"],
        ["ps", "--json"],
        ["events"],
        ["events", "--json"],
        ["env", "llm"],
        ["graph"],
        ["graph", "--mermaid"],
        ["check", "--json"],
        ["up", "--dry-run"],
        ["url", "llm"],
    ):
        done = stack.cli(*command, check=0)
        said.append(done)
    text = "".join(done.stdout + done.stderr for done in said)
    assert SECRET not in text
    assert PLAIN_FROM_FILE not in text
    assert "shown" in stack.cli("config").stdout, "what is no secret is shown"
    assert "API_KEY" in stack.cli("env", "llm").stdout, "the names are shown"
    pid = stack.ps()["llm"]["pid"]
    child = environ_of(pid)
    assert (child["API_KEY"], child["INNOCENT"]) == (SECRET, PLAIN_FROM_FILE), "the child has the real ones"
    stack.down()


FAILURES = {
    "E401": """
            command: PRETEND --port ${self.port} --ready-after never
            port: auto
            ready: {http: "/health?key=${HF_TOKEN}", timeout: 500ms}""",
    "E402": """
            command: PRETEND --port ${self.port} --bind ::1 --name ${HF_TOKEN}
            port: auto
            ready: {http: /, timeout: 10s}""",
    "E501": """
            command: [sh, -c, "exit 1", "${HF_TOKEN}"]""",
    "E502": """
            command: /nowhere/${HF_TOKEN}/program --key ${HF_TOKEN}""",
}


@pytest.mark.parametrize("code", FAILURES)
def test_p9_errors_do_not_tell(make_stack: Make, code: str) -> None:
    """P9: nor in a diagnostic, its evidence, or the journal."""
    stack = make_stack(f"""
        env_file: [.env]
        servers:
          llm:
            restart: never{FAILURES[code]}
    """)
    (stack.folder / ".env").write_text(f"HF_TOKEN={SECRET}\n")
    done = stack.up(check=None)
    assert f"error[{code}]" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert SECRET not in stack.cli("events", "--json").stdout
    assert SECRET not in stack.cli("ps", "--json").stdout
    stack.down()


def test_p9_modes(make_stack: Make) -> None:
    """P9: with a umask of 0: state folders 0700, state files and logs 0600, socket 0600 in a folder 0700."""
    stack = secretive(make_stack, "jobs: {train: {command: PRETEND --exit 0}}")
    up = stack.start("up", "-d", umask=0)
    assert up.wait(60) == 0, stack.output()
    stack.cli("wait", "train", check=0)
    state = stack.folder / ".launchpad"
    wrong = {}
    for path in [state, *state.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.name != ".gitignore" and mode != (0o700 if path.is_dir() else 0o600):
            wrong[str(path.relative_to(stack.folder))] = oct(mode)
    assert not wrong
    assert (state / ".gitignore").read_text().strip() == "*"
    control = stack_paths(stack.file).socket
    assert stat.S_ISSOCK(control.lstat().st_mode)
    assert stat.S_IMODE(control.lstat().st_mode) == 0o600
    assert stat.S_IMODE(runtime_dir().lstat().st_mode) == 0o700
    for path in runtime_dir().iterdir():
        assert stat.S_IMODE(path.lstat().st_mode) in (0o600, 0o700), path
    stack.down()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("opened", ["nothing", "the folder", "the folder and the socket"])
def test_p9_another_user_is_refused(make_stack: Make, opened: str) -> None:
    """P9: another uid cannot connect: by the folder's mode; by the socket's, should somebody open the folder;
    and by asking who is at the other end, should both be open."""
    stack = make_stack("servers: {llm: {command: PRETEND}}")
    os.chmod(os.environ["XDG_RUNTIME_DIR"], 0o755)
    stack.up()
    control = stack_paths(stack.file).socket
    if "folder" in opened:
        os.chmod(control.parent, 0o755)
    if "socket" in opened:
        os.chmod(control, 0o666)
    mine = ask(control, None)
    assert "200" in mine or mine.startswith("answered b'HTTP"), mine
    theirs = ask(control, NOBODY)
    assert "200" not in theirs, theirs
    if opened != "the folder and the socket":
        assert theirs.startswith("refused")
    stack.down()


def ask(path: Path, user: int | None) -> str:
    """What somebody sees who talks to the socket: `answered …` or `refused …`."""
    ear, mouth = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            os.write(mouth, _talk(path).encode())
        finally:
            os._exit(0)
    os.close(mouth)
    os.waitpid(child, 0)
    with open(ear) as answer:
        return answer.read()


def _talk(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        try:
            client.connect(str(path))
            client.sendall(b"GET /v1/status HTTP/1.0\r\n\r\n")
            return f"answered {client.recv(12)!r}"
        except OSError as error:
            return f"refused {error}"


def test_p9_nothing_listens_on_tcp(make_stack: Make) -> None:
    """P9, process-compose #394: no TCP port is opened for control: the supervisor listens on none."""
    stack = make_stack("servers: {llm: {command: PRETEND, port: auto, ready: /health}}")
    stack.up()
    supervisor, child = stack.client.status().pid, stack.ps()["llm"]["pid"]
    assert tcp_listeners(child), "this would be seen"
    assert not tcp_listeners(supervisor)
    stack.down()


def tcp_listeners(pid: int) -> list[str]:
    """Local addresses on which this process listens."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(descriptor)
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    tables = [Path(f"/proc/{pid}/net/{table}").read_text() for table in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]


def test_p9_state_is_not_followed_through_links(make_stack: Make) -> None:
    """P9: a link planted where the lock, the log or the journal goes is not written through."""
    stack = make_stack("servers: {llm: {command: PRETEND --print hello}}")
    target = stack.folder / "precious"
    target.write_text("untouched")
    target.chmod(0o600)
    paths = stack_paths(stack.file)
    paths.logs_dir.mkdir(parents=True, mode=0o700)
    paths.log("llm").symlink_to(target)
    stack.up(check=None)
    stack.cli("down")
    assert target.read_text() == "untouched"
