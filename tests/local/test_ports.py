"""Ports on the real kernel: exclusive from lease to release, and handed to real servers through a door."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from launchpad.core.facts import PortsLeased, PortsRefused
from launchpad.core.model import Handle, Handover, Lease, PortRequest
from launchpad.core.wishes import LeasePorts
from launchpad.hosts.local import port_hold, process
from launchpad.hosts.local import ports as ports_module
from launchpad.hosts.local.port_bound import bound
from launchpad.hosts.local.ports import Ports
from launchpad.hosts.local.spawn_failure import NotStarted
from launchpad.paths import StackPaths, stack_paths
from tests.local.real import (
    PATIENCE_S,
    can_bind,
    code_of,
    connects,
    environment,
    free_number,
    free_range,
    killed_after,
    launch,
    until,
)
from tests.steps import steps

pytestmark = pytest.mark.usefixtures("runtime")

REUSE = socket.SO_REUSEADDR
SERVER = """
import socket, sys, os
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(sys.argv[2]))
s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen()
while True:
    c, _ = s.accept()
    if c.recv(1) == b'x': os._exit(3)
    c.close()
"""


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(PATIENCE_S * 2):
            await body()

    asyncio.run(limited())


def paths(folder: Path, name: str = "stack.yaml") -> StackPaths:
    return stack_paths(folder / name)


def make(folder: Path, stack: str = "demo", mains: dict[str, int] | None = None) -> Ports:
    known = {} if mains is None else mains
    return Ports(
        paths(folder, f"{stack}.yaml"), stack, f"run-{stack}", lambda lease: known.get(lease.service)
    )


def ask(service: str, low: int, high: int | None = None, **more: Any) -> PortRequest:
    return PortRequest(service, "main", low, high or low, **more)


async def leased(ports: Ports, *requests: PortRequest, preferred: tuple[Lease, ...] = ()) -> list[int]:
    fact = await ports.lease(LeasePorts(1, requests, preferred))
    assert isinstance(fact, PortsLeased), fact
    assert [(one.service, one.name) for one in fact.leases] == [(r.service, r.name) for r in requests]
    return [one.number for one in fact.leases]


async def refused(ports: Ports, *requests: PortRequest) -> PortsRefused:
    fact = await ports.lease(LeasePorts(1, requests))
    assert isinstance(fact, PortsRefused), fact
    return fact


def lease_of(request: PortRequest, number: int) -> Lease:
    return Lease(request.service, request.name, number, request.host)


# -- which number --------------------------------------------------------------------------------------


def test_a_tight_batch_is_solved(tmp_path: Path) -> None:
    """First come, first served would give the lowest number to the widest range, and fail."""
    low = free_range(3)

    async def body() -> None:
        ports = make(tmp_path)
        wide, middle, narrow = ask("wide", low, low + 2), ask("middle", low, low + 1), ask("narrow", low)
        assert await leased(ports, wide, middle, narrow) == [low + 2, low + 1, low]
        await ports.close()

    run(body)


def test_the_range_that_ends_first_goes_first_wherever_it_begins(tmp_path: Path) -> None:
    low = free_range(3)

    async def body() -> None:
        ports = make(tmp_path)
        one, two, named = ask("one", low, low + 2), ask("two", low, low + 2), ask("named", low + 1)
        assert await leased(ports, one, two, named) == [low, low + 2, low + 1]
        await ports.close()

    run(body)


def test_all_or_none(tmp_path: Path) -> None:
    low = free_range(2)

    async def body() -> None:
        ports = make(tmp_path)
        fact = await refused(ports, *[ask(name, low, low + 1) for name in "abc"])
        (one,) = fact.refusals
        assert (one.low, one.high, len(one.notes)) == (low, low + 1, 2)
        assert one.notes[0] == f"{low}  service `a` of this stack"
        assert can_bind(low)
        assert can_bind(low + 1)
        await ports.close()

    run(body)


def test_a_look_at_one_of_many_costs_what_one_at_one_of_few_does(tmp_path: Path) -> None:
    async def cost(count: int) -> int:
        ports = make(tmp_path, f"of-{count}")
        asked = [ask(f"s{i}", 20000, 29999, auto=True) for i in range(count)]
        numbers = await leased(ports, *asked)
        ports.open_door([lease_of(one, number) for one, number in zip(asked, numbers, strict=True)], ())
        found = steps(lambda: ports.look("s0"))
        await ports.close()
        return found

    async def body() -> None:
        few, many = await cost(4), await cost(40)
        assert many == few > 0

    run(body)


def test_earlier_numbers_are_preferred_unless_they_stand_in_the_way(tmp_path: Path) -> None:
    low = free_range(3)

    async def body() -> None:
        ports = make(tmp_path)
        a, b = ask("a", low, low + 2), ask("b", low, low)
        assert await leased(ports, a, preferred=(lease_of(a, low + 2),)) == [low + 2]
        ports.release([lease_of(a, low + 2)])
        assert await leased(ports, a, b, preferred=(lease_of(a, low),)) == [low + 1, low]
        await ports.close()

    run(body)


def test_what_is_held_already_is_kept(tmp_path: Path) -> None:
    low = free_range(3)

    async def body() -> None:
        ports = make(tmp_path)
        a, b = ask("a", low, low + 2), ask("b", low, low + 2)
        assert await leased(ports, a) == [low]
        assert await leased(ports, b, a) == [low + 1, low]
        await ports.close()

    run(body)


def test_auto_begins_at_the_same_place_for_the_same_stack(tmp_path: Path) -> None:
    async def body() -> None:
        found = []
        for _ in range(2):
            ports = make(tmp_path)
            found.append(
                await leased(ports, ask("a", 21000, 31000, auto=True), ask("b", 21000, 31000, auto=True))
            )
            await ports.close()
        assert found[0] == found[1]
        assert len(set(found[0])) == 2
        other = make(tmp_path, "other")
        assert await leased(other, ask("a", 21000, 31000, auto=True)) != found[0][:1]
        await other.close()

    run(body)


def test_a_freed_number_rests_unless_nothing_else_is_left(tmp_path: Path) -> None:
    low = free_range(2)

    async def body() -> None:
        ports = make(tmp_path)
        assert await leased(ports, ask("a", low, low + 1)) == [low]
        ports.release([lease_of(ask("a", low), low)])
        assert await leased(ports, ask("b", low, low + 1)) == [low + 1]
        assert await leased(ports, ask("c", low, low + 1)) == [low]
        ports.release([lease_of(ask("c", low), low)])
        assert await leased(ports, ask("d", low)) == [low]  # named: there is no other
        ports.release([lease_of(ask("d", low), low)])
        assert await leased(ports, ask("d", low, low + 1)) == [low]  # its own
        await ports.close()

    run(body)


def test_one_number_on_two_addresses(tmp_path: Path) -> None:
    number = free_number()

    async def body() -> None:
        ports = make(tmp_path)
        both = [ask("a", number, host="127.0.0.1"), ask("b", number, host="127.0.0.2")]
        assert await leased(ports, *both) == [number, number]
        await ports.close()

    run(body)


def test_an_address_that_is_not_ours_is_said_once(tmp_path: Path) -> None:
    async def body() -> None:
        ports = make(tmp_path)
        fact = await refused(ports, ask("a", 21000, 29000, host="192.0.2.1"))
        assert fact.refusals[0].notes == ("`192.0.2.1` is not an address of this machine",)
        await ports.close()

    run(body)


# -- who has it ----------------------------------------------------------------------------------------


def test_a_refusal_names_the_other_stack(tmp_path: Path) -> None:
    number = free_number()

    async def body() -> None:
        one, other = make(tmp_path, "rag"), make(tmp_path, "chat")
        await leased(one, ask("llm", number))
        fact = await refused(other, ask("x", number))
        assert fact.refusals[0].notes == (f"{number}  service `llm` of stack `rag`, up for 0 s",)
        await one.close()
        assert await leased(other, ask("x", number)) == [number]
        await other.close()

    run(body)


def test_a_refusal_names_processes_that_listen_hold_or_are_connected(tmp_path: Path) -> None:
    low = free_range(3)
    code = """
