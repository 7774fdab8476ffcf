"""P8: the supervisor may die. Servers go on, and the next `up` takes them over as they are."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Make
from tests.e2e.deaths import (
    has_keeper,
    holders,
    kill_holders,
    kill_keeper,
    kill_supervisor,
    mains,
    paths_of,
    pids,
    record_of,
    rewrite,
)
from tests.e2e.harness import Stack, alive, eventually, fire, get

COUNTER = """
import itertools, time
for n in itertools.count():
    print("line", n, flush=True)
    time.sleep(0.002)
"""


def two_servers(make_stack: Make) -> Stack:
    return make_stack("""
        servers:
          llm: {command: "PRETEND --port ${self.port} --name llm --mark marks", port: auto, ready: /health}
          web:
            command: PRETEND --port ${self.port} --name web --mark marks
            port: auto
            ready: /health
            environment: {LLM: "${llm.url}"}
            depends_on: {llm: {restart: true}}
    """)


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
        assert f"{name} taken over, pid {after[name].pid}" in said
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


def jobs(make_stack: Make) -> Stack:
    stack = make_stack("""
        servers: {llm: {command: PRETEND}}
        jobs:
          good: {command: "PRETEND --exit 0 --exit-when good.pipe --mark marks --name good"}
          bad: {command: "PRETEND --exit 3 --exit-when bad.pipe --mark marks --name bad", restart: never}
          early: {command: "PRETEND --exit 0 --mark marks --name early"}
          after-good: {command: "PRETEND --mark marks --name after-good", depends_on: [good, early]}
          after-bad: {command: PRETEND, depends_on: [bad]}
    """)
    for name in ("good", "bad"):
        stack.pipe(f"{name}.pipe")
    stack.start("up")
    stack.wait_state("early", "done")
    for name in ("good", "bad"):
        eventually(lambda name=name: stack.marks_of(name, "start"), "it runs")
    return stack


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
    assert len(stack.marks_of("good", "start")) == 2, "after an orderly end it runs again"


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
    assert len(stack.marks_of("llm", "start")) == 2, "a server is started again"
    stack.cli("start", "train", "--no-wait", check=0)
    eventually(lambda: len(stack.marks_of("train", "start")) == 2, "asked for, it runs again")
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


@pytest.mark.parametrize("keeper", ["lives", "killed"])
def test_p8_killed_before_the_pid_was_written_down(make_stack: Make, keeper: str) -> None:
    """P8: what was started without a record of its pid is found by its markers."""
    stack = two_servers(make_stack)
    stack.up()
    before = pids(stack)
    path = next(paths_of(stack).records_dir.glob("llm.*"))
    path.write_text(path.read_text().splitlines()[0] + "\n")
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
    path = next(paths_of(stack).records_dir.glob("llm.*"))
    intent = path.read_text().splitlines()[0].replace('"llm"', '"web"')
    attempt = record_of(stack, "llm").attempt
    kill_supervisor(stack)
    intent = intent.replace(str(attempt), str(attempt + 1))
    (paths_of(stack).records_dir / f"web.{attempt + 1}.json").write_text(intent + "\n")
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


def test_p8_of_two_attempts_the_newest_is_taken_over(make_stack: Make) -> None:
    """P8: two records of one service, both of live processes: the older one is ended."""
    stack = make_stack("servers: {llm: {command: PRETEND --name llm --mark marks}}")
    stack.up()
    first = pids(stack)["llm"]
    record = record_of(stack, "llm")
    folder = paths_of(stack).records_dir
    text = (folder / f"llm.{record.attempt}.json").read_text()
    kill_supervisor(stack)
    kill_keeper(stack)
    (folder / f"llm.{record.attempt}.json").unlink()
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
        (folder / f"llm.{record.attempt}.json").write_text(text)
        older = text.replace(str(record.attempt), str(record.attempt - 1))
        (folder / f"llm.{record.attempt - 1}.json").write_text(older)
        rewrite_pid = f'{{"pid": {second.pid}, "start": {start_of(second.pid)}}}\n'
        with (folder / f"llm.{record.attempt - 1}.json").open("a") as file:
            file.write(rewrite_pid)
        said = stack.up().stderr
        assert f"ending what an earlier run left behind: pid {second.pid}" in said
        assert pids(stack) == {"llm": first}
        assert second.wait(10) == -signal.SIGTERM
    finally:
        second.kill()
        second.wait()
    stack.down()


def start_of(pid: int) -> int:
    from launchpad.hosts.local import process

    one = process.stat(pid)
    assert one is not None
    return one.start


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


def test_p8_wait_without_a_supervisor(make_stack: Make) -> None:
    """P8: how a job ended that nobody watched is known to `wait`, and that it runs on as well."""
    stack = jobs(make_stack)
    kill_supervisor(stack)
    assert "runs on without a supervisor" in stack.cli("wait", "good", check=1).stderr
    for name in ("good", "bad"):
        fire(stack.folder / f"{name}.pipe")
        eventually(lambda name=name: record_of(stack, name).ended, "it is written down")
    stack.cli("wait", "good", check=0)
    assert "it ended with 3" in stack.cli("wait", "bad", check=1).stderr
    stack.cli("down", check=0)


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
    assert len(stack.marks_of("llm", "start")) == 2
    stack.down()


def test_p8_down_waits_for_the_lock(make_stack: Make) -> None:
    """P8: who has the lock is at work on the stack; nothing is ended under him."""
    stack = make_stack("servers: {llm: {command: PRETEND}}")
    stack.up()
    before = pids(stack)["llm"]
    kill_supervisor(stack)
    with paths_of(stack).lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        down = stack.start("down")
        with pytest.raises(subprocess.TimeoutExpired):
            down.wait(2)
        assert alive(before)
    assert down.wait(60) == 0
    assert not stack.survivors()


def test_p8_commands_without_a_supervisor(make_stack: Make) -> None:
    """P8: what lives is listed, as lost; what cannot be asked for is refused, and what to do is said."""
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
    for verb in ("stop", "start", "restart"):
        assert "takes them over" in stack.cli(verb, "llm", check=1).stderr
    assert "hello" in stack.cli("logs", "llm", check=0).stdout
    assert stack.cli("events", check=0).stdout
    assert pids_alive(before)
    stack.cli("down", check=0)


def pids_alive(views: object) -> bool:
    assert isinstance(views, dict)
    return all(alive(view.pid) for view in views.values())


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
