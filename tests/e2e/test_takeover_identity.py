"""P8: what is taken over, what is ended, and what is none of our business."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from tests.e2e.conftest import Make
from tests.e2e.deaths import (
    kill_keeper,
    kill_supervisor,
    mains,
    paths_of,
    pids,
    record_of,
    rewrite,
    two_servers,
)
from tests.e2e.harness import alive, eventually


def test_p8_a_pid_of_somebody_else_is_never_signalled(make_stack: Make) -> None:
    """P8: a record whose pid is another program by now is dropped; that program is left alone, and the service is
    started."""
    stack = make_stack("servers: {llm: {command: PRETEND --ignore-term, stop_grace: 100ms}}")
    stack.up()
    before = pids(stack)["llm"]
    kill_supervisor(stack)
    kill_keeper(stack)
    os.kill(before, signal.SIGKILL)
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as other:
        try:
            rewrite(stack, "llm", pid=other.pid)
            stack.up()
            assert pids(stack)["llm"] not in (before, other.pid)
            kill_supervisor(stack)
            rewrite(stack, "llm", pid=other.pid)
            stack.cli("down", check=0)
            assert other.poll() is None
        finally:
            other.kill()
    assert not stack.survivors()


def test_p8_a_session_of_somebody_else_is_left_alone(make_stack: Make) -> None:
    """P8: nor what belongs to a session whose number is that of a record, and whose leader has ended."""
    stack = make_stack("servers: {llm: {command: PRETEND}}")
    stack.up()
    before = pids(stack)["llm"]
    kill_supervisor(stack)
    kill_keeper(stack)
    os.kill(before, signal.SIGKILL)
    leader = subprocess.Popen(
        ["sh", "-c", "sleep 600 >/dev/null & echo $!"], start_new_session=True, stdout=subprocess.PIPE
    )
    sleeper = int(leader.communicate(timeout=30)[0])
    try:
        rewrite(stack, "llm", pid=leader.pid)
        stack.up()
        kill_supervisor(stack)
        rewrite(stack, "llm", pid=leader.pid)
        stack.cli("down", check=0)
        assert alive(sleeper)
    finally:
        os.kill(sleeper, signal.SIGKILL)
    assert not stack.survivors()


def test_p8_the_machine_was_started_anew(make_stack: Make) -> None:
    """P8: records of another boot lead to nothing, and what somebody had stopped stays stopped."""
    stack = make_stack("servers: {llm: {command: PRETEND}, web: {command: PRETEND}}")
    stack.up()
    stack.cli("stop", "web", check=0)
    before = pids(stack)["llm"]
    kill_supervisor(stack)
    kill_keeper(stack)
    os.kill(before, signal.SIGKILL)
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as other:
        try:
            rewrite(stack, "llm", pid=other.pid, boot="another boot")
            stack.up()
            assert set(pids(stack)) == {"llm"}
            assert other.poll() is None
        finally:
            other.kill()
    assert "the machine was started anew" in stack.cli("events").stdout
    stack.down()


@pytest.mark.parametrize("state", ["{ broken", '{"version": 99, "epoch": 7}', "[]", None])
def test_p8_a_state_that_makes_no_sense(make_stack: Make, state: str | None) -> None:
    """P8: it is set aside and told; what lives is found all the same, and attempts do not repeat."""
    stack = two_servers(make_stack)
    stack.up()
    before = pids(stack)
    attempts = [view.attempt for view in stack.client.status().services]
    kill_supervisor(stack)
    file = paths_of(stack).state
    if state is None:
        file.unlink()
    else:
        file.write_text(state)
    stack.up()
    assert pids(stack) == before
    aside = list(file.parent.glob("state.json.broken-*"))
    assert [one.read_text() for one in aside] == ([] if state is None else [state])
    if state is not None:
        assert f"set aside as {aside[0]}" in stack.cli("events").stdout
    stack.cli("restart", "llm", check=0)
    assert all(view.attempt > max(attempts) for view in stack.client.status().services)
    stack.down()


def test_p8_a_state_from_another_life(make_stack: Make) -> None:
    """P8: a state that is in order, and older than the records (a backup), makes no attempt repeat."""
    stack = two_servers(make_stack)
    stack.up()
    before = stack.wait_up()
    kill_supervisor(stack)
    paths_of(stack).state.write_text('{"version": 1, "epoch": 0, "run_id": "another", "ports": []}')
    stack.up()
    assert pids(stack) == {name: view.pid for name, view in before.items()}
    stack.cli("restart", "llm", check=0)
    latest = max(view.attempt for view in before.values())
    assert all(view.attempt > latest for view in stack.client.status().services)
    stack.down()


@pytest.mark.parametrize("keeper", ["lives", "killed"])
def test_p8_killed_before_the_pid_was_written_down(make_stack: Make, keeper: str) -> None:
    """P8: what was started without a record of its pid is found by its markers."""
    stack = two_servers(make_stack)
    stack.up()
    before = pids(stack)
    path = paths_of(stack).records
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "version" in line) + "\n")
    assert record_of(stack, "llm").handle is None
    kill_supervisor(stack)
    if keeper == "killed":
        kill_keeper(stack)
    stack.up()
    assert pids(stack) == before
    stack.down()


def test_p8_an_intent_that_came_to_nothing(make_stack: Make) -> None:
    """P8: killed before the process was there: it is started, once."""
    stack = two_servers(make_stack)
    stack.up("llm")
    before = pids(stack)
    path = paths_of(stack).records
    (intent,) = [line for line in path.read_text().splitlines() if "version" in line]
    intent = intent.replace('"llm"', '"web"')
    attempt = record_of(stack, "llm").attempt
    kill_supervisor(stack)
    intent = intent.replace(str(attempt), str(attempt + 1))
    with path.open("a") as file:
        file.write(intent + "\n")
    stack.up()
    assert pids(stack)["llm"] == before["llm"]
    assert len(mains(stack)["web"]) == 1
    stack.down()


def test_p8_what_is_left_of_a_tree_is_ended_first(make_stack: Make) -> None:
    """P2, P8: the main process ended meanwhile and a worker of it lives: that is ended before the next attempt."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --fork setsid --pids pids --ignore-term --name llm --mark marks
            stop_grace: 100ms
            restart: {policy: on-failure, backoff: {initial: 10ms}}
    """)
    stack.up()
    before = pids(stack)["llm"]
    eventually(lambda: (stack.folder / "pids").exists(), "it has a worker")
    kill_supervisor(stack)
    worker = int((stack.folder / "pids").read_text().split()[0])
    os.kill(before, signal.SIGKILL)
    eventually(lambda: not alive(before), "it ends")
    assert alive(worker)
    stack.up()
    assert not alive(worker)
    assert pids(stack)["llm"] != before
    assert f"pid {worker}" in stack.cli("events").stdout, "it is named"
    stack.down()


def start_of(pid: int) -> int:
    from launchpad.hosts.local import process

    one = process.stat(pid)
    assert one is not None
    return one.start


def test_p8_of_two_attempts_the_newest_is_taken_over(make_stack: Make) -> None:
    """P8: two records of one service, both of live processes: the older one is ended."""
    stack = make_stack("servers: {llm: {command: PRETEND --name llm --mark marks}}")
    stack.up()
    first = pids(stack)["llm"]
    record = record_of(stack, "llm")
    path = paths_of(stack).records
    text = path.read_text()
    kill_supervisor(stack)
    kill_keeper(stack)
    path.unlink()
    stack.environ["LP_OTHER"] = "1"
    second = subprocess.Popen(
        ["sleep", "600"],
        env={
            **stack.environ,
            "LAUNCHPAD_RUN": record.run_id,
            "LAUNCHPAD_ATTEMPT": str(record.attempt - 1),
            "LAUNCHPAD_SERVICE": "llm",
        },
        start_new_session=True,
    )
    try:
        older = text.replace(str(record.attempt), str(record.attempt - 1))
        pid = {"attempt": record.attempt - 1, "pid": second.pid, "start": start_of(second.pid)}
        path.write_text(f"{text}{older}{json.dumps(pid)}\n")
        path.chmod(0o600)
        said = stack.up().stderr
        assert f"ending what an earlier run left behind: pid {second.pid}" in said
        assert pids(stack) == {"llm": first}
        assert second.wait(10) == -signal.SIGTERM
    finally:
        second.kill()
        second.wait()
    stack.down()