import socket, sys, time
low = int(sys.argv[1])
a = socket.socket(); a.bind(('127.0.0.1', low)); a.listen()
b = socket.socket(); b.bind(('127.0.0.1', low + 1))
c = socket.socket(); c.bind(('127.0.0.1', low + 2)); c.connect(('127.0.0.1', low))
open('up', 'w'); time.sleep(600)
"""
    with killed_after(launch([sys.executable, "-c", code, str(low)], tmp_path)) as handle:
        until((tmp_path / "up").exists)

        async def body() -> None:
            ports = make(tmp_path)
            fact = await refused(ports, ask("a", low, low + 2))
            await ports.close()
            listens, holds, connected = fact.refusals[0].notes
            assert listens.startswith(f"{low}  `python")
            assert listens.endswith(f"`, pid {handle.pid}")
            assert f"pid {handle.pid} (a connection of its own" in connected
            if "held by a program that does not listen" not in holds:  # before Linux 6.8
                assert f"pid {handle.pid} (it holds the port without listening)" in holds

        run(body)


def test_a_long_range_is_summarised(tmp_path: Path) -> None:
    low = free_range(12)

    async def body() -> None:
        ports = make(tmp_path)
        await leased(ports, *[ask(f"s{i}", low + i) for i in range(12)])
        notes = (await refused(ports, ask("a", low, low + 11))).refusals[0].notes
        assert len(notes) == 9
        assert notes[-1] == f"and 4 more up to {low + 11}, none of them free"
        await ports.close()

    run(body)


def test_somebody_on_the_other_loopback_has_the_number_of_a_range(tmp_path: Path) -> None:
    low = free_range(2)
    with socket.create_server(("::1", low), family=socket.AF_INET6):

        async def body() -> None:
            ports = make(tmp_path)
            assert await leased(ports, ask("a", low, low + 1)) == [low + 1]
            assert await leased(ports, ask("b", low)) == [low]  # named: it can be had
            await ports.close()

        run(body)


def test_registration_comes_and_goes(tmp_path: Path, runtime: Path) -> None:
    number = free_number()

    async def body() -> None:
        ports = make(tmp_path)
        file = paths(tmp_path, "demo.yaml").registration
        assert file.parent == runtime / "launchpad"
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        await leased(ports, ask("a", number))
        (held,) = json.loads(file.read_text())["ports"]
        assert (held["service"], held["number"]) == ("a", number)
        await ports.close()
        assert not file.exists()

    run(body)


# -- doors ---------------------------------------------------------------------------------------------


class Child:
    """A server below a hold, as the host would start it."""

    def __init__(
        self, folder: Path, ports: Ports, mains: dict[str, int], lease: Lease, argv: list[str]
    ) -> None:
        self.folder, self.ports, self.mains, self.lease, self.argv = folder, ports, mains, lease, argv
        self.handle = Handle(-1)

    def start(self, handover: Handover = Handover.SHARED) -> Handle:
        listeners = self.ports.open_door([self.lease], [(self.lease.name, handover)])
        self.handle = launch(self.argv, self.folder, environment(), listeners)
        self.mains[self.lease.service] = self.handle.pid
        return self.handle

    def listens(self, host: str = "127.0.0.1") -> None:
        until(lambda: connects(self.lease.number, host), f"port {self.lease.number} to be listened on")

    def end(self, number: int = signal.SIGKILL) -> None:
        process.send(self.handle.pid, self.handle.start, number)
        code_of(self.handle)
        self.mains.pop(self.lease.service)
        self.ports.ended([self.lease])


async def child_of(folder: Path, code: str, *args: str, **how: Any) -> Child:
    """A child that runs this code with a leased port as its first argument."""
    mains: dict[str, int] = {}
    ports = make(folder, mains=mains)
    number = free_number()
    fact = await ports.lease(LeasePorts(1, (ask("a", number, **how),)))
    assert isinstance(fact, PortsLeased)
    return Child(folder, ports, mains, fact.leases[0], [sys.executable, "-c", code, str(number), *args])


def test_a_held_port_refuses_connections_and_every_bind(tmp_path: Path) -> None:
    async def body() -> None:
        child = await child_of(tmp_path, SERVER, "1")
        number = child.lease.number
        assert not connects(number)
        for options in ((), (REUSE,), (socket.SO_REUSEPORT,), (REUSE, socket.SO_REUSEPORT)):
            assert not can_bind(number, "127.0.0.1", *options)
            assert not can_bind(number, "0.0.0.0", *options)
            assert not can_bind(number, "::1", *options)
        await child.ports.close()
        assert can_bind(number)

    run(body)


def test_a_child_listens_below_the_hold_and_gets_the_port_again(tmp_path: Path) -> None:
    async def body() -> None:
        child = await child_of(tmp_path, SERVER, "1")
        for _ in range(3):
            child.start()
            child.listens()
            child.ports.look("a")
            child.end()
            assert not can_bind(child.lease.number, "127.0.0.1", REUSE)
        await child.ports.close()

    run(body)


def test_once_the_child_listens_the_door_is_shut_even_over_its_death(tmp_path: Path) -> None:
    async def body() -> None:
        child = await child_of(tmp_path, SERVER, "1")
        number = child.lease.number
        child.start()
        child.listens()
        child.ports.look("a")
        # The child dies, and nobody has told launchpad yet.
        process.send(child.handle.pid, child.handle.start, signal.SIGKILL)
        code_of(child.handle)
        assert not can_bind(number, "127.0.0.1", REUSE)
        assert not can_bind(number, "0.0.0.0", REUSE)
        await child.ports.close()

    run(body)


def test_it_is_seen_without_probes_that_the_child_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports_module, "FIRST_LOOK_S", 0.01)
    monkeypatch.setattr(ports_module, "LAST_LOOK_S", 0.02)
    monkeypatch.setattr(ports_module, "OTHER_LOOPBACK_S", 0.05)

    async def body() -> None:
        child = await child_of(tmp_path, SERVER, "1")
        number = child.lease.number
        child.start()
        child.listens()
        async with asyncio.timeout(PATIENCE_S):
            while can_bind(number, "::1", REUSE):
                await asyncio.sleep(0.01)
        process.send(child.handle.pid, child.handle.start, signal.SIGKILL)
        code_of(child.handle)
        assert not can_bind(number, "127.0.0.1", REUSE)
        await child.ports.close()

    run(body)


RELOADER = """
import subprocess, sys
while True:
    subprocess.run([sys.executable, '-c', sys.argv[3], *sys.argv[1:3]])
