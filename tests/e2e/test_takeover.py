"""P8: the supervisor may die. Servers go on, and the next `up` takes them over as they are."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from launchpad.hosts.local.registry import registration_in
from tests.e2e.conftest import Make
from tests.e2e.deaths import (
    holders,
    kill_holders,
    kill_supervisor,
    mains,
    paths_of,
    pids,
    record_of,
    two_servers,
)
from tests.e2e.harness import alive, eventually, fire, free_ports, get

COUNTER = """
import itertools, time
for n in itertools.count():
    print("line", n, flush=True)
    time.sleep(0.002)
"""


@pytest.mark.parametrize("how", ["foreground", "detached"])
def test_p8_same_processes_same_ports(make_stack: Make, how: str) -> None:
    """P8: after SIGKILL of the supervisor, in the foreground or detached, the next `up` has the same pids and ports,
    and no twin of any; dependents are left alone as well; nobody counts a restart."""
    stack = two_servers(make_stack)
    if how == "foreground":
        stack.start("up")
    else:
        stack.up()
    before = stack.wait_up()
    kill_supervisor(stack)
    said = stack.up().stderr
    after = stack.wait_up()
    for name in ("llm", "web"):
        assert (after[name].pid, after[name].ports) == (before[name].pid, before[name].ports)
        assert (after[name].restarts, after[name].attempt) == (0, before[name].attempt)
        assert after[name].started_at == pytest.approx(before[name].started_at, abs=1.0)
        assert f"`{name}` runs on (pid {after[name].pid})" in said
        assert len(stack.marks_of(name, "start")) == 1
    assert mains(stack) == {"llm": [before["llm"].pid], "web": [before["web"].pid]}
    stack.down()


def test_p8_killed_twice_in_a_row(make_stack: Make) -> None:
    """P8: so does the one after that, also when the second supervisor had hardly begun."""
    stack = two_servers(make_stack)
    stack.up()
    before = pids(stack)
    for _ in range(3):
        kill_holders(stack)
        up = stack.start("up", "-d")
        eventually(lambda: holders(stack), "it begins")
        up.kill()
        up.wait()
    kill_holders(stack)
    stack.cli("up", "-d", check=0)
    assert pids(stack) == before
    stack.down()


def grows(file: Path) -> None:
    size = file.stat().st_size if file.exists() else 0
    eventually(lambda: file.exists() and file.stat().st_size > size + 1000, f"{file} grows")


def test_p8_output_goes_on(make_stack: Make) -> None:
    """P1, P8: every line is in the run's log and in its file, once and in order, whoever lived meanwhile."""
    stack = make_stack("""
        servers:
          llm: {command: "python -u count.py", output: [console, {file: out.txt}]}
    """)
    (stack.folder / "count.py").write_text(COUNTER)
    stack.up()
    log, copy = stack.log("llm"), stack.folder / "out.txt"
    for _ in range(2):
        grows(copy)
        kill_supervisor(stack)
        grows(log)
        stack.up()
    stack.down()
    lines = log.read_text().splitlines()
    assert lines == [f"line {n}" for n in range(len(lines))]
    assert copy.read_text() == log.read_text()


def test_p8_a_definition_that_changed_meanwhile(make_stack: Make) -> None:
    """P7, P8: what was changed while nobody watched is replaced, and nothing else; what was removed is ended."""
    stack = make_stack("""
        servers:
          llm: {command: "PRETEND --name llm", environment: {A: "1"}}
          web: {command: PRETEND --name web}
          old: {command: PRETEND --name old --mark marks}
    """)
    stack.up()
    before = pids(stack)
    kill_supervisor(stack)
    stack.write("""
        servers:
          llm: {command: "PRETEND --name llm", environment: {A: "2"}}
          web: {command: PRETEND --name web}
    """)
    stack.up()
    after = pids(stack)
    assert set(after) == {"llm", "web"}
    assert after["web"] == before["web"]
    assert after["llm"] != before["llm"]
    eventually(lambda: not alive(before["old"]) and not alive(before["llm"]), "they have gone")
    assert stack.marks_of("old", "SIGTERM"), "it was asked to leave"
    stack.down()


def test_p8_what_was_stopped_stays_stopped(make_stack: Make) -> None:
    """P8: `stop NAME` of before holds after it, and restarts are counted on."""
    stack = make_stack("""
        servers:
          llm: {command: PRETEND}
          web: {command: PRETEND --name web, restart: {policy: on-failure, max_restarts: 2, backoff: {initial: 10ms}}}
    """)
    stack.up()
    stack.cli("stop", "llm", check=0)
    for restarts in (1, 2):
        os.kill(pids(stack)["web"], signal.SIGKILL)
        stack.wait_for(lambda s, n=restarts: any(v.restarts == n and v.state == "ready" for v in s.services))
    kill_supervisor(stack)
    stack.up()
    views = {view.name: view for view in stack.client.status().services}
    assert (views["llm"].state, views["llm"].goal) == ("idle", "down")
    assert views["web"].restarts == 2
    os.kill(pids(stack)["web"], signal.SIGKILL)
    stack.wait_state("web", "failed")
    kill_supervisor(stack)
    stack.cli("up", "-d")
    assert "llm" not in pids(stack), "over a second death as well"
    kill_supervisor(stack)
    stack.up("llm", check=None)
    stack.wait_state("llm", "ready")
    stack.down()


