"""P3: a port is given to one service only; a stack gets all its ports or none."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import alive, environ_of, eventually, fire, free_ports, get, listening

TOGETHER = 12


def servers(count: int, ports: str, more: str = "") -> str:
    lines = "".join(
        f"""
          s{n}: {{command: "PRETEND --port ${{self.port}} --name s{n} {more}", port: {ports}, ready: /}}"""
        for n in range(count)
    )
    return f"\n        servers:{lines}\n"


@pytest.mark.heavy
@pytest.mark.parametrize("round_number", range(2))
def test_p3_twelve_launchpads_at_once(make_stack: Make, round_number: int) -> None:
    """P3: 12 launchpads start together on one range with room for exactly all: all up, no port twice."""
    first = free_ports(TOGETHER)
    stacks = [make_stack(servers(1, f"{first}-{first + TOGETHER - 1}")) for _ in range(TOGETHER)]
    starting = [stack.start("up", "-d") for stack in stacks]
    codes = [process.wait(90) for process in starting]
    assert codes == [0] * TOGETHER, "\n".join(stack.output() for stack in stacks)
    ports = [stack.client.status().services[0].ports["main"] for stack in stacks]
    assert sorted(ports) == list(range(first, first + TOGETHER))
    for stack, port in zip(stacks, ports, strict=True):
        pid = stack.client.status().services[0].pid
        assert get(f"http://127.0.0.1:{port}/").json()["pid"] == pid, "each answers on its own port"
    for stack in stacks:
        stack.client.down()
    for stack in stacks:
        eventually(lambda one=stack: not one.survivors(), "it is down")


WORKER = """
import asyncio, sys
from pathlib import Path

from launchpad.core.facts import PortsLeased
from launchpad.core.model import PortRequest
from launchpad.core.wishes import LeasePorts
from launchpad.hosts.local.ports import Ports
from launchpad.paths import StackPaths


async def main(folder, low, high):
    ports = Ports(StackPaths(Path(folder) / "stack.yaml"), folder, folder, lambda service: None)
    batch = 0
    while sys.stdin.readline():
        batch += 1
        requests = tuple(PortRequest("s", name, low, high) for name in ("main", "second"))
        answer = await ports.lease(LeasePorts(batch, requests, ()))
        leases = answer.leases if isinstance(answer, PortsLeased) else ()
        print(*(lease.number for lease in leases), flush=True)
        sys.stdin.readline()
        ports.release(leases)
        print("released", flush=True)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""
ROUNDS = 50


@pytest.mark.heavy
def test_p3_twelve_at_once_fifty_times(make_stack: Make, tmp_path: Path) -> None:
    """P3: 12 processes take two ports each of a range of 24, at once, 50 times: always all of them, none twice."""
    make_stack("servers: {}")  # for the runtime folder
    first = free_ports(2 * TOGETHER)
    arguments = [str(first), str(first + 2 * TOGETHER - 1)]
    workers = []
    for number in range(TOGETHER):
        (home := tmp_path / f"w{number}").mkdir()
        command = [sys.executable, "-c", WORKER, str(home), *arguments]
        workers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    try:
        for number in range(ROUNDS):
            taken = [int(port) for line in ask_all(workers) for port in line.split()]
            assert sorted(taken) == list(range(first, first + 2 * TOGETHER)), f"round {number}"
            assert ask_all(workers) == ["released\n"] * TOGETHER
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def ask_all(workers: list[subprocess.Popen[str]]) -> list[str]:
    """Tell all of them to go on, then take a line of each."""
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("\n")
        worker.stdin.flush()
    return [worker.stdout.readline() for worker in workers if worker.stdout]