"""


def test_a_process_below_the_main_one_may_be_replaced_and_bind_again(tmp_path: Path) -> None:
    async def body() -> None:
        child = await child_of(tmp_path, RELOADER, "1", SERVER)
        number = child.lease.number
        child.start()
        for _ in range(2):
            child.listens()
            child.ports.look("a")
            (inner,) = process.children(child.handle.pid)
            with socket.create_connection(("127.0.0.1", number)) as client:
                client.send(b"x")
            until(lambda inner=inner: inner not in process.children(child.handle.pid))
        child.listens()
        (inner,) = process.children(child.handle.pid)
        child.end()
        os.kill(inner, signal.SIGKILL)
        until(lambda: not connects(number))
        assert not can_bind(number, "127.0.0.1", REUSE)
        await child.ports.close()

    run(body)


def test_a_fixed_port_in_time_wait_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        child = await child_of(tmp_path, SERVER, "1")
        number = child.lease.number
        child.start()
        child.listens()
        with socket.create_connection(("127.0.0.1", number)) as client:
            client.send(b"a")
            assert client.recv(1) == b""
        child.end()
        await child.ports.close()
        assert port_hold.has_remains(number)
        assert not can_bind(number)
        ports = make(tmp_path)
        assert await leased(ports, ask("a", number)) == [number]
        assert not can_bind(number, "127.0.0.1", REUSE)
        other = make(tmp_path, "other")
        ports.open_door([lease_of(ask("a", number), number)], [])
        await refused(other, ask("b", number))  # a hold with an open door, among the remains
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "elsewhere"))
        if bound(number) is not None:  # another user's, of whom only the kernel can tell
            await refused(other, ask("b", number))
        await ports.close()
        await other.close()

    run(body)


def test_release_lets_go_before_the_start_and_takes_it_again(tmp_path: Path) -> None:
    """For a server that sets no flag: it could not bind beside any hold."""

    async def body() -> None:
        child = await child_of(tmp_path, SERVER, "0", handover=Handover.RELEASE)
        number = child.lease.number
        assert not can_bind(number, "127.0.0.1", REUSE)
        child.start(Handover.RELEASE)
        child.listens()
        child.end()
        async with asyncio.timeout(PATIENCE_S):
            while can_bind(number, "127.0.0.1", REUSE):
                await asyncio.sleep(0.01)
        child.start(Handover.RELEASE)
        child.listens()
        child.end()
        await child.ports.close()

    run(body)


def test_a_released_port_that_somebody_took_fails_the_start(tmp_path: Path) -> None:
    async def body() -> None:
        child = await child_of(tmp_path, SERVER, "0", handover=Handover.RELEASE)
        number = child.lease.number
        child.ports.open_door([child.lease], [("main", Handover.RELEASE)])
        with socket.create_server(("127.0.0.1", number)):
            child.ports.ended([child.lease])
            with pytest.raises(NotStarted) as caught:
                child.start(Handover.RELEASE)
        assert (caught.value.stage, caught.value.final) == ("ports", False)
        assert f"its port {number} is not free after it was let go of" in caught.value.text
        child.start(Handover.RELEASE)
        child.listens()
        child.end()
        await child.ports.close()

    run(body)


def test_inherit_passes_a_listening_socket_and_refuses_while_nobody_runs(tmp_path: Path) -> None:
    code = """
