"""`launchpad.Stack`: a stack that lives as long as a block of a Python program."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import launchpad
from launchpad import StackError
from tests.e2e.harness import Stack, alive, eventually, free_ports, get

Make = Callable[..., Stack]

SERVER = """
    servers:
      llm:
        command: PRETEND --print hello
        port: {port}
        ports: {{metrics: {metrics}}}
        ready: /health
    jobs:
      index: {{command: PRETEND --print indexed --exit 0, depends_on: [llm]}}
"""
BROKEN = """
    servers:
      good: {command: PRETEND, ready: {log: serving}, environment: {PORT: ""}}
      bad: {command: echo out-of-luck; exit 3, shell: true, port: auto, restart: never}
    jobs:
      train: {command: PRETEND --exit 0, depends_on: [bad]}
"""


@pytest.fixture
def make(make_stack: Make, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A stack in a folder, whose processes are told from others also when this very process starts them."""

    def one(text: str) -> Stack:
        made = make_stack(text)
        monkeypatch.setenv("LP_TEST_MARK", made.mark)
        return made

    return one


def server(make: Make) -> tuple[Stack, int]:
    port = free_ports(2)
    return make(SERVER.format(port=port, metrics=port + 1)), port


def test_lives_as_long_as_its_block(make: Make) -> None:
    made, port = server(make)
    handlers = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGTERM)
    }
    threads = threading.enumerate()
    with launchpad.Stack(made.file) as stack:
        assert stack.url("llm") == f"http://127.0.0.1:{port}"
        assert (stack.port("llm"), stack.port("llm", "metrics")) == (port, port + 1)
        assert stack.host("llm") == "127.0.0.1"
        assert get(stack.url("llm") + "/health").status_code == 200
        assert not stack.borrowed
        stack.wait("index")
        assert "hello\n" in stack.logs("llm")
        assert stack.logs("index", lines=1) == "indexed\n"
        before = stack.service("llm").pid
        stack.restart("llm")
        assert stack.service("llm").pid != before
        assert stack.status().phase == "up"
    assert not made.survivors()
    assert handlers == {number: signal.getsignal(number) for number in handlers}
    assert not [one for one in threading.enumerate() if one not in threads]
    with pytest.raises(StackError, match="is not running"):
        stack.url("llm")


def test_what_cannot_be_answered_is_told_by_name(make: Make) -> None:
    made, _ = server(make)
    with launchpad.Stack(made.file, names=["llm"], timeout=60) as stack:
        with pytest.raises(StackError, match="no server or job `lm`; it has `llm`, `index`"):
            stack.url("lm")
        with pytest.raises(StackError, match="no port `grpc`; it has `main`, `metrics`"):
            stack.port("llm", "grpc")
        with pytest.raises(StackError, match="`index` has no address"):
            stack.url("index")
        with pytest.raises(StackError, match="E205"):
            stack.restart("lm")
        with pytest.raises(StackError, match="it is stopped"):
            stack.wait("index")


def test_copies_are_asked_one_by_one_and_restarted_together(make: Make) -> None:
    made = make("servers: {llm: {command: 'PRETEND --port ${self.port}', port: auto, replicas: 2}}\n")
    with launchpad.Stack(made.file) as stack:
        urls = [stack.url(name) for name in ("llm-0", "llm-1")]
        assert stack.urls("llm") == urls
        assert stack.urls("llm-1") == urls[1:]
        assert len(set(urls)) == 2
        with pytest.raises(
            StackError, match="`llm` has copies, each with a name of its own: `llm-0`, `llm-1`"
        ):
            stack.url("llm")
        before = [stack.service(name).pid for name in ("llm-0", "llm-1")]
        stack.restart("llm")
        assert not set(before) & {stack.service(name).pid for name in ("llm-0", "llm-1")}


def test_a_start_that_fails_is_told_as_up_tells_it(make: Make) -> None:
    made = make(BROKEN)
    with pytest.raises(StackError) as failed, launchpad.Stack(made.file):
        raise AssertionError("the block is not entered")
    text = str(failed.value)
    assert text.startswith("error[E501]: `bad` crashed\n")
    assert "stack.yaml:4:3" in text
    assert "|   out-of-luck" in text
    assert "not started: `train`" in text
    assert failed.value.exit_code == 1
    assert f"{type(failed.value).__module__}.StackError" == "launchpad.StackError"
    assert not made.survivors()