@pytest.mark.heavy
def test_p3_two_stacks_of_two_on_a_range_of_three(make_stack: Make) -> None:
    """P3: both start at once and only one fits: that one is whole, the other gets nothing and starts nothing."""
    first = free_ports(3)
    stacks = [make_stack(servers(2, f"{first}-{first + 2}", "--mark marks")) for _ in range(2)]
    starting = [stack.start("up", "-d") for stack in stacks]
    codes = [process.wait(60) for process in starting]
    assert sorted(codes) == [0, 2], "\n".join(stack.output() for stack in stacks)
    refused, whole = (stacks[codes.index(code)] for code in (2, 0))
    assert len({port for row in whole.ps().values() for port in row["ports"].values()}) == 2
    assert not refused.marks()
    assert not refused.survivors()


def test_p3_refused_whole_and_everyone_named(make_stack: Make) -> None:
    """P3: a range too small: exit 2, nothing started, no port kept; holders named: stack and service, pid and command."""
    first = free_ports(4)
    one = make_stack(f"name: rag\nservers: {{embedder: {{command: PRETEND, port: {first}}}}}")
    one.up()
    stranger = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(first + 1)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: connects(first + 1), "the stranger listens")
        two = make_stack(servers(3, f"{first}-{first + 3}", "--mark marks"))
        done = two.up(check=2)
    finally:
        stranger.kill()
        stranger.wait()
    said = done.stdout + done.stderr
    assert "E301" in said
    assert re.search(r"stack\.yaml:\d+:\d+", said), "the place of the range"
    assert re.search(rf"{first} .*`embedder`.*`rag`", said), said
    assert re.search(rf"{first + 1} .*http\.server.*pid {stranger.pid}\b", said), said
    assert "nothing was started" in said
    assert not two.marks()
    assert not two.survivors()
    for number in (first + 2, first + 3):
        with socket.socket() as again:
            again.bind(("127.0.0.1", number))


def test_p3_foreground_up_is_refused_as_well(make_stack: Make) -> None:
    """P3: the same in the foreground: exit 2, quickly, and the job that needs nothing is not started either."""
    first = free_ports(1)
    taken = listening(first)
    stack = make_stack(f"""
        servers: {{llm: {{command: PRETEND --mark marks, port: {first}}}}}
        jobs: {{prepare: {{command: PRETEND --mark marks --exit 0}}}}
    """)
    done = stack.cli("up", check=2)
    taken[0].close()
    assert f"pid {os.getpid()}" in done.stderr
    assert "nothing was started" in done.stderr
    assert not stack.marks()


def test_p3_a_port_held_by_a_stack_cannot_be_taken(make_stack: Make) -> None:
    """P3: while a service does not listen (loading, restarting), nobody else gets its port by any ordinary bind."""
    first = free_ports(1)
    stack = make_stack(f"""
        servers:
          llm: {{command: "PRETEND --port ${{self.port}} --ready-when go", port: {first}, ready: /health}}
    """)
    stack.pipe("go")
    stack.start("up", "-d")
    stack.wait_state("llm", "starting")
    with socket.socket() as other, pytest.raises(OSError):
        other.bind(("127.0.0.1", first))
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", first)) != 0, "a held port refuses connections"


def test_p3_port_is_kept_over_restarts(make_stack: Make) -> None:
    """P3: `restart`, a crash, and `stop` + `start`: another pid, the same port."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --port ${self.port}
            port: auto
            ready: /health
            restart: {policy: on-failure, backoff: {initial: 10ms}}
    """)
    stack.up()
    before = stack.ps()["llm"]
    seen = {before["pid"]}

    def same_port_other_pid() -> None:
        row = stack.ps()["llm"]
        assert row["ports"] == before["ports"]
        assert row["url"] == before["url"]
        assert row["state"] == "ready"
        assert row["pid"] not in seen
        assert get(f"{row['url']}/").json()["pid"] == row["pid"]
        seen.add(row["pid"])

    stack.cli("restart", "llm", check=0)
    same_port_other_pid()
    os.kill(stack.ps()["llm"]["pid"], signal.SIGKILL)
    stack.wait_for(lambda s: s.services[0].state == "ready" and s.services[0].pid not in seen)
    same_port_other_pid()
    stack.cli("stop", "llm", check=0)
    stack.cli("start", "llm", check=0)
    stack.wait_state("llm", "ready")
    same_port_other_pid()
    stack.down()


