"""Environments from requirements, from outside: conflicting ones side by side, interruptions, changes under a live stack."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from launchpad.control.api import Snapshot
from tests.e2e.conftest import Make
from tests.e2e.deaths import kill_supervisor, pids
from tests.e2e.harness import Stack, alive, eventually
from tests.samples import count
from tests.wheels import wheel

TIMES = count(8, 20)
"""Twenty take a minute."""
SAYS = "import time, tiny; print('version', tiny.VERSION, flush=True); time.sleep(10000)"
TWO = """
    servers:
      old:
        command: [python, -c, "SAYS"]
        venv: .venvs/old
        requirements: old.txt
        ready: {log: version}
      new:
        command: [python, -c, "SAYS"]
        requirements: [--no-index, --find-links wheels, tiny>=2]
        ready: {log: version}
      plain: {command: PRETEND}
    """.replace("SAYS", SAYS)
OLD = "--no-index\n--find-links wheels\ntiny<2\n"

HELD_UP = "touch began; while [ ! -e go ]; do read -t 0.05 < <(sleep 1); done; true"
"""An installer that ends when it is let."""


def two(make_stack: Make, text: str = TWO) -> Stack:
    stack = make_stack(text)
    for version in ("1.0", "1.5", "2.0"):
        wheel(stack.folder / "wheels", "tiny", version)
    (stack.folder / "old.txt").write_text(OLD)
    return stack


def said(stack: Stack, service: str) -> str:
    """What its latest process said."""
    return stack.cli("logs", service, check=0).stdout.splitlines()[-1]


def environments(stack: Stack) -> Path:
    return stack.folder / ".launchpad" / "environments"


def fake_installer(stack: Stack, body: str) -> None:
    """`uv` is from now on a program of the test's: an install does `body`."""
    programs = stack.folder / "programs"
    programs.mkdir(exist_ok=True)
    uv = programs / "uv"
    make = f'mkdir -p "${{@: -1}}/bin"; ln -s {sys.executable} "${{@: -1}}/bin/python"'
    uv.write_text(f'#!/bin/bash\ncd {stack.folder}\nif [ "$1" = venv ]; then {make}; exit; fi\n{body}\n')
    uv.chmod(0o755)
    stack.environ["PATH"] = f"{programs}:{os.environ['PATH']}"


def test_conflicting_requirements_run_side_by_side(make_stack: Make) -> None:
    stack = two(make_stack)
    assert stack.cli("check").returncode == 0
    stack.cli("up", "--dry-run", check=0)
    stack.cli("diff")
    assert not environments(stack).exists()
    stack.up()
    assert said(stack, "old") == "version 1.5"
    assert said(stack, "new") == "version 2.0"
    assert (stack.folder / ".venvs" / "old" / "bin" / "python").exists()
    assert (stack.folder / ".launchpad" / "venvs" / "stack.yaml" / "new").is_symlink()
    stack.down()
    assert "environment" not in {event["what"] for event in second_start(stack)}


def second_start(stack: Stack) -> list[dict[str, object]]:
    before = len(stack.events())
    stack.up()
    events = stack.events()[before:]
    stack.down()
    return events


def test_who_needs_none_waits_for_none(make_stack: Make) -> None:
    stack = two(make_stack)
    fake_installer(stack, HELD_UP)
    stack.start("up")
    stack.wait_state("plain", "ready")
    snapshot = stack.wait_for(is_held)
    assert {view.state for view in snapshot.services if view.name != "plain"} == {"idle"}
    assert "making .venvs/old" in stack.cli("ps").stdout
    stack.down()
    assert not list(environments(stack).glob("*/launchpad.json"))


def is_held(snapshot: Snapshot) -> bool:
    kinds = [hold.kind for view in snapshot.services for hold in view.holds if "making" in hold.text]
    return kinds == ["environment", "environment"]


def test_what_cannot_be_made_is_told_with_the_installers_words(make_stack: Make) -> None:
    stack = two(make_stack, TWO.replace("tiny>=2", "tiny>=7"))
    done = stack.up(check=1)
    assert "error[E508]: the environment of `new` could not be made" in done.stderr
    assert "stack.yaml:10:" in done.stderr
    assert "tiny>=7" in done.stderr
    stack.wait_state("old", "ready")
    assert stack.ps()["new"]["state"] == "failed"
    stack.write(TWO)
    stack.wait_state("new", "ready")
    stack.down()


