"""What goes wrong in other launchers, each as a stack that has to go right here. The tool and its report are named;
"measured" means seen by running it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import eventually

# --- exit codes and dependencies -------------------------------------------------------------------------


def test_failed_job_fails_up(make_stack: Make) -> None:
    """process-compose (measured): a job that ends with 3, and the supervisor exits 0."""
    stack = make_stack("""
        jobs:
          bad: {command: PRETEND --print nearly-there --exit 3}
          good: {command: PRETEND --exit 0}
    """)
    done = stack.cli("up", check=1)
    assert "exit 3" in done.stderr
    assert "nearly-there" in done.stderr, "its last lines are shown"
    assert stack.cli("run", "bad").returncode == 3
    assert stack.cli("run", "good").returncode == 0


def test_failed_dependency_starts_nothing(make_stack: Make) -> None:
    """process-compose (measured): a dependency that does not run is only logged, the dependent starts anyway."""
    stack = make_stack("""
        servers:
          llm: {command: PRETEND --exit 1, restart: never, ready: {file: never-there}}
          web: {command: PRETEND --mark marks --name web, depends_on: [llm]}
        jobs:
          train: {command: PRETEND --mark marks --name train, depends_on: [web]}
    """)
    done = stack.cli("up", check=1)
    assert "`web`" in done.stderr
    assert "`train`" in done.stderr
    assert "not started" in done.stderr
    assert not stack.marks()
    assert not stack.survivors()


def test_a_job_that_is_done_ends_nothing_else(make_stack: Make) -> None:
    """honcho, foreman, hivemind: any process that ends takes all the others with it."""
    stack = make_stack("servers: {llm: {command: PRETEND}}\njobs: {prepare: {command: PRETEND --exit 0}}")
    stack.up()
    stack.cli("wait", check=0)
    assert stack.ps()["llm"]["state"] == "ready"
    stack.down()


def test_restart_while_it_waits_starts_it_once(make_stack: Make) -> None:
    """process-compose #530: a restart while it waits for its dependency wedges it; later it runs twice."""
    stack = make_stack("""
        servers:
          llm: {command: "PRETEND --port ${self.port} --ready-when go", port: auto, ready: /health}
          web: {command: PRETEND --mark marks --name web, depends_on: [llm]}
    """)
    stack.pipe("go")
    stack.start("up", "-d")
    stack.wait_state("llm", "starting")
    for _ in range(3):
        stack.cli("restart", "web", "--no-wait", check=0)
    assert not stack.marks()
    with open(stack.folder / "go", "wb"):
        pass
    stack.wait_up()
    eventually(lambda: stack.marks_of("web", "ready"), "it runs")
    assert len(stack.marks_of("web", "start")) == 1
    assert sum("--name web" in command for command in stack.survivors().values()) == 1
    stack.down()


# --- readiness -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["--spam-rate 2KB/s", "--busy"])
def test_slow_loader_is_not_shot(make_stack: Make, sign: str) -> None:
    """process-compose (measured): a model that loads for 60 s is killed after 20. Here what counts is a sign of life:
    output or CPU; loading takes five times as long as `stall`."""
    stack = make_stack(f"""
        servers:
          llm:
            command: PRETEND --port ${{self.port}} --ready-after 5s {sign} --mark marks --name llm
            port: auto
            ready: {{http: /health, stall: 1s}}
            restart: never
    """)
    stack.up()
    assert len(stack.marks_of("llm", "start")) == 1
    stack.down()


def test_hung_loader_is_given_up(make_stack: Make) -> None:
    """Tilt #4751, #6478: a start that never comes about is never told. Without any sign of life it is given up."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --port ${self.port} --ready-after never --print loading-shard-1
            port: auto
            ready: {http: /health, stall: 1s}
            restart: never
        jobs: {train: {command: PRETEND --mark marks, depends_on: [llm]}}
    """)
    done = stack.cli("up", check=1)
    assert "E401" in done.stderr
    assert "loading-shard-1" in done.stderr
    assert "`train`" in done.stderr
    assert not stack.marks()


def test_readiness_failure_is_not_the_end(make_stack: Make) -> None:
    """process-compose #403, #407: a failed readiness ends a `restart: always` service for ever."""
    stack = make_stack("""
        servers:
          llm:
            shell: true
            command: "echo x >> tries; test $$(wc -l < tries) -ge 3 && touch ready; exec PRETEND"
            ready: {file: ready, timeout: 300ms}
            restart: {policy: always, backoff: {initial: 10ms}}
    """)
    stack.start("up", "-d")
    stack.wait_state("llm", "ready")
    assert (stack.folder / "tries").read_text() == "x\n" * 3
    stack.down()


def test_unready_server_is_not_killed(make_stack: Make) -> None:
    """process-compose (measured): readiness doubles as liveness and kills. Here it only marks."""
    stack = make_stack("""
        servers:
          llm: {command: PRETEND, ready: {exec: test ! -e broken, interval: 100ms, failures: 1}}
    """)
    stack.up()
    pid = stack.ps()["llm"]["pid"]
    (stack.folder / "broken").touch()
    stack.wait_state("llm", "unready")
    stack.wait_for(lambda s: s.services[0].pid == pid and s.services[0].state == "unready")
    (stack.folder / "broken").unlink()
    assert stack.wait_state("llm", "ready").pid == pid
    stack.down()