def test_p3_the_next_up_gets_the_same_port(make_stack: Make) -> None:
    """P3: a stack that was ended and started again has its old ports, where they are free; else others."""
    first = free_ports(6)
    stack = make_stack(servers(2, f"{first}-{first + 5}"))
    other = make_stack(servers(1, f"{first}-{first + 5}"))
    other.up()  # it has the first number, so that the two are not at the beginning of the range
    stack.up()
    before = {name: row["ports"]["main"] for name, row in stack.ps().items()}
    other.down()
    stack.down()
    stack.up()
    assert {name: row["ports"]["main"] for name, row in stack.ps().items()} == before
    stack.down()
    taken = listening(before["s0"])
    stack.up()
    now = {name: row["ports"]["main"] for name, row in stack.ps().items()}
    taken[0].close()
    assert now["s1"] == before["s1"]
    assert now["s0"] != before["s0"]
    stack.down()


def test_p3_nothing_to_clean_after_a_crash(make_stack: Make) -> None:
    """P3: supervisor and service are killed; the fixed port can be had at once, by the same stack and by another."""
    first = free_ports(1)
    text = f'servers: {{llm: {{command: "PRETEND --port ${{self.port}}", port: {first}, ready: /health}}}}'
    for _ in range(2):
        stack = make_stack(text)
        stack.up()
        get(f"http://127.0.0.1:{first}/health")
        pids = [stack.client.status().pid, stack.ps()["llm"]["pid"]]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda dead=pids: not any(alive(pid) for pid in dead), "both are dead")
    stack.up()
    stack.down()


def test_p3_fixed_port_is_free_again_after_down(make_stack: Make) -> None:
    """P3, Aspire #7095: TIME_WAIT of the last run is not taken for a stranger."""
    first = free_ports(1)
    stack = make_stack(
        f'servers: {{llm: {{command: "PRETEND --port ${{self.port}}", port: {first}, ready: /health}}}}'
    )
    for _ in range(3):
        stack.up()
        with socket.create_connection(("127.0.0.1", first)) as client:  # the server closes first
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while client.recv(4096):
                pass
        stack.down()


def test_p3_named_ports_and_the_childs_environment(make_stack: Make) -> None:
    """P3: `ports` beside `port`; the child gets PORT and PORT_<NAME>, its dependents NAME_PORT."""
    stack = make_stack("""
        servers:
          llm: {command: "PRETEND --port ${self.port}", port: auto, ports: {metrics: auto}, ready: /health}
        jobs:
          show:
            command: "sh -c 'env > job.env'"
            ports: {master: auto}
            depends_on: [llm]
    """)
    stack.up()
    rows = stack.ps()
    stack.cli("wait", "show", check=0)
    environ = dict(
        line.split("=", 1) for line in (stack.folder / "job.env").read_text().splitlines() if "=" in line
    )
    assert environ["PORT_MASTER"] == str(rows["show"]["ports"]["master"])
    assert environ["LLM_PORT"] == str(rows["llm"]["ports"]["main"])
    assert environ["LLM_HOST"] == "127.0.0.1"
    assert environ["LLM_URL"] == f"http://127.0.0.1:{rows['llm']['ports']['main']}" == rows["llm"]["url"]
    assert len({*rows["llm"]["ports"].values(), *rows["show"]["ports"].values()}) == 3
    child = environ_of(rows["llm"]["pid"])
    assert child["PORT"] == str(rows["llm"]["ports"]["main"])
    assert child["PORT_METRICS"] == str(rows["llm"]["ports"]["metrics"])
    stack.down()