def test_p8_readiness_that_was_told_once(make_stack: Make) -> None:
    """P5, P8: READY=1 counts after the takeover, said before the death, or after it to nobody; so does a line."""
    stack = make_stack("""
        servers:
          before: {command: PRETEND --notify, ready: {notify: true}}
          meanwhile: {command: PRETEND --notify --ready-when pipe --name meanwhile --mark marks, ready: {notify: true}}
          after: {command: PRETEND --notify --ready-when later --name after --mark marks, ready: {notify: true}}
          line: {command: "PRETEND --log-line started-now", ready: {log: started-now}}
    """)
    stack.pipe("pipe")
    stack.pipe("later")
    stack.start("up")
    stack.wait_state("before", "ready")
    stack.wait_state("line", "ready")
    eventually(lambda: stack.marks_of("after", "start"), "it runs")
    kill_supervisor(stack)
    fire(stack.folder / "pipe")
    eventually(lambda: stack.marks_of("meanwhile", "ready"), "it is ready")
    eventually(lambda: record_of(stack, "meanwhile").notified, "it was heard")
    stack.start("up")
    for name in ("before", "meanwhile", "line"):
        stack.wait_state(name, "ready")
    fire(stack.folder / "later")
    stack.wait_up()
    stack.down()


def test_p8_a_line_of_an_earlier_attempt_does_not_count(make_stack: Make) -> None:
    """P5, P8: what made the last attempt ready says nothing about the one that is taken over."""
    stack = make_stack("""
        servers:
          line: {command: "PRETEND --log-line started-now --ready-when pipe", ready: {log: started-now}}
          other: {command: "PRETEND --port ${self.port}", port: auto, ready: /health}
    """)
    stack.pipe("pipe")
    stack.start("up")
    fire(stack.folder / "pipe")
    first = stack.wait_state("line", "ready").pid
    stack.cli("restart", "line", "--no-wait", check=0)
    stack.wait_for(lambda s: s.services[0].state == "starting" and s.services[0].pid not in (None, first))
    stack.wait_state("other", "ready")
    kill_supervisor(stack)
    stack.start("up")
    stack.wait_state("other", "ready")
    assert stack.wait_state("line", "starting", "ready").state == "starting"
    fire(stack.folder / "pipe")
    stack.wait_state("line", "ready")
    stack.down()


def test_p8_ports_after_the_takeover(make_stack: Make) -> None:
    """P3, P8: a server that was taken over and dies is started on the same port, however that is handed over; and one
    that had not begun to listen still can."""
    stack = make_stack("""
        defaults: {restart: {policy: on-failure, backoff: {initial: 10ms}}}
        servers:
          shared: {command: "PRETEND --port ${self.port}", port: auto, ready: /health}
          release: {command: "PRETEND --port ${self.port} --no-reuse", port: auto, handover: release, ready: /health}
          inherit: {command: "PRETEND --fd 3", port: auto, handover: inherit, ready: /health}
          late: {command: "PRETEND --port ${self.port} --ready-when pipe --mark marks --name late", port: auto, ready: /health}
    """)
    stack.pipe("pipe")
    stack.start("up")
    for name in ("shared", "release", "inherit"):
        stack.wait_state(name, "ready")
    before = {view.name: view for view in stack.client.status().services}
    eventually(lambda: stack.marks_of("late", "start"), "it runs")
    kill_supervisor(stack)
    stack.start("up")
    for name in ("shared", "release", "inherit"):
        assert stack.wait_state(name, "ready").pid == before[name].pid
    fire(stack.folder / "pipe")
    assert stack.wait_state("late", "ready").pid == before["late"].pid
    registration = registration_in(paths_of(stack).registration)
    assert registration is not None
    held = {(one.service, one.name): one.number for one in registration.ports}
    assert held == {(view.name, "main"): view.ports["main"] for view in before.values()}
    for name in ("shared", "release", "inherit"):
        os.kill(pids(stack)[name], signal.SIGKILL)
        now = stack.wait_for(
            lambda s, name=name: any(
                v.name == name and v.state == "ready" and v.pid != before[name].pid for v in s.services
            )
        )
        (view,) = (view for view in now.services if view.name == name)
        assert view.ports == before[name].ports
    stack.down()


