"""Jobs: `run`, exit codes, `primary`, `retries`, conditions; and where output goes besides the log."""

from __future__ import annotations

import json
import signal

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import alive, eventually, get

# --- run -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 3, 42])
def test_run_exits_with_the_jobs_code(make_stack: Make, code: int) -> None:
    stack = make_stack(f"""
        servers:
          llm: {{command: "PRETEND --port ${{self.port}} --mark marks --name llm", port: auto, ready: /health}}
          unneeded: {{command: PRETEND --mark marks --name unneeded}}
        jobs:
          train: {{command: "PRETEND --mark marks --name train --exit {code}", depends_on: [llm]}}
          other: {{command: PRETEND --mark marks --name other --exit 0}}
    """)
    assert stack.cli("run", "train").returncode == code
    assert {mark.name for mark in stack.marks()} == {"llm", "train"}, "what it needs, and nothing else"
    assert stack.first("llm", "ready").at < stack.first("train", "start").at
    assert not stack.survivors()


def test_run_of_a_job_that_dies_of_a_signal(make_stack: Make) -> None:
    stack = make_stack("jobs: {train: {command: PRETEND --crash-after 0s --crash-with SIGKILL}}")
    assert stack.cli("run", "train").returncode == 128 + signal.SIGKILL


def test_run_hands_arguments_on(make_stack: Make) -> None:
    """`run JOB -- ARGS`: added to the command, as they are: blanks, quotes, dashes, dollars, braces."""
    stack = make_stack(
        'jobs: {show: {command: [python3, -c, "import sys, json; print(json.dumps(sys.argv[1:]))", fixed]}}'
    )
    given = ["--epochs", "3", "two words", "'quoted'", "$HOME ${self.port}", "--", "-f", "x.yaml", ""]
    done = stack.cli("run", "show", "--", *given, check=0)
    assert json.loads(done.stdout.partition("[")[1] + done.stdout.partition("[")[2]) == ["fixed", *given]


def test_run_of_a_server_or_of_nothing(make_stack: Make) -> None:
    stack = make_stack("servers: {llm: {command: PRETEND --mark marks}}\njobs: {t: {command: PRETEND}}")
    assert stack.cli("run", "llm").returncode == 2
    assert stack.cli("run", "nobody").returncode == 2
    assert stack.cli("run").returncode == 2
    assert not stack.marks()


def test_run_beside_a_running_stack_is_refused(make_stack: Make) -> None:
    stack = make_stack(
        "servers: {llm: {command: PRETEND}}\njobs: {t: {command: PRETEND --exit 0, profiles: [x]}}"
    )
    stack.up()
    pid = stack.ps()["llm"]["pid"]
    done = stack.cli("run", "t")
    assert done.returncode == 2
    assert "running" in done.stderr
    assert stack.ps()["llm"]["pid"] == pid
    stack.down()


@pytest.mark.parametrize(("llm", "other"), [(7, None), (None, 9)], ids=["a server", "a job"])
def test_run_when_what_it_needs_fails(make_stack: Make, llm: int | None, other: int | None) -> None:
    """The job is not started; not 0, and says why."""
    ends = {"llm": f"--exit {llm}" if llm else "", "other": f"--exit {other}" if other else ""}
    stack = make_stack(f"""
        servers: {{llm: {{command: "PRETEND {ends["llm"]}", restart: never}}}}
        jobs: {{train: {{command: PRETEND --mark marks --exit 0, depends_on: {{llm: ready, other: done}}}},
               other: {{command: PRETEND {ends["other"]}}}}}
    """)
    done = stack.cli("run", "train")
    assert done.returncode == 1
    assert f"exit {llm or other}" in done.stderr
    assert "`train`" in done.stderr
    assert not stack.marks()
    assert not stack.survivors()


def test_run_timeout(make_stack: Make) -> None:
    stack = make_stack("""
        servers: {llm: {command: "PRETEND --port ${self.port} --ready-after never", port: auto}}
        jobs: {train: {command: PRETEND --mark marks --exit 0, depends_on: [llm]}}
    """)
    assert stack.cli("run", "--timeout", "500ms", "train").returncode == 1
    assert not stack.marks()
    assert not stack.survivors()


# --- exit codes of up ------------------------------------------------------------------------------------