# --- variables -------------------------------------------------------------------------------------------


def test_unset_variable_is_an_error(make_stack: Make) -> None:
    """process-compose, envsubst over the whole file: an unset variable is silently empty."""
    stack = make_stack("""\
        jobs:
          train: {command: "PRETEND --mark marks --name x${MODEL_THAT_NOBODY_SET}"}
    """)
    done = stack.cli("up", check=2)
    assert "MODEL_THAT_NOBODY_SET" in done.stderr
    assert "stack.yaml:2:" in done.stderr
    assert not stack.marks()
    stack.write(
        'jobs: {train: {command: "PRETEND --mark marks --exit 0 --name x${MODEL_THAT_NOBODY_SET:-y}"}}'
    )
    stack.cli("up", check=0)
    assert stack.marks_of("xy", "start")


@pytest.mark.parametrize("text", ["$HOME", "$env.PWD", "$(date)", "`date`", "$1", "a$b", "%PATH%", "~", "#x"])
def test_dollars_reach_the_child_untouched(make_stack: Make, text: str) -> None:
    """process-compose #120, #63: `$VAR` in a command is eaten before the child sees it, nushell's `$env.PWD` too."""
    stack = make_stack("jobs: {}")
    stack.write(f"jobs:\n  show: {{command: [echo, '{text}']}}\n  split: {{command: 'echo x{text}y'}}\n")
    stack.cli("up", check=0)
    assert stack.cli("logs", "show").stdout == f"{text}\n"
    if "(" not in text and "`" not in text:
        assert stack.cli("logs", "split").stdout == f"x{text}y\n"


def test_values_of_variables_are_not_interpolated_again(make_stack: Make) -> None:
    """compose #10505 and its kind: a password with `$` or `${` in it, a quote, a `#`, a blank: one argument, as it is."""
    value = "a$b${c}'\"#d e\\n"
    stack = make_stack(
        "jobs: {show: {command: [printf, '%s', '${TRICKY}'], environment: {OUT: '${TRICKY}'}}}"
    )
    stack.environ["TRICKY"] = value
    done = stack.cli("up")
    assert done.returncode == 0, done.stderr
    assert stack.cli("logs", "show").stdout == value


def test_dotenv_is_not_injected(make_stack: Make) -> None:
    """process-compose #192: a `.env` that happens to lie there is in every process. Here `env_file` names it."""
    stack = make_stack("jobs: {show: {command: [sh, -c, 'echo $${SURPRISE-nothing}']}}")
    (stack.folder / ".env").write_text("SURPRISE=injected\n")
    stack.cli("up", check=0)
    assert stack.cli("logs", "show").stdout == "nothing\n"
    stack.write("jobs: {show: {command: 'echo ${SURPRISE}'}}")
    assert stack.cli("up").returncode == 2


# --- output ----------------------------------------------------------------------------------------------


def test_log_survives_a_restart(make_stack: Make) -> None:
    """process-compose (measured): the log is truncated at every start, and with it why the last one died."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --print "I am {pid}"
            restart: {policy: on-failure, backoff: {initial: 10ms}}
    """)
    stack.up()
    first = stack.ps()["llm"]["pid"]
    os.kill(first, signal.SIGKILL)
    second = (
        stack.wait_for(lambda s: s.services[0].state == "ready" and s.services[0].pid != first)
        .services[0]
        .pid
    )
    eventually(lambda: f"I am {second}" in stack.log("llm").read_text(), "the second one has printed")
    stack.cli("restart", "llm", check=0)
    stack.down()
    stack.up()
    third = stack.ps()["llm"]["pid"]
    eventually(lambda: f"I am {third}" in stack.log("llm").read_text(), "the next run has printed")
    stack.down()
    lines = stack.cli("logs", "llm").stdout.split("\n")
    assert [line for line in lines if line in (f"I am {first}", f"I am {second}", f"I am {third}")] == [
        f"I am {pid}" for pid in (first, second, third)
    ]


def test_log_is_on_disk_at_once(make_stack: Make) -> None:
    """process-compose (measured): 0 bytes on disk 1.5 s after 5 lines, all of it lost when the supervisor is killed."""
    stack = make_stack("servers: {llm: {command: PRETEND --print precious --touch printed}}")
    stack.start("up", "-d")
    eventually((stack.folder / "printed").exists, "it has printed")
    assert "precious" in stack.log("llm").read_text()
    supervisor = stack.wait_up() and stack.client.status().pid
    os.kill(supervisor, signal.SIGKILL)
    assert stack.cli("logs", "llm").stdout == "precious\n"
    stack.down()


@pytest.mark.heavy
def test_endless_line_costs_no_memory(make_stack: Make) -> None:
    """dekit #225: memory without bound on output that never ends its line. 60 MB without a newline."""
    stack = make_stack("""
        servers:
          llm:
            shell: true
            command: "head -c 60000000 /dev/zero | tr '\\\\0' x; touch printed; exec PRETEND"
    """)
    up = stack.start("up", stdout=subprocess.DEVNULL)
    stack.wait_up()
    eventually((stack.folder / "printed").exists, "all of it is printed")
    stack.cli("ps", check=0)
    peak = next(
        int(line.split()[1]) * 1024
        for line in Path(f"/proc/{up.pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    print(f"launchpad's memory at its peak: {peak / 1e6:.0f} MB")
    assert peak < 120e6
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 130
