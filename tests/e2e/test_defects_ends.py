"""What goes wrong in other launchers when something restarts, stops, or is started twice; named as in `test_defects`."""

from __future__ import annotations

import os
import signal

from tests.e2e.conftest import Make
from tests.e2e.harness import alive, eventually, fire

# --- restarts --------------------------------------------------------------------------------------------


def test_crash_loop_backs_off_and_gives_up(make_stack: Make) -> None:
    """pm2 (measured): 16 shots in a second; process-compose: once a second for ever. Here: longer and longer, a limit,
    and then its last lines."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --print out-of-memory --mark marks --name llm --exit 9
            restart: {policy: on-failure, backoff: {initial: 100ms, factor: 3}, max_restarts: 3}
    """)
    done = stack.cli("up", check=1)
    starts, exits = stack.marks_of("llm", "start"), stack.marks_of("llm", "exit")
    assert len(starts) == 4
    waits = [(start.at - end.at) / 1e9 for start, end in zip(starts[1:], exits, strict=False)]
    assert all(wait >= least for wait, least in zip(waits, (0.1, 0.3, 0.9), strict=True)), waits
    assert "E501" in done.stderr
    assert "exit 9" in done.stderr
    assert "out-of-memory" in done.stderr
    assert "max_restarts" in done.stderr


def test_crashed_process_is_seen_at_once(make_stack: Make) -> None:
    """overmind #182: a crashed process stays "running"."""
    stack = make_stack("servers: {llm: {command: PRETEND, restart: never}, other: {command: PRETEND}}")
    stack.up()
    os.kill(stack.ps()["llm"]["pid"], signal.SIGSEGV)
    view = stack.wait_state("llm", "failed")
    assert view.exit_code == -signal.SIGSEGV
    assert stack.ps()["other"]["state"] == "ready"
    stack.down()


def test_a_server_that_exits_0_has_failed(make_stack: Make) -> None:
    """A server's end that nobody asked for is a failure, even with code 0: it is restarted `on-failure`."""
    stack = make_stack("""
        servers:
          llm: {command: PRETEND --exit 0 --exit-when go, restart: {policy: on-failure, backoff: {initial: 10ms}}}
    """)
    stack.pipe("go")
    stack.up()
    before = stack.ps()["llm"]
    fire(stack.folder / "go")
    stack.wait_for(lambda s: s.services[0].state == "ready" and s.services[0].pid != before["pid"])
    assert stack.ps()["llm"]["exit_code"] == 0
    stack.down()


# --- stopping --------------------------------------------------------------------------------------------


def test_deaf_ones_stop_together(make_stack: Make) -> None:
    """supervisord (measured: 32.6 s for three), circus, process-compose: one after the other. Here all four are asked
    before the first one's grace is over: the sum of the graces is never waited for."""
    servers = "".join(
        f"\n  d{n}: {{command: PRETEND --ignore-term --mark marks --name d{n}, stop_grace: 1500ms}}"
        for n in range(4)
    )
    stack = make_stack(f"servers:{servers}\n")
    stack.up()
    eventually(lambda: len(stack.marks()) == 8, "all four run")
    stack.down()
    asked = [mark.at / 1e9 for mark in stack.marks() if mark.event == "SIGTERM"]
    killed = [event["at"] for event in stack.events() if event["phase"] == "killing"]
    assert len(asked) == len(killed) == 4
    assert max(asked) < min(killed)


def test_setsid_grandchild_does_not_hang_the_stop(make_stack: Make) -> None:
    """honcho (measured): a grandchild that keeps stdout open, and the stop never ends (vLLM's very shape);
    Tilt #4456: waiting for the pipe instead of the process."""
    stack = make_stack("""
        servers: {llm: {command: PRETEND --fork setsid --pids pids}}
        jobs: {train: {command: PRETEND --fork setsid --pids pids --exit 0}}
    """)
    up = stack.start("up")
    stack.wait_state("train", "done")
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 130
    assert not any(alive(int(pid)) for pid in (stack.folder / "pids").read_text().split())


def test_suspended_service_can_be_stopped(make_stack: Make) -> None:
    """process-compose #258, #280, #354: `down` hangs. A service under SIGSTOP hears no SIGTERM."""
    stack = make_stack("servers: {llm: {command: PRETEND --fork plain, stop_grace: 300ms}}")
    stack.up()
    os.kill(stack.ps()["llm"]["pid"], signal.SIGSTOP)
    stack.down()


def test_group_member_outlives_its_leader(make_stack: Make) -> None:
    """process-compose #520 (measured): a group member that ignores SIGTERM lives on when its leader exits, and `down`
    reports success."""
    stack = make_stack("""
        servers:
          llm:
            shell: true
            command: "PRETEND --ignore-term --name deaf --touch ready & exec PRETEND --term-exit 0"
            ready: {file: ready}
            stop_grace: 300ms
    """)
    stack.up()
    deaf = [pid for pid, command in stack.survivors().items() if "--name deaf" in command]
    assert deaf
    assert os.getpgid(deaf[0]) == stack.ps()["llm"]["pid"], "it is in the leader's group"
    stack.down()


# --- several launchpads ----------------------------------------------------------------------------------


def test_two_ups_at_once(make_stack: Make) -> None:
    """overmind, process-compose: two starts of one stack are two sets of processes. Here one supervises, the other joins."""
    stack = make_stack("""
        servers:
          llm: {command: "PRETEND --port ${self.port} --mark marks --name llm", port: auto, ready: /health}
    """)
    ups = [stack.start("up", "-d") for _ in range(4)]
    assert [up.wait(60) for up in ups] == [0] * 4, "".join(stack.output(n) for n in range(4))
    assert len(stack.marks_of("llm", "start")) == 1
    stack.down()


def test_stale_socket(make_stack: Make) -> None:
    """overmind #50, #118: a killed supervisor leaves a socket that has to be removed by hand."""
    stack = make_stack("servers: {llm: {command: PRETEND}}")
    stack.up()
    supervisor = stack.client.status().pid
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not alive(supervisor), "it is dead")
    assert stack.client.socket_path.exists(), "the socket is left behind"
    assert "`launchpad up`" in stack.cli("ps", check=0).stderr, "it says what to do"
    stack.up()
    assert stack.ps()["llm"]["state"] == "ready"
    stack.down()
    assert not stack.client.socket_path.exists()


def test_ports_do_not_wander(make_stack: Make) -> None:
    """compose #6423: the port of a range goes up by one at every `up`."""
    stack = make_stack(
        'servers: {llm: {command: "PRETEND --port ${self.port}", port: 20000-29000, ready: /health}}'
    )
    seen = set()
    for _ in range(3):
        stack.up()
        seen.add(stack.ps()["llm"]["ports"]["main"])
        stack.down()
    assert len(seen) == 1


def test_typo_is_not_only_logged(make_stack: Make) -> None:
    """process-compose (measured): unknown keys are logged and passed over; an emptied file stops everything, exit 0."""
    stack = make_stack("servers: {llm: {command: PRETEND --mark marks, restrt: always}}")
    assert "did you mean `restart`?" in stack.cli("up", check=2).stderr
    stack.write("")
    assert stack.cli("up").returncode == 2
    assert not stack.marks()