import socket
s = socket.socket(fileno=3)
while True:
    c, _ = s.accept(); c.sendall(b'hello'); c.close()
"""

    async def body() -> None:
        child = await child_of(tmp_path, code, handover=Handover.INHERIT)
        number = child.lease.number
        assert not connects(number)
        for _ in range(2):
            child.start(Handover.INHERIT)
            with socket.create_connection(("127.0.0.1", number), timeout=PATIENCE_S) as client:
                assert client.recv(5) == b"hello"
            child.end()
            assert not connects(number)
            assert not can_bind(number, "127.0.0.1", REUSE)
        await child.ports.close()

    run(body)


# -- real servers --------------------------------------------------------------------------------------

APP = """
async def app(scope, receive, send):
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'x'})
"""
ASYNCIO = """
import asyncio, sys
async def main():
    async def answer(r, w):
        w.write(await r.read(1)); w.close()
    s = await asyncio.start_server(answer, sys.argv[2], int(sys.argv[1]))
    await s.serve_forever()
asyncio.run(main())
"""
NODE = "require('http').createServer((q, r) => r.end('x')).listen(+process.argv[1], process.argv[2] || undefined)"


def server(kind: str, number: int) -> list[str]:
    python = sys.executable
    return {
        "http.server": [python, "-m", "http.server", "--bind", "127.0.0.1", str(number)],
        "http.server everywhere": [python, "-m", "http.server", str(number)],
        "asyncio": [python, "-c", ASYNCIO, str(number), "127.0.0.1"],
        "asyncio on both loopbacks": [python, "-c", ASYNCIO, str(number), "localhost"],
        "uvicorn": [python, "-m", "uvicorn", "app:app", "--lifespan", "off", "--port", str(number)],
        "uvicorn --fd": [python, "-m", "uvicorn", "app:app", "--lifespan", "off", "--fd", "3"],
        "node": ["node", "-e", NODE, str(number), "127.0.0.1"],
        "node everywhere": ["node", "-e", NODE, str(number)],
    }[kind]


@pytest.mark.parametrize("handover", [Handover.SHARED, Handover.RELEASE])
@pytest.mark.parametrize(
    "kind",
    [
        "http.server",
        "http.server everywhere",
        "asyncio",
        "asyncio on both loopbacks",
        "uvicorn",
        "node",
        "node everywhere",
    ],
)
def test_real_servers_start_twice_on_a_held_port(kind: str, handover: Handover, tmp_path: Path) -> None:
    if kind.startswith("node") and shutil.which("node") is None:
        pytest.skip("no node here")
    serve_twice(kind, handover, tmp_path)


def test_uvicorn_takes_the_inherited_socket(tmp_path: Path) -> None:
    serve_twice("uvicorn --fd", Handover.INHERIT, tmp_path)


def serve_twice(kind: str, handover: Handover, folder: Path) -> None:
    (folder / "app.py").write_text(APP)

    async def body() -> None:
        child = await child_of(folder, "", handover=handover)
        number = child.lease.number
        child.argv = server(kind, number)
        for _ in range(2):
            child.start(handover)
            child.listens()
            with socket.create_connection(("127.0.0.1", number), timeout=PATIENCE_S) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert client.recv(1)
            child.ports.look("a")
            child.end(signal.SIGTERM)
            assert not connects(number)
            if handover is not Handover.RELEASE:
                assert not can_bind(number, "127.0.0.1", REUSE)
        await child.ports.close()

    run(body)


# -- many at once --------------------------------------------------------------------------------------


def test_allocations_take_turns_but_not_for_ever(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = free_number()

    async def body() -> None:
        ports = make(tmp_path)
        with open(runtime / "launchpad" / "ports.lock", "w") as rival:
            fcntl.flock(rival, fcntl.LOCK_EX)
            monkeypatch.setattr(ports_module, "TURN_S", 3600)
            waiting = asyncio.ensure_future(leased(ports, ask("a", number)))
            assert not (await asyncio.wait([waiting], timeout=0.1))[0]
            fcntl.flock(rival, fcntl.LOCK_UN)
            assert await waiting == [number]
            fcntl.flock(rival, fcntl.LOCK_EX)
            monkeypatch.setattr(ports_module, "TURN_S", 0.01)
            assert await leased(ports, ask("a", number)) == [number]
        await ports.close()

    run(body)


RIVAL = """
import asyncio, sys
from pathlib import Path
from launchpad.core.facts import PortsLeased
from launchpad.core.model import PortRequest
from launchpad.core.wishes import LeasePorts
from launchpad.hosts.local.ports import Ports
from launchpad.paths import stack_paths

