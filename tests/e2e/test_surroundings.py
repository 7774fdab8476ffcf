"""What surrounds launchpad: a supervisor that was suspended, `nohup`, folders that are gone or belong to somebody else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from launchpad import paths
from launchpad.control.server import is_own
from launchpad.errors import Refused
from launchpad.ownership import of_another_user
from launchpad.runtime import store
from tests.e2e.conftest import Make
from tests.e2e.harness import LAUNCHPAD, Stack, eventually

LIVE = 'servers: {llm: {command: "PRETEND --print hello --mark marks --name llm", stop_grace: 1m}}'

CHATTY = "servers: {llm: {command: PRETEND --print hello --every 20ms}}"


def supervisor(stack: Stack) -> int:
    return stack.client.status().pid


def suspended(stack: Stack) -> int:
    """As by Ctrl-Z in the terminal of `up`."""
    stack.up()
    eventually(lambda: "hello" in stack.cli("logs", "llm").stdout, "it has said something")
    pid = supervisor(stack)
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_a_suspended_supervisor_is_named_and_what_needs_none_goes_on(make_stack: Make) -> None:
    stack = make_stack(LIVE)
    pid = suspended(stack)
    asked = stack.cli("url", "llm", check=2)
    assert f"error[E603]: the supervisor (pid {pid}) is suspended" in asked.stderr
    assert f"`kill -CONT {pid}`" in asked.stderr
    shown = stack.cli("ps", check=0)
    assert f"pid {pid}" in shown.stderr
    assert "its supervisor is suspended" in shown.stdout
    assert stack.cli("logs", "llm", check=0).stdout == "hello\n"
    os.kill(pid, signal.SIGCONT)
    assert stack.ps()["llm"]["state"] == "ready"
    stack.down()


def test_down_wakes_a_suspended_supervisor_which_ends_the_stack_in_order(make_stack: Make) -> None:
    stack = make_stack(LIVE)
    pid = suspended(stack)
    done = stack.cli("down", check=0)
    assert f"the supervisor (pid {pid}) was suspended, and is woken" in done.stderr
    assert [mark.event for mark in stack.marks_of("llm", "SIGTERM")] == ["SIGTERM"]
    assert not stack.survivors()


def test_down_finds_a_supervisor_that_is_registered_nowhere(make_stack: Make) -> None:
    """The runtime folder is gone as a whole, and with it the socket: who holds the stack's lock is seen all the same."""
    stack = make_stack(LIVE)
    suspended(stack)
    shutil.rmtree(os.environ["XDG_RUNTIME_DIR"])
    stack.cli("down", check=0)
    assert not stack.survivors()


def test_nohup_outlives_its_terminal(make_stack: Make) -> None:
    stack = make_stack(LIVE)
    up = subprocess.Popen(
        ["nohup", *LAUNCHPAD, "up"], cwd=stack.folder, env=stack.environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    stack.wait_up()
    up.send_signal(signal.SIGHUP)
    stack.cli("restart", "llm", check=0)  # it would have to be there for that
    up.send_signal(signal.SIGTERM)
    assert up.wait(60) == 130
    assert not stack.survivors()


@pytest.mark.parametrize("command", ["ps", "up", "check", "down"])
def test_a_folder_that_was_deleted_is_said_to_be(tmp_path: Path, command: str) -> None:
    (tmp_path / "gone").mkdir()
    script = f'cd "{tmp_path}/gone" && rmdir "{tmp_path}/gone" && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *LAUNCHPAD, command], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error[E194]: the folder that you are in was deleted",
    )


def test_an_output_that_nobody_reads_any_more_ends_no_stack(make_stack: Make) -> None:
    """`launchpad up | head -1`: it may have been a `tee` that died under a training of three days."""
    stack = make_stack(CHATTY)
    up = stack.start("up", stdout=subprocess.PIPE)
    assert up.stdout is not None
    up.stdout.readline()
    up.stdout.close()
    errors = stack.folder / "err0.txt"
    eventually(lambda: "nobody reads it any more; the stack goes on" in errors.read_text(), "it is said")
    assert stack.ps()["llm"]["state"] == "ready"
    stack.down()


def test_who_only_watches_leaves_when_nobody_reads(make_stack: Make) -> None:
    stack = make_stack(CHATTY)
    stack.up()
    joined = stack.start("up", stdout=subprocess.PIPE)
    assert joined.stdout is not None
    joined.stdout.readline()
    joined.stdout.close()
    assert joined.wait(60) == 0
    stack.down()


# --- other users: played by another user id for ourselves ------------------------------------------------


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> int:
    """From now on we believe to be this user."""
    uid = 54321
    monkeypatch.setattr(os, "getuid", lambda: uid)
    return uid


def test_the_runtime_folder_of_whoever_came_first_is_not_ours(
    another: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/tmp is everybody's: a folder of our name there may have been made by another user."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    squatted = Path(f"/tmp/launchpad-{another}")
    assert paths.runtime_dir() == squatted
    squatted.mkdir()
    try:
        assert paths.runtime_dir() == Path(f"{squatted}.1")
    finally:
        squatted.rmdir()


def test_the_state_of_another_users_stack(tmp_path: Path, another: int) -> None:
    (tmp_path / ".launchpad" / "stack.yaml").mkdir(parents=True)
    found = of_another_user(tmp_path / ".launchpad" / "stack.yaml" / "records.jsonl")
    assert found is not None
    (one,) = found.diagnostics
    assert (one.code, str(tmp_path) in one.notes[0]) == ("E604", True)
    assert of_another_user(tmp_path) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make somebody else's files")
def test_a_state_that_root_has_written_into(make_stack: Make) -> None:
    """`sudo launchpad up`, and then without; here the other way round: nobody is the one whose state it is."""
    stack = make_stack("jobs: {j: {command: PRETEND --exit 0}}")
    stack.cli("up", check=0)
    state = stack.folder / ".launchpad"
    for path in (state, *state.rglob("*")):
        os.chown(path, 65534, 65534)
    os.chown(state / "stack.yaml" / "state.json", 0, 0)
    found = of_another_user(state / "stack.yaml" / "state.json")
    assert found is not None
    theirs = paths.stack_paths(stack.file)
    store.save(theirs.state, store.load(theirs))
    assert theirs.state.stat().st_uid == 65534, "what root writes there stays that user's"
    store.made_ready(theirs)
    theirs.records.write_text("{}")  # of that user: it could name any process
    for command in ("ps", "up", "down"):
        assert "error[E604]" in stack.cli(command, check=2).stderr
    shutil.rmtree(state)


def test_files_of_another_user_are_told_of_before_anything_starts(
    make_stack: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = make_stack("jobs: {j: {command: PRETEND --exit 0}}")
    stack.cli("up", check=0)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(Refused) as caught:
        store.made_ready(paths.stack_paths(stack.file))
    assert caught.value.diagnostics[0].code == "E604"


def test_the_socket_is_for_its_user_and_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    ours, theirs = socket.socketpair()
    is_root = os.getuid() == 0
    assert is_own(theirs)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert is_own(theirs) == is_root
    ours.close()
    theirs.close()