def test_up_of_jobs_alone_ends_when_they_are_done(make_stack: Make) -> None:
    stack = make_stack(
        "jobs: {a: {command: PRETEND --exit 0}, b: {command: PRETEND --exit 0, depends_on: [a]}}"
    )
    stack.cli("up", check=0)


def test_up_timeout(make_stack: Make) -> None:
    """--timeout: everything is stopped, exit 1, and what is missing is said."""
    stack = make_stack("""
        servers:
          good: {command: PRETEND}
          llm: {command: "PRETEND --port ${self.port} --ready-after never", port: auto, ready: /health}
    """)
    for command in (["up"], ["up", "-d"]):
        done = stack.cli(*command, "--timeout", "700ms", check=1)
        assert "`llm`" in done.stderr
        eventually(lambda: not stack.survivors(), "all is stopped")


@pytest.mark.parametrize("code", [0, 5])
def test_primary_job_ends_the_stack_with_its_code(make_stack: Make, code: int) -> None:
    stack = make_stack(f"""
        servers: {{llm: {{command: "PRETEND --ignore-term --fork setsid", stop_grace: 200ms}}}}
        jobs:
          main: {{command: "PRETEND --exit {code}", primary: true, depends_on: [llm]}}
          beside: {{command: PRETEND}}
    """)
    assert stack.cli("up").returncode == code
    assert not stack.survivors()


def test_retries(make_stack: Make) -> None:
    """`retries: 2`: three attempts in all, then failed; a success in between ends it."""
    stack = make_stack("""
        defaults: {backoff: {initial: 10ms}}
        jobs:
          hopeless: {command: PRETEND --mark marks --name hopeless --exit 4, retries: 2}
          third: {command: "sh -c 'echo x >> tries; test $$(wc -l < tries) -ge 3'", retries: 5}
    """)
    done = stack.cli("up", check=1)
    assert len(stack.marks_of("hopeless", "start")) == 3
    assert "exit 4" in done.stderr
    assert (stack.folder / "tries").read_text() == "x\n" * 3


def test_done_job_is_not_run_again_by_an_apply(make_stack: Make) -> None:
    """A second `up` leaves a job that is done alone, unless its definition changed or it is started by name."""
    text = "servers: {llm: {command: PRETEND}}\njobs: {prepare: {command: PRETEND --mark marks --name p --exit 0%s}}"
    stack = make_stack(text % "")
    stack.up()
    stack.cli("wait", check=0)
    stack.up()
    stack.cli("wait", check=0)
    assert len(stack.marks_of("p", "start")) == 1
    stack.cli("start", "prepare", check=0)
    stack.cli("wait", check=0)
    assert len(stack.marks_of("p", "start")) == 2
    stack.write(text % ", environment: {A: 1}")
    stack.up()
    stack.cli("wait", check=0)
    assert len(stack.marks_of("p", "start")) == 3
    stack.down()


# --- conditions ------------------------------------------------------------------------------------------


def test_depends_on_started(make_stack: Make) -> None:
    """`started`: the dependent does not wait for readiness; `ready` does."""
    stack = make_stack("""
        servers:
          llm: {command: "PRETEND --port ${self.port} --ready-after never", port: auto, ready: /health}
        jobs:
          early: {command: PRETEND --exit 0, depends_on: {llm: started}}
          late: {command: PRETEND --exit 0, depends_on: {llm: ready}}
    """)
    stack.start("up", "-d")
    stack.wait_state("early", "done")
    rows = stack.ps()
    assert rows["llm"]["state"] == "starting"
    assert rows["late"]["state"] == "idle"
    stack.down()


def test_depends_on_done(make_stack: Make) -> None:
    """A job must be done with code 0; a failed one holds its dependents back, and they say so."""
    stack = make_stack("""
        servers:
          after_good: {command: PRETEND --mark marks --name after_good, depends_on: [good]}
          after_bad: {command: PRETEND --mark marks --name after_bad, depends_on: {bad: done}}
        jobs:
          good: {command: PRETEND --mark marks --name good --exit 0}
          bad: {command: PRETEND --exit 1}
    """)
    stack.up(check=1)
    stack.wait_state("after_good", "ready")
    assert stack.first("good", "exit").at < stack.first("after_good", "start").at
    assert not stack.marks_of("after_bad", "start")
    assert "`bad` failed" in stack.ps()["after_bad"]["holds"][0]["text"]
    stack.down()


