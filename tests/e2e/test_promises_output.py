"""P1: a child is never blocked by its output: not by the console, not by a sink, not by the supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, eventually, fire, get, rss_bytes

MORE_THAN_A_PIPE = 256 * 1024
ROUNDS = 20


def talk(stack: Stack, url: str, name: str = "llm") -> None:
    """The server prints far more than any pipe holds, answers after each piece, and all of it is on disk."""
    log = stack.log(name)
    before = log.stat().st_size
    for _ in range(ROUNDS):
        assert get(f"{url}/spam?bytes={MORE_THAN_A_PIPE}").status_code == 200
    assert log.stat().st_size - before >= ROUNDS * MORE_THAN_A_PIPE


def supervisor_of(stack: Stack) -> int:
    return stack.client.status().pid


def url_of(stack: Stack, name: str = "llm") -> str:
    return stack.cli("url", name, check=0).stdout.strip()


SERVER = """
    servers:
      llm: {command: "PRETEND --port ${self.port} --mark marks --name llm", port: auto, ready: /health}
"""


def test_p1_stalled_console_and_a_child_that_prints_by_itself(make_stack: Make) -> None:
    """P1: 30 MB on stdout and stderr before it is ready, and nobody reads launchpad's output."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --spam 30MB --stderr warning --port ${self.port}
            port: auto
            ready: /health
    """)
    up = stack.start("up", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    llm = stack.wait_up()["llm"]
    assert llm.url
    talk(stack, llm.url)
    assert up.poll() is None
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 130, "a console that nobody reads does not hold up the end either"
    assert not stack.survivors()


@pytest.mark.parametrize("reader", ["nobody opens it", "opened and never read"])
def test_p1_sink_that_nobody_reads(make_stack: Make, reader: str) -> None:
    """P1: a `file` sink on a FIFO: the child goes on, the log has everything, the other sink too, `down` ends."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --port ${self.port}
            port: auto
            ready: /health
            output: [console, {file: stuck}, {file: good.txt}]
    """)
    pipe = stack.pipe("stuck")
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK) if "read" in reader else None
    try:
        stack.up()
        talk(stack, url_of(stack))
        copied = stack.folder / "good.txt"
        eventually(
            lambda: copied.exists() and copied.stat().st_size >= ROUNDS * MORE_THAN_A_PIPE,
            "the sink beside it has it all",
        )
        stack.down()
    finally:
        if descriptor is not None:
            os.close(descriptor)


def test_p1_sink_goes_on_when_its_reader_comes_back(make_stack: Make) -> None:
    """P1: what was printed while the sink was stuck is not lost to it."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --port ${self.port} --print first
            port: auto
            ready: /health
            output: {file: stuck}
    """)
    pipe = stack.pipe("stuck")
    stack.up()
    get(f"{url_of(stack)}/print?text=second")
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        read: list[bytes] = []

        def both() -> bool:
            read.append(reader.read() or b"")
            return b"first" in b"".join(read) and b"second" in b"".join(read)

        eventually(both, "the reader sees what was printed before it came")
    stack.down()


def test_p1_supervisor_stopped(make_stack: Make) -> None:
    """P1: the supervisor gets SIGSTOP; the child goes on writing and answering."""
    stack = make_stack(SERVER)
    stack.up()
    url, supervisor = url_of(stack), supervisor_of(stack)
    os.kill(supervisor, signal.SIGSTOP)
    try:
        eventually(lambda: state_of(supervisor) == "T", "the supervisor is stopped")
        talk(stack, url)
        assert state_of(supervisor) == "T", "it was stopped all the while"
    finally:
        os.kill(supervisor, signal.SIGCONT)
    stack.down()


def test_p1_supervisor_killed(make_stack: Make) -> None:
    """P1: the supervisor gets SIGKILL; the child goes on writing and answering, with the same pid."""
    stack = make_stack(SERVER)
    stack.up()
    url, supervisor = url_of(stack), supervisor_of(stack)
    pid = get(url).json()["pid"]
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: state_of(supervisor) in "XZ", "the supervisor is gone")
    talk(stack, url)
    assert get(url).json()["pid"] == pid
    assert not stack.marks_of("llm", "exit")
    stack.down()


def test_p1_foreground_launchpad_killed(make_stack: Make) -> None:
    """P1: `up` in the foreground is killed, its terminal pipe closes; the child goes on."""
    stack = make_stack(SERVER)
    up = stack.start("up", stdout=subprocess.PIPE)
    llm = stack.wait_up()["llm"]
    assert llm.url
    up.kill()
    up.wait()
    assert up.stdout
    up.stdout.close()
    talk(stack, llm.url)
    assert len(stack.marks_of("llm", "start")) == 1
    stack.down()


def test_p1_nothing_of_the_childs_output_is_a_pipe(make_stack: Make) -> None:
    """P1: there is no reader that could die: stdout and stderr of the child are its log."""
    stack = make_stack(SERVER)
    stack.up()
    pid = stack.ps()["llm"]["pid"]
    log = os.path.realpath(stack.log("llm"))
    assert [os.path.realpath(f"/proc/{pid}/fd/{number}") for number in (1, 2)] == [log, log]
    stack.down()


@pytest.mark.heavy
def test_p1_unread_console_costs_no_memory(make_stack: Make) -> None:
    """P1, honcho (measured: 298 MB for 80 MB unread): a child prints 200 MB that nobody reads."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --ready-when go --spam 200MB --port ${self.port}
            port: auto
            ready: /health
    """)
    stack.pipe("go")
    up = stack.start("up", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    stack.wait_state("llm", "starting")
    before = rss_bytes(up.pid)
    fire(stack.folder / "go")  # it opens the pipe only after the 200 MB are written
    assert stack.wait_up()["llm"].state == "ready"
    grown = peak_bytes(up.pid) - before
    print(f"launchpad's memory grew by {grown / 1e6:.1f} MB while 200 MB were printed")
    assert grown < 40e6
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 130


def peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