def test_p8_the_port_of_what_ended_meanwhile_is_still_its_own(make_stack: Make) -> None:
    """P3, P8: what ended while nobody watched is started again on its port, though a service that is new asks for the
    same."""
    low = free_ports(2)
    text = """
        defaults: {restart: {policy: on-failure, backoff: {initial: 10ms}}}
        servers:
          first: {command: "PRETEND --port ${self.port}", port: RANGE, ready: /health}
    """.replace("RANGE", f"{low}-{low + 1}")
    stack = make_stack(text)
    stack.start("up")
    stack.wait_up()
    before = {view.name: view for view in stack.client.status().services}["first"]
    kill_supervisor(stack)
    os.kill(before.pid or 0, signal.SIGKILL)
    eventually(lambda: not alive(before.pid or 0), "it has ended")
    stack.write(text.replace("servers:", "servers:\n          new:" + text.split("first:")[1].rstrip()))
    stack.start("up")
    stack.wait_up()
    after = {view.name: view for view in stack.client.status().services}
    assert after["first"].ports == before.ports
    assert after["new"].ports != before.ports
    assert [(view.restarts, view.exit_code) for view in after.values()] == [(0, None), (1, -9)]
    stack.down()


def test_p8_checks_after_the_takeover(make_stack: Make) -> None:
    """P8: a program that is the check has the environment of its service; liveness is looked at on."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --port ${self.port} --name llm --mark marks
            port: auto
            environment: {TOKEN: "hello"}
            ready: {exec: "sh -c 'test $$TOKEN = hello'"}
            alive: {http: /health, interval: 100ms, failures: 2}
            restart: {policy: on-failure, backoff: {initial: 10ms}}
    """)
    stack.up()
    before = pids(stack)["llm"]
    kill_supervisor(stack)
    stack.up()
    assert pids(stack)["llm"] == before
    get(f"{stack.ps()['llm']['url']}/unhealthy")
    eventually(lambda: len(stack.marks_of("llm", "start")) == 2, "it is started again")
    stack.down()


def test_p8_on_change_holds_over_a_death(make_stack: Make) -> None:
    """P7, P8: what is to run on over a change runs on over one that nobody watched, too."""
    text = """
        servers:
          kept: {{command: "PRETEND --name kept{0}", on_change: keep}}
          told: {{command: "PRETEND --name told{0} --mark marks", on_change: {{signal: SIGUSR1}}}}
    """
    stack = make_stack(text.format(""))
    stack.up()
    before = pids(stack)
    kill_supervisor(stack)
    stack.write(text.format("-anew"))
    stack.up()
    assert pids(stack)["kept"] == before["kept"]
    assert "command changed since it was started" in stack.ps()["kept"]["holds"][0]["text"]
    stack.cli("restart", "kept", check=0)
    assert "--name kept-anew" in stack.survivors()[pids(stack)["kept"]]
    stack.down()


def test_p8_run_takes_over_what_its_job_needs(make_stack: Make) -> None:
    """P8: `run` after a death: what the job needs is taken over, the rest is ended, and at its end nothing lives."""
    stack = make_stack("""
        servers: {llm: {command: PRETEND --name llm --mark marks}, other: {command: PRETEND --name other}}
        jobs: {eval: {command: "PRETEND --exit 0 --name eval", depends_on: [llm], profiles: [eval]}}
    """)
    stack.up()
    kill_supervisor(stack)
    stack.cli("run", "eval", check=0)
    assert len(stack.marks_of("llm", "start")) == 1
    assert not stack.survivors()


def test_p8_what_is_watched_and_was_changed_meanwhile(make_stack: Make) -> None:
    """P8: code that was saved, or taken away, while no supervisor lived restarts who watches it, as it would have then; who
    watches other files, or only now, is left alone."""
    text = """
        servers:
          changed: {command: PRETEND, watch: [a]}
          gone: {command: PRETEND, watch: ["b/*.py"]}
          same: {command: PRETEND, watch: [c]}
          late: {command: PRETEND}
    """
    stack = make_stack(text)
    for name in ("a", "b", "c"):
        (stack.folder / name).mkdir()
        (stack.folder / name / "code.py").write_text("one\n")
    stack.up()
    state = stack.folder / ".launchpad" / "stack.yaml" / "state.json"
    eventually(lambda: len(json.loads(state.read_text())["memory"]["watched"]) == 3, "it has looked")
    before = pids(stack)
    kill_supervisor(stack)
    (stack.folder / "a" / "code.py").write_text("two\n")
    (stack.folder / "b" / "code.py").unlink()
    stack.write(text.replace("late: {command: PRETEND}", "late: {command: PRETEND, watch: [c]}"))
    stack.up()
    stack.wait_for(lambda s: [v.name for v in s.services if v.taken_over] == ["same", "late"])
    stack.wait_up()
    after = pids(stack)
    assert {name for name in after if after[name] != before[name]} == {"changed", "gone"}
    told = [event["text"] for event in stack.events() if event["what"] == "files"]
    assert "what it watches was changed while no supervisor lived" in told
    kill_supervisor(stack)
    stack.up()
    eventually(lambda: len(json.loads(state.read_text())["memory"]["watched"]) == 4, "it has looked")
    assert pids(stack) == after, "once"
    stack.down()