def test_restart_true_dependents(make_stack: Make) -> None:
    """`restart: true`: it is restarted when what it needs restarts; without, it keeps its pid."""
    stack = make_stack("""
        servers:
          llm: {command: PRETEND}
          bound: {command: PRETEND, depends_on: {llm: {condition: ready, restart: true}}}
          free: {command: PRETEND, depends_on: [llm]}
    """)
    stack.up()
    before = stack.ps()
    stack.cli("restart", "llm", check=0)
    stack.wait_for(
        lambda s: all(
            v.state == "ready" and (v.name == "free" or v.pid != before[v.name]["pid"]) for v in s.services
        )
    )
    assert stack.ps()["free"]["pid"] == before["free"]["pid"]
    assert not alive(before["bound"]["pid"])
    stack.down()


# --- where output goes -----------------------------------------------------------------------------------


def test_file_sink_with_rotation(make_stack: Make) -> None:
    """`rotate` and `keep`: files of that size at most, whole lines, as many as asked for, the newest lines kept."""
    stack = make_stack("""
        jobs:
          talk: {command: PRETEND --spam 1MB --exit 0, output: {file: logs/talk.log, rotate: 100KB, keep: 3}}
    """)
    stack.cli("up", check=0)
    files = sorted(path.name for path in (stack.folder / "logs").iterdir())
    assert files == ["talk.log", "talk.log.1", "talk.log.2", "talk.log.3"]
    newest_first = [(stack.folder / "logs" / name).read_bytes() for name in files]
    assert all(len(data) <= 100 * 1024 for data in newest_first)
    assert all(data.endswith(b"\n") for data in newest_first)
    together = b"".join(reversed(newest_first))
    assert together, "something is left"
    assert stack.cli("logs", "talk").stdout.encode().endswith(together), "the last lines, in order, none lost"


def test_file_sink_appends(make_stack: Make) -> None:
    """A file sink is appended to over restarts and runs, and shared by two services without mixing lines."""
    stack = make_stack("""
        jobs:
          a: {command: PRETEND --print from-a --exit 0, output: {file: both.log}}
          b: {command: PRETEND --print from-b --exit 0, output: {file: both.log}, depends_on: [a]}
    """)
    stack.cli("up", check=0)
    stack.cli("up", check=0)
    lines = (stack.folder / "both.log").read_text().split()
    assert sorted(lines) == ["from-a", "from-a", "from-b", "from-b"]


def test_jsonl_sink(make_stack: Make) -> None:
    stack = make_stack("""
        jobs: {talk: {command: "PRETEND --print 'a \\"quoted\\" line' --stderr oops --exit 0", output: {jsonl: out.jsonl}}}
    """)
    stack.cli("up", check=0)
    rows = [json.loads(line) for line in (stack.folder / "out.jsonl").read_text().splitlines()]
    assert [(row["service"], row["line"]) for row in rows] == [("talk", 'a "quoted" line'), ("talk", "oops")]
    assert all(row["time"].endswith("Z") for row in rows)


def test_null_and_console(make_stack: Make) -> None:
    """`null` alone: nothing is kept, nothing is shown. A file alone: not on the console, but in the log."""
    stack = make_stack("""
        jobs:
          silent: {command: PRETEND --print nobody-sees-this --exit 0, output: "null"}
          quiet: {command: PRETEND --print in-the-file --exit 0, output: {file: quiet.log}}
          loud: {command: PRETEND --print on-the-console --exit 0}
    """)
    done = stack.cli("up", check=0)
    assert "nobody-sees-this" not in done.stdout + done.stderr
    assert "in-the-file" not in done.stdout
    assert "on-the-console" in done.stdout
    assert (stack.folder / "quiet.log").read_text() == "in-the-file\n"
    assert stack.cli("logs", "quiet").stdout == "in-the-file\n"
    assert "nobody-sees-this" not in stack.cli("logs").stdout


def test_console_shows_every_line_once(make_stack: Make) -> None:
    """Two services print 20,000 lines each: every line is on the console once, in its service's order."""
    stack = make_stack("""
        jobs:
          a: {command: PRETEND --spam 2MB --exit 0}
          b: {command: PRETEND --spam 2MB --exit 0}
    """)
    done = stack.cli("up", check=0)
    for name in "ab":
        mine = [line for line in done.stdout.splitlines() if line.split(maxsplit=1)[0].strip("|") == name]
        numbers = [tuple(line.split()[-3:-1]) if line.endswith(".") else () for line in mine]
        assert len(mine) == 20_000
        assert numbers == sorted(numbers)