def test_a_file_that_is_wrong_starts_nothing(make: Make) -> None:
    made = make("servers: {a: {comand: x}}")
    with pytest.raises(StackError, match="E106") as failed, launchpad.Stack(made.file):
        pass
    assert failed.value.exit_code == 2


def test_a_start_that_takes_too_long_leaves_nothing(make: Make) -> None:
    made = make("servers: {slow: {command: PRETEND --ready-after never, port: auto, ready: /health}}")
    with pytest.raises(StackError, match="E404"), launchpad.Stack(made.file, timeout="1s"):
        pass
    assert not made.survivors()


def test_an_exception_in_the_block_stops_the_stack(make: Make) -> None:
    made, _ = server(make)
    with pytest.raises(ZeroDivisionError), launchpad.Stack(made.file):
        raise ZeroDivisionError
    assert not made.survivors()


def test_a_job_that_fails_is_told_with_its_last_lines(make: Make) -> None:
    made = make("""
        servers: {s: {command: PRETEND, port: auto}}
        jobs: {train: {command: PRETEND --print diverged --exit 4 --exit-when go}}
    """)
    made.pipe("go")
    with launchpad.Stack(made.file) as stack:
        waiting = threading.Thread(target=lambda: os.close(os.open(made.folder / "go", os.O_WRONLY)))
        waiting.start()
        with pytest.raises(StackError, match=r"(?s)`train` is not done.*exit 4.*diverged"):
            stack.wait("train")
        waiting.join()
    assert not made.survivors()


def test_variables_and_profiles_are_those_of_the_command_line(make: Make) -> None:
    made = make("""
        vars: {word: one}
        jobs:
          a: {command: "PRETEND --print ${vars.word}-${EXTRA} --exit 0"}
          b: {command: PRETEND --exit 0, profiles: [more]}
        servers: {s: {command: PRETEND, port: auto}}
    """)
    (made.folder / "more.env").write_text("EXTRA=two\n")
    how = {"set_vars": {"word": 7}, "env_files": [made.folder / "more.env"], "profiles": ["more"]}
    with launchpad.Stack(made.file, **how) as stack:
        stack.wait("a")
        stack.wait("b")
        assert stack.logs("a") == "7-two\n"
    with launchpad.Stack(made.file, set_vars={"word": 8}, env_files=[made.folder / "more.env"]) as stack:
        stack.wait("a")
        assert stack.logs("a") == "8-two\n", "what an earlier run printed is not told again"


def test_a_stack_that_ran_before_is_only_borrowed(make: Make) -> None:
    made, _ = server(make)
    made.up()
    before = made.ps()["llm"]["pid"]
    with launchpad.Stack(made.file) as stack:
        assert stack.borrowed
        assert stack.service("llm").pid == before
        with launchpad.Stack(made.file) as inner:
            assert inner.borrowed
    assert made.ps()["llm"]["pid"] == before
    made.down()


def test_the_inner_one_of_two_blocks_borrows(make: Make) -> None:
    made, _ = server(make)
    with launchpad.Stack(made.file) as outer:
        with launchpad.Stack(made.file) as inner:
            assert inner.borrowed
        assert outer.status().phase == "up"
    assert not made.survivors()


def test_async(make: Make) -> None:
    made, port = server(make)
    turns = 0

    async def main() -> None:
        async def spin() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        spinning = asyncio.create_task(spin())
        async with launchpad.Stack(made.file) as stack:
            entered = turns
            assert stack.url("llm") == f"http://127.0.0.1:{port}"
            await stack.wait("index")
            await stack.restart("llm")
            assert (await asyncio.to_thread(get, stack.url("llm") + "/health")).status_code == 200
            assert entered > 3, "the loop went on while the stack was started"
            with pytest.raises(StackError, match="E205"):
                await stack.restart("nobody")
        spinning.cancel()

    asyncio.run(main())
    assert not made.survivors()


