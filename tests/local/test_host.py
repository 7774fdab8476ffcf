"""The local host as the core sees it: wishes in, facts out, on real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from launchpad.core.facts import (
    Exited,
    Fact,
    PortsLeased,
    PortsRefused,
    Probed,
    Sampled,
    Spawned,
    SpawnFailed,
    TreeGone,
    TreeHeld,
)
from launchpad.core.model import (
    CheckKind,
    Handle,
    Handover,
    Identity,
    Launch,
    Lease,
    PortRequest,
    Probing,
    Sink,
)
from launchpad.core.wishes import Forget, LeasePorts, Probe, ReleasePorts, Sample, Signal, Spawn
from launchpad.hosts.local import process
from launchpad.hosts.local.host import LocalHost
from launchpad.hosts.local.process_oom import OomWatch
from launchpad.hosts.local.records import read_records
from launchpad.paths import StackPaths, stack_paths
from tests.local.real import PATIENCE_S, can_bind, free_number, python, until

pytestmark = pytest.mark.usefixtures("runtime")

F = TypeVar("F", bound=Fact)


class World:
    """A host and what it told."""

    def __init__(self, paths: StackPaths) -> None:
        self.paths, self.facts = paths, list[Fact]()
        self.news = asyncio.Event()
        self.run_id = f"run-{os.getpid()}-{paths.key}"
        self.host = LocalHost(self._tell, paths, "demo", run_id=self.run_id)
        self.attempts = 0

    def _tell(self, fact: Fact) -> None:
        self.facts.append(fact)
        self.news.set()

    async def told(self, kind: type[F], fits: Callable[[F], bool] = lambda fact: True) -> F:
        """The first fact of that kind, as soon as there is one."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for fact in self.facts:
                    if isinstance(fact, kind) and fits(fact):
                        return fact
                self.news.clear()
                await self.news.wait()

    async def until(self, look: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not look():
                await asyncio.sleep(0.01)

    def spawn(self, argv: list[str], service: str = "a", **launch: Any) -> int:
        self.attempts += 1
        launch = {"environment": (), "inherit": True, "working_dir": str(self.paths.file.parent), **launch}
        what = Launch(argv=tuple(argv), **launch)
        self.host.submit([Spawn(service, self.attempts, Identity("digest", 1), what)])
        return self.attempts

    async def started(self, argv: list[str], service: str = "a", **launch: Any) -> Spawned:
        attempt = self.spawn(argv, service, **launch)
        return await self.told(Spawned, lambda fact: fact.attempt == attempt)

    def signal(self, fact: Spawned, number: int, scope: str = "main") -> None:
        self.host.submit([Signal(fact.service, fact.attempt, fact.handle, number, scope)])

    def kinds(self) -> list[str]:
        return [type(fact).__name__ for fact in self.facts]

    def log(self, service: str = "a") -> str:
        return self.paths.log(service).read_text()

    async def killed(self, fact: Spawned) -> None:
        self.signal(fact, signal.SIGKILL, "tree")
        await self.told(TreeGone, lambda gone: gone.attempt == fact.attempt)


def run(folder: Path, body: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    @asynccontextmanager
    async def world() -> AsyncIterator[World]:
        made = World(stack_paths(folder / "stack.yaml"))
        try:
            yield made
        finally:
            await made.host.close()
            for pid, _, _ in process.find_by_run(made.run_id):
                os.kill(pid, signal.SIGKILL)

    async def limited() -> None:
        async with asyncio.timeout(PATIENCE_S * 2), world() as made:
            await body(made)
            assert process.find_by_run(made.run_id) == [], "nothing may be left"

    asyncio.run(limited())


def test_a_process_is_started_and_its_end_is_told_once(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        spawned = await world.started(python("import sys; print('hi'); sys.exit(5)"))
        assert spawned.handle.pid > 0
        exited = await world.told(Exited)
        assert exited == Exited("a", spawned.attempt, 5, 0, "")
        assert world.log() == "hi\n"
        assert world.kinds() == ["Spawned", "Exited"]
        assert read_records(world.paths) == []

    run(tmp_path, body)


def test_the_end_is_told_without_pidfds_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")

    async def body(world: World) -> None:
        await world.started(python("raise SystemExit(5)"))
        assert (await world.told(Exited)).code == 5
        spawned = await world.started(["sleep", "600"], "b")
        await world.killed(spawned)

    run(tmp_path, body)


def test_many_that_end_at_once_all_have_their_own_code(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        attempts = {world.spawn(["/bin/sh", "-c", f"exit {n}"], f"s{n}"): n for n in range(1, 60)}
        for attempt, code in attempts.items():
            exited = await world.told(Exited, lambda fact, attempt=attempt: fact.attempt == attempt)
            assert (exited.code, exited.left) == (code, 0)
        assert world.kinds().count("Exited") == len(attempts)

    run(tmp_path, body)


def test_a_failing_start_says_its_stage_and_leaves_nothing(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        world.spawn(["no-such-program"])
        failed = await world.told(SpawnFailed)
        assert (failed.stage, failed.final) == ("exec", True)
        world.spawn(["true"], "b", working_dir=str(tmp_path / "gone"))
        failed = await world.told(SpawnFailed, lambda fact: fact.service == "b")
        assert failed.stage == "chdir"
        assert read_records(world.paths) == []

    run(tmp_path, body)


def test_an_output_that_cannot_be_opened_fails_the_start(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        world.paths.log("a").mkdir(parents=True)
        world.spawn(["true"])
        assert (await world.told(SpawnFailed)).stage == "output"

    run(tmp_path, body)


def test_there_is_a_record_as_long_as_there_is_a_process(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        spawned = await world.started(["sleep", "600"])
        (record,) = read_records(world.paths)
        assert (record.service, record.attempt, record.handle) == ("a", spawned.attempt, spawned.handle)
        assert (record.run_id, record.identity) == (world.run_id, Identity("digest", 1))
        await world.killed(spawned)
        assert read_records(world.paths) == []

    run(tmp_path, body)


ORPHANS = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    print('up', flush=True)
    time.sleep(600)
os.wait()
while 'up' not in open(sys.argv[1]).read(): time.sleep(0.01)
"""


def test_what_the_main_process_leaves_behind_is_counted_and_ended(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        spawned = await world.started(python(ORPHANS, str(world.paths.log("a"))))
        exited = await world.told(Exited)
        assert (exited.code, exited.left) == (0, 1)
        assert len(read_records(world.paths)) == 1
        world.signal(spawned, signal.SIGTERM, "tree")
        await world.told(TreeGone)
        assert read_records(world.paths) == []
        assert world.kinds() == ["Spawned", "Exited", "TreeGone"]

    run(tmp_path, body)


def test_a_check_that_runs_when_the_service_ends_is_not_one_of_its_processes(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        spawned = await world.started(["sleep", "600"])
        mark = tmp_path / "probing"
        probing = Probing(CheckKind.EXEC, argv=("/bin/sh", "-c", f"touch {mark}; sleep 600"), timeout_s=600)
        world.host.submit([Probe("a", spawned.attempt, "ready", 1, probing)])
        await world.until(mark.exists)
        world.signal(spawned, signal.SIGTERM)
        assert (await world.told(Exited)).left == 0
        await world.until(lambda: not process.find_by_run(world.run_id))

    run(tmp_path, body)


def test_the_end_of_the_main_process_is_told_before_that_of_its_tree(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        code = "import os,time\nfor _ in range(4): os.fork()\nprint('x', flush=True); time.sleep(600)"
        spawned = await world.started(python(code))
        await world.until(lambda: world.log().count("x") == 16)
        world.signal(spawned, signal.SIGKILL, "tree")
        await world.told(TreeGone)
        assert world.kinds() == ["Spawned", "Exited", "TreeGone"]

    run(tmp_path, body)


def test_a_main_process_that_has_just_ended_is_told_before_its_tree(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        spawned = await world.started(["sleep", "600"])
        os.kill(spawned.handle.pid, signal.SIGTERM)
        until(lambda: not process.alive(spawned.handle))  # the host has not heard of it yet
        world.signal(spawned, signal.SIGKILL, "tree")
        await world.told(TreeGone)
        assert world.facts[1:] == [Exited("a", 1, -15), TreeGone("a", 1)]

    run(tmp_path, body)


def test_a_tree_that_does_not_leave_is_named(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        code = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()"
        spawned = await world.started([sys.executable, "-u", "-c", f"while True:\n  {code}"])
        await world.until(lambda: "up" in world.log())
        world.signal(spawned, signal.SIGTERM, "tree")
        held = await world.told(TreeHeld)
        assert f"pid {spawned.handle.pid} `" in held.text
        await world.killed(spawned)

    run(tmp_path, body)


def test_main_alone_gets_a_signal_to_main(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        spawned = await world.started(["/bin/sh", "-c", "sleep 600 & echo up; wait"])
        await world.until(lambda: "up" in world.log())
        world.signal(spawned, signal.SIGTERM)
        exited = await world.told(Exited)
        assert (exited.code, exited.left) == (-15, 1)
        await world.killed(spawned)

    run(tmp_path, body)


def test_a_signal_to_a_tree_that_is_gone_or_unknown_is_answered(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        spawned = await world.started(["true"])
        await world.told(Exited)
        world.signal(spawned, signal.SIGTERM)
        world.signal(spawned, signal.SIGKILL, "tree")
        await world.told(TreeGone)
        world.host.submit([Signal("b", 99, None, signal.SIGKILL, "tree")])
        await world.told(TreeGone, lambda fact: fact.attempt == 99)
        # A number that another process has by now is never signalled.
        stranger = await world.started(["sleep", "600"], "c")
        reused = Handle(stranger.handle.pid, stranger.handle.start - 1, stranger.handle.boot)
        world.host.submit([Signal("b", 98, reused, signal.SIGKILL, s) for s in ("main", "tree")])
        await world.told(TreeGone, lambda fact: fact.attempt == 98)
        assert process.alive(stranger.handle)
        await world.killed(stranger)

    run(tmp_path, body)


def test_samples_count_output_and_work(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        world.paths.logs_dir.mkdir(parents=True)
        world.paths.log("a").write_text("of an earlier run\n")
        code = "import os,time\nos.write(1, b'x' * 1000)\nos.fork()\nwhile True: sum(range(10000))"
        spawned = await world.started(python(code))

        def sample() -> bool:
            world.host.submit([Sample("a", spawned.attempt)])
            last = world.facts[-1]
            return isinstance(last, Sampled) and last.output_bytes == 1000 and last.cpu_s > 0

        await world.until(sample)
        await world.killed(spawned)

    run(tmp_path, body)


def test_a_service_with_a_port_is_leased_started_probed_and_released(tmp_path: Path) -> None:
    code = """
import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen()
while True: s.accept()[0].close()
"""

    async def body(world: World) -> None:
        number = free_number()
        world.host.submit([LeasePorts(1, (PortRequest("a", "main", number, number),))])
        leased = await world.told(PortsLeased)
        lease = Lease("a", "main", number, "127.0.0.1")
        assert leased == PortsLeased(1, (lease,))
        world.host.submit([LeasePorts(2, (PortRequest("b", "main", number, number),))])
        refused = await world.told(PortsRefused)
        assert refused.refusals[0].notes == (f"{number}  service `a` of this stack",)

        shared = (("main", Handover.SHARED),)
        spawned = await world.started(python(code, str(number)), ports=(lease,), handovers=shared)
        probing = Probing(CheckKind.TCP, target=f"127.0.0.1:{number}")
        seq = 0

        def ready() -> bool:
            nonlocal seq
            seq += 1
            world.host.submit([Probe("a", spawned.attempt, "ready", seq, probing)])
            return any(isinstance(fact, Probed) and fact.ok for fact in world.facts)

        await world.until(ready)
        os.kill(spawned.handle.pid, signal.SIGKILL)
        until(lambda: not process.alive(spawned.handle))  # the host has not heard of it yet
        assert not can_bind(number, "127.0.0.1", socket.SO_REUSEADDR)  # shut since the first good answer
        await world.told(Exited)
        assert not can_bind(number, "127.0.0.1", socket.SO_REUSEADDR)
        world.host.submit([ReleasePorts((lease,)), Forget("a")])
        assert can_bind(number, "127.0.0.1", socket.SO_REUSEADDR)

    run(tmp_path, body)


def test_notify_reaches_the_child_and_back(tmp_path: Path) -> None:
    code = """
import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = os.environ['NOTIFY_SOCKET']
s.sendto(b'READY=1', '\\0' + name[1:] if name[0] == '@' else name)
time.sleep(600)
"""

    async def body(world: World) -> None:
        spawned = await world.started(python(code), notify=True)
        probing = Probing(CheckKind.NOTIFY)
        world.host.submit([Probe("a", spawned.attempt, "ready", 1, probing)])
        assert (await world.told(Probed)).ok
        await world.killed(spawned)

    run(tmp_path, body)


def test_output_goes_where_it_is_routed(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        world.host.route("a", (Sink("file", str(tmp_path / "out.log")),))
        await world.started(["echo", "hello"])
        await world.told(Exited)
        out = tmp_path / "out.log"
        await world.until(lambda: out.exists() and "hello" in out.read_text())

    run(tmp_path, body)


def test_the_kernel_s_own_kill_is_named_only_when_it_is_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(world: World) -> None:
        monkeypatch.setattr(world.host._oom, "note", lambda pid: f"oom {pid}")
        first = await world.started(["sleep", "600"])
        os.kill(first.handle.pid, signal.SIGKILL)
        assert (await world.told(Exited)).note == f"oom {first.handle.pid}"
        second = await world.started(["sleep", "600"], "b")
        world.signal(second, signal.SIGKILL)  # our own
        assert (await world.told(Exited, lambda fact: fact.service == "b")).note == ""

    run(tmp_path, body)
    assert OomWatch().note(os.getpid()) == ""


def test_closing_leaves_processes_and_frees_ports(tmp_path: Path) -> None:
    number = free_number()

    async def body() -> None:
        world = World(stack_paths(tmp_path / "stack.yaml"))
        world.host.submit([LeasePorts(1, (PortRequest("a", "main", number, number),))])
        await world.told(PortsLeased)
        spawned = await world.started(["sleep", "600"])
        await world.host.close()
        try:
            assert process.alive(spawned.handle)
            assert can_bind(number)
            assert [record.handle for record in read_records(world.paths)] == [spawned.handle]
        finally:
            process.send(spawned.handle.pid, spawned.handle.start, signal.SIGKILL)
            os.waitpid(spawned.handle.pid, 0)

    asyncio.run(body())