def test_signal_and_grace(make_stack: Make) -> None:
    """`stop_signal` is what it gets; a server that takes its time within `stop_grace` is not killed."""
    stack = make_stack("""
        servers:
          llm: {command: PRETEND --mark marks --name llm --term-after 500ms, stop_signal: SIGINT, stop_grace: 30s}
    """)
    stack.up()
    stack.down()
    assert [mark.event for mark in stack.marks()] == ["start", "ready", "SIGINT", "exit"]


def test_venv_and_working_dir(make_stack: Make) -> None:
    """`venv`: its bin first on PATH, VIRTUAL_ENV set; `working_dir` relative to the file."""
    stack = make_stack("""
        jobs: {show: {command: "tool", venv: env, working_dir: inside}}
    """)
    (stack.folder / "inside").mkdir()
    binaries = stack.folder / "env" / "bin"
    binaries.mkdir(parents=True)
    (stack.folder / "env" / "pyvenv.cfg").touch()
    (binaries / "python").symlink_to("/usr/bin/env")
    (binaries / "tool").write_text('#!/bin/sh\necho "$VIRTUAL_ENV"; pwd\n')
    (binaries / "tool").chmod(0o755)
    done = stack.cli("up")
    assert done.returncode == 0, done.stderr
    assert stack.cli("logs", "show").stdout.split() == [
        str(stack.folder / "env"),
        str(stack.folder / "inside"),
    ]


def test_shell_and_no_shell(make_stack: Make) -> None:
    """A string is split as a shell would, and run without one; `shell: true` runs it through the shell."""
    stack = make_stack("""
        jobs:
          plain: {command: "echo 'two words' * | $$HOME"}
          shell: {command: "echo one | tr o 0", shell: true}
    """)
    stack.cli("up", check=0)
    assert stack.cli("logs", "plain").stdout == "two words * | $HOME\n"
    assert stack.cli("logs", "shell").stdout == "0ne\n"


def test_when_supervisor_dies_stop(make_stack: Make) -> None:
    """`when_supervisor_dies: stop`: after SIGKILL of the supervisor nothing of the stack lives."""
    stack = make_stack("""
        when_supervisor_dies: stop
        servers:
          llm: {command: "PRETEND --fork setsid --ignore-term --port ${self.port}", port: auto, ready: /health, stop_grace: 200ms}
    """)
    up = stack.start("up")
    llm = stack.wait_up()["llm"]
    assert llm.url
    assert get(llm.url).status_code == 200
    up.kill()
    up.wait()
    eventually(lambda: not stack.survivors(), "the keeper ends it")


@pytest.mark.parametrize("to", ["stop", "keep"])
def test_when_supervisor_dies_is_what_the_file_says_by_then(make_stack: Make, to: str) -> None:
    """A save changes it for the stack that runs, and says so."""
    text = 'when_supervisor_dies: {}\nservers: {{llm: {{command: "PRETEND --fork setsid"}}}}\n'
    stack = make_stack(text.format("keep" if to == "stop" else "stop"))
    up = stack.start("up")
    pid = stack.wait_up()["llm"].pid
    stack.write(text.format(to))
    line = f"when_supervisor_dies: {'keep → stop' if to == 'stop' else 'stop → keep'}"
    stack.wait_for(lambda s: any(line in notice.lines for notice in s.notices))
    up.kill()
    up.wait()
    if to == "stop":
        eventually(lambda: not stack.survivors(), "the keeper ends it")
    stack.up()
    assert (stack.ps()["llm"]["pid"] == pid) == (to == "keep")
    assert stack.ps()["llm"]["taken_over"] == (to == "keep")
    stack.down()


def test_run_leaves_nothing_when_it_is_killed(make_stack: Make) -> None:
    """Under `run` it is always `stop`: after SIGKILL of launchpad nothing lives."""
    stack = make_stack("""
        servers: {llm: {command: PRETEND --fork setsid}}
        jobs: {train: {command: "PRETEND --mark marks --name train", depends_on: [llm]}}
    """)
    run = stack.start("run", "train")
    eventually(lambda: stack.marks_of("train", "ready"), "the job runs")
    run.kill()
    run.wait()
    eventually(lambda: not stack.survivors(), "the keeper ends it")