def test_what_several_share_is_told_once(make_stack: Make) -> None:
    """At the start, and by a change: one installer, one message, with all whose it is."""
    text = """
        defaults: {venv: .venv, requirements: [one]}
        servers: {a: {command: PRETEND}, b: {command: PRETEND}, c: {command: PRETEND, depends_on: [b]}}
        jobs: {late: {command: PRETEND, requirements: [], venv: .own, depends_on: [a]}}
    """
    stack = make_stack(text)
    fake_installer(stack, "[ -e good ] && exit; echo no such thing; exit 1")
    done = stack.up(check=1)
    assert done.stderr.count("error[E508]") == 1
    assert "error[E508]: the environment of `a`, `b` and `c` could not be made" in done.stderr
    assert "not started: `late`" in done.stderr
    (stack.folder / "good").touch()
    stack.up()
    (stack.folder / "good").unlink()
    stack.write(text.replace("[one]", "[two]"))
    done = stack.cli("reload", check=2)
    assert done.stderr.count("error[E508]: the environment of `a`, `b` and `c` could not be made") == 1
    stack.down()


def test_no_port_no_environment(make_stack: Make) -> None:
    stack = two(make_stack, TWO + "      blocked: {command: PRETEND, port: 1}\n")
    stack.up(check=2)
    assert not list(environments(stack).glob("*/launchpad.json"))


def test_changed_requirements_restart_that_service_alone(make_stack: Make) -> None:
    stack = two(make_stack)
    stack.up()
    before = pids(stack)
    (stack.folder / "old.txt").write_text(OLD.replace("tiny<2", "tiny==1.0"))
    stack.wait_for(lambda s: {v.name: v.pid for v in s.services}["old"] not in (before["old"], None))
    stack.wait_up()
    assert said(stack, "old") == "version 1.0"
    after = pids(stack)
    assert {name for name in after if after[name] != before[name]} == {"old"}
    done = stack.cli("reload", check=0)
    assert "keep 3 services" in done.stderr
    stack.down()
    assert len(list(environments(stack).glob("*/launchpad.json"))) == 2


@pytest.mark.parametrize("how", ["save", "reload"])
def test_a_failure_on_reload_leaves_what_runs(make_stack: Make, how: str) -> None:
    stack = two(make_stack)
    stack.up(*(() if how == "save" else ("--no-watch",)))
    before = pids(stack)
    (stack.folder / "old.txt").write_text(OLD.replace("tiny<2", "tiny==7"))
    if how == "save":
        snapshot = stack.wait_for(lambda s: any(d.code == "E508" for d in s.diagnostics))
        assert "cannot be applied" in snapshot.stale
    else:
        done = stack.cli("reload", check=2)
        assert "error[E508]: the environment of `old` could not be made" in done.stderr
        assert "nothing was changed, the stack runs as before" in done.stderr
    assert pids(stack) == before
    (stack.folder / "old.txt").write_text(OLD)
    if how == "save":
        stack.wait_for(lambda s: not s.stale)
    else:
        stack.cli("reload", check=0)
    assert pids(stack) == before
    stack.down()


def test_what_runs_runs_on_until_the_new_one_is_whole(make_stack: Make) -> None:
    """And a newer save calls the making off."""
    stack = two(make_stack)
    stack.up()
    stack.down()
    fake_installer(stack, HELD_UP)
    stack.up()
    before = pids(stack)
    (stack.folder / "old.txt").write_text(OLD + "# another\n")
    eventually(lambda: (stack.folder / "began").exists(), "the making has begun")
    snapshot = stack.wait_for(lambda s: "making .venvs/old" in s.stale)
    assert "the stack runs as before" in snapshot.stale
    assert pids(stack) == before
    (stack.folder / "old.txt").write_text(OLD)
    stack.wait_for(lambda s: not s.stale)
    eventually(
        lambda: not any("programs/uv" in line for line in stack.survivors().values()), "it is called off"
    )
    assert pids(stack) == before
    (stack.folder / "old.txt").write_text(OLD + "# a third\n")
    stack.wait_for(lambda s: "making .venvs/old" in s.stale)
    stack.down()


def test_a_reload_that_takes_its_time(make_stack: Make) -> None:
    """Whoever asked waits and is told; it may be let go of, and then nothing is applied."""
    stack = two(make_stack)
    stack.up()
    stack.down()
    fake_installer(stack, HELD_UP)
    stack.up("--no-watch")
    before = pids(stack)
    (stack.folder / "old.txt").write_text(OLD + "# another\n")
    reload = stack.start("reload")
    eventually(lambda: stack.output().count("making .venvs/old"), "it says what it waits for")
    assert reload.poll() is None
    assert pids(stack) == before
    reload.send_signal(signal.SIGINT)
    assert reload.wait(30) == 130
    (stack.folder / "go").touch()
    eventually(lambda: len(list(environments(stack).glob("*/launchpad.json"))) == 3, "made all the same")
    assert pids(stack) == before
    done = stack.cli("reload", check=0)
    assert "restart old" in done.stderr
    stack.cli("down", check=0)