async def main():
    me, low, high = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ports = Ports(stack_paths(me + '.yaml'), me, 'run-' + me, lambda service: None)
    while sys.stdin.readline():
        requests = tuple(PortRequest(f's{i}', 'main', low, high) for i in range(2))
        fact = await ports.lease(LeasePorts(1, requests))
        leases = fact.leases if isinstance(fact, PortsLeased) else ()
        print(*[one.number for one in leases], flush=True)
        sys.stdin.readline()
        ports.release(leases)
        print('free', flush=True)
    await ports.close()
asyncio.run(main())
"""
RIVALS, ROUNDS = 12, 50


def test_many_launchpads_never_get_the_same_number_and_starve_nobody(tmp_path: Path) -> None:
    low = free_range(2 * RIVALS)
    high = low + 2 * RIVALS - 1
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", RIVAL, f"r{i}", str(low), str(high)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        for i in range(RIVALS)
    ]

    def each(answer: Callable[[str], Any]) -> list[Any]:
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.write("\n")
            rival.stdin.flush()
        return [answer(rival.stdout.readline()) for rival in rivals if rival.stdout is not None]

    try:
        for _ in range(ROUNDS):
            numbers = [number for line in each(str.split) for number in line]
            assert len(numbers) == len(set(numbers)), "one number was given twice"
            assert len(numbers) == 2 * RIVALS, "a range that is just large enough has to be enough"
            assert all(low <= int(number) <= high for number in numbers)
            assert set(each(str.strip)) == {"free"}
    finally:
        for rival in rivals:
            rival.communicate(timeout=PATIENCE_S)
    assert [rival.returncode for rival in rivals] == [0] * RIVALS