@pytest.mark.parametrize("handover", ["release", "inherit"])
def test_handover(make_stack: Make, handover: str) -> None:
    """`handover: release` for a server that binds without SO_REUSEADDR; `inherit` hands over the listening socket."""
    how = "--no-reuse --port ${self.port}" if handover == "release" else "--fd ${self.fd}"
    stack = make_stack(f"""
        servers:
          llm: {{command: "PRETEND {how}", port: auto, handover: {handover}, ready: /health}}
    """)
    stack.up()
    row = stack.ps()["llm"]
    assert get(f"{row['url']}/").json()["pid"] == row["pid"]
    if handover == "inherit":
        fields = environ_of(row["pid"])
        assert (fields["LISTEN_FDS"], fields["LISTEN_PID"]) == ("1", str(row["pid"]))
    stack.cli("restart", "llm", check=0)
    again = stack.ps()["llm"]
    assert again["ports"] == row["ports"]
    assert get(f"{again['url']}/").json()["pid"] == again["pid"] != row["pid"]
    stack.down()


@pytest.mark.parametrize("restart", ["never", "on-failure"])
def test_a_server_that_does_not_share_gets_its_port_all_the_same(make_stack: Make, restart: str) -> None:
    """Without SO_REUSEADDR it is shut out by our own hold: it starts again at once without one, and no restart is counted."""
    stack = make_stack(f"""
        servers:
          llm: {{command: "PRETEND --no-reuse --port ${{self.port}}", port: auto, ready: /health, restart: {restart}}}
    """)
    started = stack.up()
    row = stack.ps()["llm"]
    assert get(f"{row['url']}/").json()["pid"] == row["pid"]
    assert row["restarts"] == 0
    assert "warning[E303]" in started.stderr
    assert "hint: say so in the stack file: `handover: release`" in started.stderr
    stack.cli("restart", "llm", check=0)
    ends = [event["text"] for event in stack.events() if event["text"].startswith("exit 1")]
    assert len(ends) == 1, "known from then on"
    stack.down()


def test_p3_a_port_that_was_stolen_through_the_open_door_is_exchanged(make_stack: Make) -> None:
    """A stranger that sets SO_REUSEADDR and names this very number, before the child binds: another number of the range."""
    first = free_ports(2)
    stack = make_stack(f"""
        servers:
          llm:
            command: PRETEND --port ${{self.port}} --ready-when go
            port: {first}-{first + 1}
            ready: /health
            restart: {{policy: on-failure, backoff: {{initial: 10ms}}}}
    """)
    go = stack.pipe("go")
    stack.start("up", "-d")
    stack.wait_state("llm", "starting")
    with socket.create_server(("127.0.0.1", first)):
        fire(go)
        stack.wait_for(lambda s: s.services[0].restarts == 1 and s.services[0].state == "starting")
        fire(go)
        stack.wait_state("llm", "ready")
        row = stack.ps()["llm"]
        assert row["ports"] == {"main": first + 1}
        assert get(f"{row['url']}/").json()["pid"] == row["pid"]
    stack.down()


def test_handover_inherit_holds_connections_over_a_start(make_stack: Make) -> None:
    """`handover: inherit`: whoever connects while it loads is answered once it accepts; nobody is refused."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --fd ${self.fd} --ready-when go
            port: auto
            handover: inherit
            ready: /health
    """)
    stack.pipe("go")
    stack.start("up", "-d")
    port = stack.wait_state("llm", "starting").ports["main"]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with open(stack.folder / "go", "wb"):
            pass
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    stack.wait_up()
    stack.down()


def test_p3_ephemeral_connections_never_get_a_held_port(make_stack: Make) -> None:
    """P3: other programs on the machine ask the kernel for any port, thousands of times: never one of ours."""
    first = free_ports(1)
    ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    inside = int(ephemeral[0]) + 1000
    stack = make_stack(
        f"servers: {{a: {{command: PRETEND, port: {first}}}, b: {{command: PRETEND, port: {inside}-{inside + 99}}}}}"
    )
    stack.up()
    held = {
        number for row in json.loads(stack.cli("ps", "--json").stdout) for number in row["ports"].values()
    }
    for _ in range(2000):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            assert one.getsockname()[1] not in held
    stack.down()


def connects(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