def test_a_change_while_no_supervisor_lives(make_stack: Make) -> None:
    """What runs, runs on until the environment is there; for good, without a supervisor, if it cannot be made."""
    stack = two(make_stack)
    stack.up()
    before = pids(stack)
    kill_supervisor(stack)
    (stack.folder / "old.txt").write_text(OLD.replace("tiny<2", "tiny==7"))
    done = stack.up(check=2)
    assert "error[E508]: the environment of `old` could not be made" in done.stderr
    assert "what an earlier run left runs on" in done.stderr
    assert all(alive(pid) for pid in before.values())
    (stack.folder / "old.txt").write_text(OLD.replace("tiny<2", "tiny==1.0"))
    stack.up()
    after = pids(stack)
    assert {name for name in after if after[name] != before[name]} == {"old"}
    assert said(stack, "old") == "version 1.0"
    stopped = [
        event["at"] for event in stack.events() if (event["service"], event["phase"]) == ("old", "stopping")
    ]
    made = [event for event in stack.events() if event["what"] == "environment" and event["at"] > stopped[-1]]
    assert made == []
    stack.down()


CLINGING = """trap "" TERM INT HUP
setsid bash -c 'trap "" TERM INT HUP; touch began; while true; do read -t 1000 < <(sleep 1000); done' &
while true; do read -t 1000 < <(sleep 1000); done"""


@pytest.mark.parametrize("how", ["killed", "interrupted", "down"])
def test_nothing_of_the_installer_survives(make_stack: Make, how: str) -> None:
    """Also one that ignores what asks it to leave, and what it started in another session."""
    stack = two(make_stack, TWO.replace("plain:", "x-plain:"))
    fake_installer(stack, CLINGING)
    up = stack.start("up")
    eventually(lambda: (stack.folder / "began").exists(), "it is being made")
    if how == "killed":
        up.kill()
        up.wait(30)
        eventually(lambda: not stack.survivors(), "nothing of it lives")
    elif how == "interrupted":
        up.send_signal(signal.SIGINT)
        assert up.wait(30) == 130
    else:
        stack.cli("down", check=0)
        up.wait(30)
    assert not stack.survivors()
    assert not list(environments(stack).glob("*/launchpad.json"))


TOOK: list[float] = []


def how_long_it_takes(make_stack: Make) -> float:
    """Uninterrupted, until all are ready; measured once."""
    if not TOOK:
        stack = two(make_stack)
        began = time.monotonic()
        stack.up()
        TOOK.append(time.monotonic() - began)
        stack.down()
    return TOOK[0]


@pytest.mark.heavy
@pytest.mark.parametrize("nth", range(TIMES))
def test_interrupted_at_random_it_is_right_in_the_end(
    make_stack: Make, nth: int, pytestconfig: pytest.Config
) -> None:
    seed = (pytestconfig.getoption("--seed") or random.randrange(1 << 32)) + nth
    print("seed", seed - nth)
    dice = random.Random(seed)
    took_s = how_long_it_takes(make_stack)
    stack = two(make_stack)
    for _ in range(dice.randrange(1, 3)):
        up = stack.start("up")
        threading.Event().wait(dice.random() * took_s)
        up.send_signal(dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)))
        up.wait(60)
    stack.up()
    assert said(stack, "old") == "version 1.5"
    assert said(stack, "new") == "version 2.0"
    assert [view.state for view in stack.client.status().services] == ["ready"] * 3
    stack.down()


def test_copies_share_one_and_scale_waits_for_it(make_stack: Make) -> None:
    stack = two(
        make_stack,
        f"""
        servers:
          new:
            command: [python, -c, "{SAYS}"]
            requirements: [--no-index, --find-links wheels, tiny>=2]
            ready: {{log: version}}
            replicas: 0
          plain: {{command: PRETEND}}
        """,
    )
    stack.up()
    assert not list(environments(stack).glob("*/bin"))
    stack.cli("scale", "new=2", check=0)
    assert [said(stack, name) for name in ("new-0", "new-1")] == ["version 2.0"] * 2
    assert len(list(environments(stack).glob("*/bin"))) == 1
    stack.write(stack.file.read_text().replace("tiny>=2", "tiny<2"))
    stack.cli("scale", "new=3", check=0)
    names = [f"new-{index}" for index in range(3)]
    eventually(lambda: [said(stack, name) for name in names] == ["version 1.5"] * 3, "all have the other one")
    assert len(list(environments(stack).glob("*/bin"))) == 2
    stack.down()
