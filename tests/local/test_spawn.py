"""Starting one process: what it gets, what it does not get, and how it ended."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchpad.core.model import Launch
from launchpad.hosts.local import process, spawn
from launchpad.hosts.local.process_environment import child_environment
from launchpad.hosts.local.spawn_failure import NotStarted, explain
from tests.local.real import code_of, environment, killed_after, launch, nothing_left_in, python, until


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    with nothing_left_in(tmp_path):
        yield


def said(folder: Path) -> str:
    return (folder / "log").read_text()


def test_exit_codes_are_the_child_s_own(tmp_path: Path) -> None:
    for code in (0, 1, 7, 255):
        assert code_of(launch(python(f"raise SystemExit({code})"), tmp_path)) == code


def test_a_signal_is_a_negative_code(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
        code = f"import os; os.kill(os.getpid(), {int(number)})"
        assert code_of(launch(python(code), tmp_path)) == -number


def test_output_of_both_kinds_is_appended_and_stdin_is_empty(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    code = "import os,sys; os.write(1, b'out\\n'); os.write(2, b'err\\n'); print(repr(sys.stdin.read()))"
    assert code_of(launch(python(code), tmp_path)) == 0
    assert said(tmp_path) == "before\nout\nerr\n''\n"


def test_it_has_a_session_of_its_own(tmp_path: Path) -> None:
    handle = launch(python("import os; print(os.getpid() == os.getsid(0) == os.getpgrp())"), tmp_path)
    assert code_of(handle) == 0
    assert said(tmp_path) == "True\n"


def test_no_other_descriptor_reaches_the_child(tmp_path: Path) -> None:
    stray = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(stray, True)
    try:
        handle = launch(python("import os; print(sorted(os.listdir('/proc/self/fd')))"), tmp_path)
        assert code_of(handle) == 0
    finally:
        os.close(stray)
    assert said(tmp_path) == "['0', '1', '2', '3']\n"  # 3 is the folder being listed


def test_signals_are_at_their_defaults_though_ours_are_not(tmp_path: Path) -> None:
    """As under nohup, in a script's background, or in a program that blocks signals."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT)}
    try:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
        handle = launch(["/bin/cat", "/proc/self/status"], tmp_path)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1, signal.SIGTERM})
        for number, handler in before.items():
            signal.signal(number, handler)
    assert code_of(handle) == 0
    masks = dict(line.split(":\t") for line in said(tmp_path).splitlines() if line.startswith("Sig"))
    thread_library = (
        3 << 31
    )  # 32 and 33: no program may set them, so they stay as whoever started us had them
    assert int(masks["SigBlk"], 16) == int(masks["SigIgn"], 16) & ~thread_library == 0


# -- failing stages ------------------------------------------------------------------------------------


def failure(argv: list[str], folder: Path, env: dict[str, str] | None = None, cwd: str = "") -> NotStarted:
    with pytest.raises(NotStarted) as caught, open("/dev/null", "wb") as null:
        spawn.spawn(argv, env or environment(), cwd or str(folder), null.fileno())
    return caught.value


def test_working_dir_missing(tmp_path: Path) -> None:
    found = failure(["true"], tmp_path, cwd=str(tmp_path / "gone"))
    assert (found.stage, found.final) == ("chdir", True)
    assert found.text == f"its working_dir `{tmp_path}/gone` does not exist"


def test_working_dir_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = failure(["true"], tmp_path, cwd=str(tmp_path / "file"))
    assert (found.stage, found.text) == ("chdir", f"its working_dir `{tmp_path}/file` is not a directory")


def test_no_such_command_names_the_path_that_the_child_gets(tmp_path: Path) -> None:
    found = failure(["vllm", "serve"], tmp_path, {"PATH": "/nowhere:/bin"})
    assert (found.stage, found.final) == ("exec", True)
    assert (found.text, found.detail) == ("no such file `vllm` on its PATH", "PATH is /nowhere:/bin")


