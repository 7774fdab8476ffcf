"""P8: how jobs ended that nobody watched, and what is said where nobody can know."""

from __future__ import annotations

import os
import signal

from tests.e2e.conftest import Make
from tests.e2e.deaths import (
    jobs,
    kill_keeper,
    kill_supervisor,
    paths_of,
    record_of,
    rewrite,
)
from tests.e2e.harness import alive, eventually, fire


def test_p8_jobs_that_ended_meanwhile(make_stack: Make) -> None:
    """P8: a job that ended with 0 while nobody watched is done, one that ended with 3 has failed with 3, one that was
    done before stays done; none runs again, and what depends on them behaves accordingly."""
    stack = jobs(make_stack)
    kill_supervisor(stack)
    for name in ("good", "bad"):
        pid = record_of(stack, name).handle
        fire(stack.folder / f"{name}.pipe")
        assert pid is not None
        eventually(lambda pid=pid: not alive(pid.pid), "it ends")
    done = stack.up(check=1)
    assert "E501" in done.stderr
    assert "exit 3" in done.stderr
    stack.wait_state("after-good", "ready", "starting")
    views = {view.name: view for view in stack.client.status().services}
    assert [views[name].state for name in ("good", "bad", "early")] == ["done", "failed", "done"]
    assert views["bad"].exit_code == 3
    assert views["after-bad"].state == "idle"
    for name in ("good", "bad", "early"):
        assert len(stack.marks_of(name, "start")) == 1, name
    stack.down()
    assert stack.up("good", check=None).returncode is not None
    eventually(lambda: len(stack.marks_of("good", "start")) == 2, "after an orderly end it runs again")


def test_p8_jobs_that_end_after_the_takeover(make_stack: Make) -> None:
    """P8: of a job that is taken over the exit code is known as well, although it is nobody's child."""
    stack = jobs(make_stack)
    kill_supervisor(stack)
    stack.start("up")
    stack.wait_state("good", "ready")
    for name in ("good", "bad"):
        fire(stack.folder / f"{name}.pipe")
    stack.wait_state("good", "done")
    assert stack.wait_state("bad", "failed").exit_code == 3
    stack.wait_state("after-good", "ready")
    stack.down()


def test_p8_a_job_of_which_nobody_knows(make_stack: Make) -> None:
    """P8: where what keeps watch was killed as well, that is said; the job is not run again by itself."""
    stack = make_stack("""
        jobs: {train: {command: "PRETEND --exit 0 --exit-when pipe --mark marks --name train", restart: on-failure}}
        servers:
          llm: {command: PRETEND --mark marks --name llm, restart: {policy: on-failure, backoff: {initial: 10ms}}}
    """)
    stack.pipe("pipe")
    stack.start("up")
    stack.wait_up()
    train, llm = record_of(stack, "train").handle, record_of(stack, "llm").handle
    assert train is not None
    assert llm is not None
    kill_supervisor(stack)
    kill_keeper(stack)
    fire(stack.folder / "pipe")
    os.kill(llm.pid, signal.SIGTERM)
    eventually(lambda: not alive(train.pid) and not alive(llm.pid), "they end")
    for service in ("train", "llm"):  # as if somebody had buried them
        rewrite(stack, service, pid=1 << 22)
    done = stack.up(check=1)
    assert "error[E504]: it is not known how `train` ended" in done.stderr
    stack.wait_state("llm", "ready")
    assert len(stack.marks_of("train", "start")) == 1
    eventually(lambda: len(stack.marks_of("llm", "start")) == 2, "a server is started again")
    stack.cli("start", "train", "--no-wait", check=0)
    eventually(lambda: len(stack.marks_of("train", "start")) == 2, "asked for, it runs again")
    stack.down()


def test_p8_wait_without_a_supervisor(make_stack: Make) -> None:
    """P8: how a job ended that nobody watched is known to `wait`, and that it runs on as well. Where nobody knows what
    the stack was started with, nothing is taken over for it."""
    stack = jobs(make_stack)
    kill_supervisor(stack)
    paths_of(stack).state.unlink()
    assert "runs on without a supervisor" in stack.cli("wait", "good", check=1).stderr
    for name in ("good", "bad"):
        fire(stack.folder / f"{name}.pipe")
        eventually(lambda name=name: record_of(stack, name).ended, "it is written down")
    stack.cli("wait", "good", check=0)
    assert "it ended: exit 3" in stack.cli("wait", "bad", check=1).stderr
    stack.cli("down", check=0)