def test_an_async_start_that_is_cancelled_leaves_nothing(make: Make) -> None:
    made = make(
        "servers: {slow: {command: PRETEND --mark marks --name slow --ready-after never, port: auto}}"
    )

    async def main() -> None:
        async def enter() -> None:
            async with launchpad.Stack(made.file):
                raise AssertionError("it is never up")

        entering = asyncio.create_task(enter())
        await asyncio.to_thread(eventually, lambda: made.marks_of("slow", "start"), "the server runs")
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering

    asyncio.run(main())
    assert not made.survivors()


PROGRAM = """
import os, sys, time
from launchpad import Stack
if os.environ.get("FORK") and os.fork() == 0:  # a child that lives on has all that was open
    time.sleep(300)
with Stack("stack.yaml") as stack:
    if os.environ.get("FORK") and os.fork() == 0:
        time.sleep(300)
    print(stack.service("llm").pid, flush=True)
    sys.stdin.read()
"""


def begin(made: Stack, **environ: str) -> tuple[subprocess.Popen[str], int]:
    """A program that has entered its block; and the server's pid."""
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=made.folder,
        env={**made.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(made.folder / "err0.txt").open("w"),
        text=True,
    )
    made.started.append(program)
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line, (made.folder / "err0.txt").read_text()
    return program, int(line)


@pytest.mark.parametrize("children", ["", "yes"])
def test_a_program_that_is_killed_leaves_nothing(make: Make, children: str) -> None:
    made, _ = server(make)
    program, pid = begin(made, FORK=children)
    program.kill()
    program.wait()
    eventually(lambda: not alive(pid), "the server has ended")
    eventually(
        lambda: all("import os, sys, time" in command for command in made.survivors().values()),
        "launchpad has left",
    )
    assert "and the stack ends with it" in made.cli("events", check=0).stdout


def test_a_program_that_is_interrupted_leaves_nothing(make: Make) -> None:
    made, _ = server(make)
    program, _ = begin(made)
    program.send_signal(signal.SIGINT)
    program.wait(60)
    assert "KeyboardInterrupt" in (made.folder / "err0.txt").read_text()
    assert not made.survivors()


def test_a_supervisor_that_is_killed_takes_the_stack_of_a_program_with_it(make: Make) -> None:
    made, _ = server(make)
    program, pid = begin(made)
    os.kill(made.client.status().pid, signal.SIGKILL)
    eventually(lambda: not alive(pid), "the server has ended")
    program.communicate("")
    assert program.returncode == 0
    eventually(lambda: not made.survivors(), "nothing is left")


def test_until_exit(make: Make) -> None:
    """The option by itself, for scripts."""
    made, _ = server(make)
    script = subprocess.Popen(["sleep", "300"])
    made.up(f"--until-exit={script.pid}")
    assert made.client.status().ends_with == script.pid
    again = made.cli("up", "-d", f"--until-exit={os.getpid()}", check=0)
    assert "does not end with process" in again.stderr
    assert made.client.status().ends_with == script.pid
    script.kill()
    script.wait()
    eventually(lambda: not made.survivors(), "nothing is left")
    gone = made.cli("up", "-d", f"--until-exit={script.pid}", check=2)
    assert "E670" in gone.stderr
    assert not made.survivors()


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import launchpad; print(set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'launchpad'}"
    assert Path(launchpad.__file__ or "").with_name("py.typed").exists()
    with pytest.raises(AttributeError):
        launchpad.nothing  # noqa: B018


def test_a_start_that_is_interrupted_leaves_nothing(make: Make) -> None:
    made = make("servers: {llm: {command: PRETEND --mark marks --name llm --ready-after never, port: auto}}")
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=made.folder,
        env=made.environ,
        stdin=subprocess.DEVNULL,
        stderr=(made.folder / "err0.txt").open("w"),
        text=True,
    )
    made.started.append(program)
    eventually(lambda: made.marks_of("llm", "start"), "the server runs")
    program.send_signal(signal.SIGINT)
    program.wait(60)
    assert "KeyboardInterrupt" in (made.folder / "err0.txt").read_text()
    assert made.marks_of("llm", "SIGTERM")
    assert not made.survivors()