def test_no_such_file_is_looked_for_in_the_working_dir(tmp_path: Path) -> None:
    assert failure(["./serve.sh"], tmp_path).text == f"no such file `{tmp_path}/./serve.sh`"


def test_not_executable(tmp_path: Path) -> None:
    script = tmp_path / "serve.sh"
    script.write_text("#!/bin/sh\n")
    found = failure([str(script)], tmp_path)
    assert (found.stage, found.final) == ("exec", True)
    assert found.text == f"`{script}` is not executable (`chmod +x {script}`)"


def test_not_executable_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    assert "is not executable" in failure(["tool"], tmp_path, {"PATH": str(tmp_path)}).text


def test_interpreter_missing(tmp_path: Path) -> None:
    script = tmp_path / "serve"
    script.write_text("#!/opt/none/python3 -u\n")
    script.chmod(0o755)
    found = failure([str(script)], tmp_path)
    assert found.text == f"`{script}` wants to be run by `/opt/none/python3`, and there is no such file"


def test_windows_line_ends(tmp_path: Path) -> None:
    script = tmp_path / "serve"
    script.write_bytes(b"#!/bin/sh\r\necho\r\n")
    script.chmod(0o755)
    assert "Windows line ends" in failure([str(script)], tmp_path).text


def test_no_interpreter_line(tmp_path: Path) -> None:
    script = tmp_path / "serve"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    assert failure([str(script)], tmp_path).text == f"`{script}` is not a program: it has no `#!` line"


def test_a_directory_and_a_dangling_link(tmp_path: Path) -> None:
    assert "is a directory" in failure([str(tmp_path)], tmp_path).text
    (tmp_path / "link").symlink_to("/nowhere/x")
    assert "is a link to `/nowhere/x`" in failure([str(tmp_path / "link")], tmp_path).text


def test_too_long_and_impossible_arguments(tmp_path: Path) -> None:
    long = failure(["/bin/true", "x" * (1 << 18)], tmp_path)
    assert (long.stage, long.final) == ("exec", True)
    assert "too long" in long.text
    assert failure(["/bin/true", "a\0b"], tmp_path).stage == "exec"


def test_too_many_open_files_may_pass(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    null = os.open("/dev/null", os.O_WRONLY)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (null + 1, hard))
        with pytest.raises(NotStarted) as caught:
            spawn.spawn(["/bin/true"], environment(), str(tmp_path), null)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(null)
    assert (caught.value.stage, caught.value.final) == ("fork", False)
    assert "ulimit -n" in caught.value.text


def test_too_many_processes_may_pass() -> None:
    found = explain(OSError(errno.EAGAIN, "x"), ["/bin/true"], environment(), "/")
    assert (found.stage, found.final) == ("fork", False)
    assert "no more processes" in found.text


# -- environment ---------------------------------------------------------------------------------------

OWN = {
    "PATH": "/bin",
    "HOME": "/root",
    "LC_ALL": "C",
    "TOKEN": "t",
    "NOTIFY_SOCKET": "/x",
    "LISTEN_FDS": "1",
    "LAUNCHPAD_RUN": "outer",
    "LAUNCHPAD_ATTEMPT": "3",
    "OLDPWD": "/",
}
FOUND = f"/bin:{os.path.dirname(sys.executable)}"
"""PATH as a child sees it: launchpad's own programs come last."""
MARKS = {"LAUNCHPAD_RUN": "run-1", "LAUNCHPAD_ATTEMPT": "12", "LAUNCHPAD_SERVICE": "llm"}


def given(inherit: bool | tuple[str, ...], own: dict[str, str] = OWN, **declared: str) -> dict[str, str]:
    what = Launch(("x",), tuple(declared.items()), inherit, "/work")
    return child_environment(what, own, run_id="run-1", attempt=12, service="llm")


