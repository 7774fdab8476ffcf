"""P8: services without a supervisor: what can be asked, how they are ended, who keeps watch."""

from __future__ import annotations

import fcntl
import os
import signal

import pytest

from launchpad.cli import down
from tests.e2e.conftest import Make
from tests.e2e.deaths import (
    has_keeper,
    kill_supervisor,
    paths_of,
    pids,
    record_of,
)
from tests.e2e.harness import alive, eventually, fire


def test_p8_down_without_a_supervisor(make_stack: Make) -> None:
    """P2, P8: what depends on others is ended before them; nothing lives then, and nothing is taken over later."""
    stack = make_stack("""
        servers:
          llm: {command: PRETEND --name llm --mark marks}
          web: {command: PRETEND --name web --mark marks --term-after 300ms, depends_on: [llm]}
          deaf: {command: PRETEND --ignore-term --fork double, stop_grace: 100ms, depends_on: [web]}
    """)
    stack.up()
    kill_supervisor(stack)
    said = stack.cli("down", check=0).stderr
    assert "ended what had no supervisor any more" in said
    assert not stack.survivors()
    (llm,), (web,) = stack.marks_of("llm", "SIGTERM"), stack.marks_of("web", "exit")
    assert web.at < llm.at
    stack.up()
    eventually(lambda: len(stack.marks_of("llm", "start")) == 2, "it is started anew")
    stack.down()


def test_p8_down_waits_for_the_lock(make_stack: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """P8: who has the lock is at work on the stack; nothing is ended under him."""
    stack = make_stack("servers: {llm: {command: PRETEND}}")
    stack.up()
    before = pids(stack)["llm"]
    kill_supervisor(stack)
    monkeypatch.setattr(down, "MUTE_S", 0.1)
    monkeypatch.setattr(down, "POLL_S", 0.1)
    with paths_of(stack).lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert down._end(paths_of(stack), None, quiet=False) == 1
        assert alive(before)
    stack.cli("down", check=0)
    assert not stack.survivors()


def pids_alive(views: object) -> bool:
    assert isinstance(views, dict)
    return all(alive(view.pid) for view in views.values())


def test_p8_commands_without_a_supervisor(make_stack: Make) -> None:
    """P8: what lives is listed, as lost, and nothing is touched by looking at it."""
    stack = make_stack("""
        servers:
          llm: {command: "PRETEND --port ${self.port} --print hello", port: auto, ready: /health}
          web: {command: PRETEND}
    """)
    stack.up()
    before = stack.wait_up()
    kill_supervisor(stack)
    listed = stack.ps()
    assert {name: row["state"] for name, row in listed.items()} == {"llm": "lost", "web": "lost"}
    assert listed["llm"]["pid"] == before["llm"].pid
    assert listed["llm"]["ports"] == before["llm"].ports
    ps = stack.cli("ps", check=0)
    assert "has no supervisor: 2 services run unsupervised" in ps.stderr
    assert "`launchpad up` takes them over" in ps.stderr
    assert str(before["llm"].pid) in ps.stdout
    url = stack.cli("url", "llm", check=1)
    assert url.stdout == ""
    assert f"`llm` was at {before['llm'].url}" in url.stderr
    assert "hello" in stack.cli("logs", "llm", check=0).stdout
    assert stack.cli("events", check=0).stdout
    assert pids_alive(before)
    stack.cli("down", check=0)


ASKED = """
    vars: {who: world}
    servers:
      llm: {command: "PRETEND --name llm", restart: never}
      web: {command: "PRETEND --name ${vars.who}", profiles: [more]}
      idle: {command: PRETEND}
      loads: {command: "PRETEND --port ${self.port} --ready-after 1h", port: auto, ready: /health}
    jobs:
      train: {command: PRETEND --exit 3 --after 1h}
"""


@pytest.mark.parametrize("verb", ["stop", "start", "restart", "reload"])
def test_p8_who_has_to_be_asked_takes_over(make_stack: Make, verb: str) -> None:
    """P8: with what the dead one was started with; what was stopped stays so, and nothing is waited for."""
    stack = make_stack(ASKED)
    stack.start("up", "--set", "who=me", "--profile", "more")
    for name in ("llm", "web", "idle"):
        stack.wait_state(name, "ready")
    for name in ("loads", "train"):
        stack.wait_state(name, "starting", "ready")
    stack.cli("stop", "idle", check=0)
    before = pids(stack)
    kill_supervisor(stack)
    said = stack.cli(verb, *([] if verb == "reload" else ["llm"]), check=0)
    assert "taken over from a supervisor that died" in said.stderr
    assert not said.stdout
    after = pids(stack)
    for name in ("web", "loads", "train"):
        assert after[name] == before[name]
    assert (after.get("llm") == before["llm"]) is (verb in ("start", "reload"))
    assert "idle" not in after
    stack.cli("down", check=0)


def test_p8_wait_takes_over(make_stack: Make) -> None:
    """P8: a job goes on without a supervisor; whoever waits for it learns its code from the next one."""
    stack = make_stack("jobs: {train: {command: PRETEND --exit 3 --exit-when end}}")
    end = stack.pipe("end")
    stack.start("up")
    stack.wait_state("train", "starting", "ready")
    kill_supervisor(stack)
    waiting = stack.start("wait", "train")
    stack.wait_state("train", "starting", "ready")
    fire(end)
    assert waiting.wait(30) == 1
    assert "`train` is not done: exit 3" in stack.output(1)
    stack.cli("down", check=0)


def test_p8_nothing_is_taken_over_by_a_broken_file(make_stack: Make) -> None:
    """P7, P8: it is refused, and what lives goes on."""
    stack = make_stack("servers: {llm: {command: PRETEND}}")
    stack.up()
    before = stack.wait_up()
    kill_supervisor(stack)
    stack.write("servers: {llm: {commando: x}}")
    assert "nothing was started" in stack.cli("restart", "llm", check=2).stderr
    assert pids_alive(before)
    stack.cli("down", check=0)


def test_p8_the_keeper_holds_nobody_up(make_stack: Make) -> None:
    """P8: what keeps watch holds neither lock nor pipe, and leaves when nothing is left to watch."""
    stack = make_stack("servers: {llm: {command: PRETEND}}")
    read_end, write_end = os.pipe()
    stack.start("up", stdout=write_end, stderr=write_end)
    os.close(write_end)
    llm = stack.wait_up()["llm"].pid
    assert llm is not None
    kill_supervisor(stack)
    while os.read(read_end, 1 << 16):  # its end comes
        pass
    os.close(read_end)
    with paths_of(stack).lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert has_keeper(stack)
    os.kill(llm, signal.SIGKILL)
    eventually(lambda: not has_keeper(stack), "it leaves")
    assert not stack.survivors()
    assert (record_of(stack, "llm").ended, record_of(stack, "llm").code) == (True, -9)