def test_everything_is_inherited_but_what_is_addressed_to_launchpad() -> None:
    assert given(True) == {
        "PATH": FOUND, "HOME": "/root", "LC_ALL": "C", "TOKEN": "t", "PWD": "/work", **MARKS,
    }  # fmt: skip


def test_the_bare_minimum() -> None:
    assert given(False) == {"PATH": FOUND, "HOME": "/root", "LC_ALL": "C", **MARKS}


def test_named_variables_and_path() -> None:
    assert given(("TOKEN", "ABSENT")) == {"PATH": FOUND, "TOKEN": "t", **MARKS}
    assert given((), own={})["PATH"] == f"{os.defpath}:{os.path.dirname(sys.executable)}"


def test_what_is_declared_wins_over_what_is_inherited() -> None:
    assert given(True, TOKEN="mine", PWD="/p")["TOKEN"] == "mine"
    assert given(True, PWD="/p")["PWD"] == "/p"


def test_the_child_sees_exactly_that(tmp_path: Path) -> None:
    wanted = {"PATH": "/usr/bin", "A": "ä=1\n2", **MARKS}
    handle = launch(["/usr/bin/env", "-0"], tmp_path, wanted)
    assert code_of(handle) == 0
    assert set(said(tmp_path).rstrip("\0").split("\0")) == {f"{k}={v}" for k, v in wanted.items()}


def test_markers_find_it_again(tmp_path: Path) -> None:
    run = f"run-{os.getpid()}"
    env = environment(LAUNCHPAD_RUN=run, LAUNCHPAD_ATTEMPT="5", LAUNCHPAD_SERVICE="llm")
    with killed_after(launch(["sleep", "60"], tmp_path, env)) as handle:
        assert until(lambda: process.find_by_run(run)) == [(handle.pid, 5, "llm")]
        assert process.alive(handle)
        assert not process.alive(type(handle)(handle.pid, handle.start + 1, handle.boot))
        assert not process.alive(type(handle)(handle.pid, handle.start, "another boot"))
        assert not process.send(handle.pid, handle.start + 1, signal.SIGKILL)
    assert process.find_by_run(run) == []


# -- listening sockets ---------------------------------------------------------------------------------

SHOW = """
import json, os, socket
open_ = sorted(int(n) for n in os.listdir('/proc/self/fd'))
names = ('LISTEN_FDS', 'LISTEN_FDNAMES')
numbers = [socket.socket(fileno=3 + i).getsockname()[1] for i in range(int(os.environ['LISTEN_FDS']))]
print(json.dumps([os.environ['LISTEN_PID'] == str(os.getpid()), [os.environ[n] for n in names], numbers, open_]))
"""


def test_listening_sockets_are_3_and_4_and_named(tmp_path: Path) -> None:
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    try:
        listeners = [(f"p{i}", sock.fileno()) for i, sock in enumerate(socks)]
        env = environment(**{"A.B": "dotted"})
        handle = launch([sys.executable, "-c", SHOW + "print(os.environ['A.B'])"], tmp_path, env, listeners)
        assert code_of(handle) == 0
        first, second = said(tmp_path).splitlines()
        numbers = [sock.getsockname()[1] for sock in socks]
        assert json.loads(first) == [True, ["3", "p0:p1:p2"], numbers, [0, 1, 2, 3, 4, 5, 6]]
        assert second == "dotted"
    finally:
        for sock in socks:
            sock.close()


def test_a_missing_program_is_told_before_the_sockets_are_passed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock, pytest.raises(NotStarted) as caught:
        launch(["no-such-program"], tmp_path, None, [("main", sock.fileno())])
    assert "no such file `no-such-program`" in caught.value.text


# -- the end -------------------------------------------------------------------------------------------


def test_subprocess_leaves_our_children_alone(tmp_path: Path) -> None:
    handle = launch(python("raise SystemExit(9)"), tmp_path)
    until(lambda: not process.alive(handle), "its end")
    assert subprocess.run(["/bin/true"], check=True).returncode == 0
    assert code_of(handle) == 9
