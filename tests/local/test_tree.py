"""Trees of real processes: found whatever they did to escape, and ended to the last one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from launchpad.core.model import Handle
from launchpad.hosts.local import process, spawn, tree, tree_end
from launchpad.hosts.local.process import Stat
from launchpad.hosts.local.process_children import Reaper, become_subreaper, claim, disclaim, orphans
from launchpad.hosts.local.tree import Trees, describe
from launchpad.hosts.local.tree_end import TreeEnd, kill_all
from tests.local.real import PATIENCE_S, code_of, environment, launch, nothing_left_in, python, until


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    with nothing_left_in(tmp_path):
        yield


ATTEMPT = 7

SHAPES = {
    "plain group": """
import os, time
for _ in range(3):
    if os.fork() == 0:
        break
open(f'up.{os.getpid()}', 'w'); time.sleep(600)
""",
    "leader exits first": """
import os, time
for _ in range(3):
    if os.fork() == 0:
        open(f'up.{os.getpid()}', 'w'); time.sleep(600)
while len([n for n in os.listdir('.') if n.startswith('up.')]) < 3: time.sleep(0.01)
""",
    "sessions of their own": """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid(); break
open(f'up.{os.getpid()}', 'w'); time.sleep(600)
""",
    "double fork": """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        open(f'up.{os.getpid()}', 'w'); time.sleep(600)
for _ in range(3): os.wait()
open(f'up.{os.getpid()}', 'w'); time.sleep(600)
""",
    "double fork with nothing left in the environment": """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    os.execve('/bin/sh', ['sh', '-c', 'echo > up.$$; while :; do sleep 600; done'], {})
os.wait()
open(f'up.{os.getpid()}', 'w'); time.sleep(600)
""",
    "deaf to SIGTERM": """
import os, signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0: break
open(f'up.{os.getpid()}', 'w')
while True: time.sleep(600)
""",
    "a bomb": """
import os, signal, time
# A hundred in all, counted in a file that each of them has open: it holds whatever else goes wrong.
count = os.open('count', os.O_RDWR | os.O_CREAT | os.O_APPEND)
signal.alarm(120)
while True:
    if os.fstat(count).st_size < 100:
        os.write(count, b'.')
        if os.fork() == 0:
            os.setsid(); signal.alarm(120)
            open(f'up.{os.getpid()}', 'w')
    else: time.sleep(0.05)
""",
}
UP = {
    "plain group": 4,
    "leader exits first": 3,
    "sessions of their own": 4,
    "double fork": 4,
    "double fork with nothing left in the environment": 2,
    "deaf to SIGTERM": 4,
    "a bomb": 60,
}


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(PATIENCE_S * 2):
            await body()

    become_subreaper()
    asyncio.run(limited())


def start(folder: Path, code: str, run_id: str) -> Handle:
    env = environment(LAUNCHPAD_RUN=run_id, LAUNCHPAD_ATTEMPT=str(ATTEMPT), LAUNCHPAD_SERVICE="x")
    return launch(python(code), folder, env)


def ups(folder: Path) -> int:
    return len([name for name in os.listdir(folder) if name.startswith("up.")])


async def soon(look: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not look():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_survives_the_sweep(shape: str, tmp_path: Path) -> None:
    run_id = f"run-{os.getpid()}-{tmp_path.name}"

    async def body() -> None:
        loop = asyncio.get_running_loop()
        trees = Trees(run_id, complete=True)
        gone = asyncio.Event()
        end = TreeEnd(loop, lambda: trees.members(ATTEMPT), gone.set, lambda text: None)
        reaper = Reaper(loop, trees.is_session, end.look_soon)
        main = start(tmp_path, SHAPES[shape], run_id)
        trees.add(ATTEMPT, main)
        await soon(lambda: ups(tmp_path) >= UP[shape])
        if shape == "leader exits first":
            await soon(lambda: not process.alive(main))
        assert len(trees.members(ATTEMPT)) >= (1 if shape == "a bomb" else UP[shape])
        end.signal(signal.SIGKILL)
        await gone.wait()
        assert trees.members(ATTEMPT) == []
        assert process.find_by_run(run_id) == []
        assert code_of(main) == (0 if shape == "leader exits first" else -signal.SIGKILL)
        reaper.close()

    run(body)
    assert [pid for pid in process.pids() if _cwd(pid) == str(tmp_path)] == []


def _cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def test_sigterm_to_a_tree_tells_when_all_have_left_and_what_stays(tmp_path: Path) -> None:
    run_id = f"run-{os.getpid()}-term"
    code = """
import os, signal, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open('up.1', 'w')
    while True: time.sleep(600)
while not os.path.exists('up.1'): time.sleep(0.01)
open('up.2', 'w'); time.sleep(600)
"""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        trees = Trees(run_id, complete=True)
        gone, held = asyncio.Event(), list[str]()
        end = TreeEnd(loop, lambda: trees.members(ATTEMPT), gone.set, held.append)
        main = start(tmp_path, code, run_id)
        trees.add(ATTEMPT, main)
        await soon(lambda: ups(tmp_path) == 2)
        (deaf,) = [one for one in trees.members(ATTEMPT) if one.pid != main.pid]
        end.signal(signal.SIGTERM)
        await soon(lambda: held)
        assert held[0].startswith(f"pid {deaf.pid} `")
        assert str(main.pid) not in held[0]
        assert not gone.is_set()
        assert process.send(deaf.pid, deaf.start, signal.SIGKILL)
        await gone.wait()
        assert code_of(main) == -signal.SIGTERM

    run(body)


def test_a_stopped_process_hears_sigterm(tmp_path: Path) -> None:
    handle = launch(["sleep", "600"], tmp_path)
    assert process.send(handle.pid, handle.start, signal.SIGSTOP)
    until(lambda: (one := process.stat(handle.pid)) and one.state == "T", "it to stop")
    one = process.stat(handle.pid)
    assert one is not None
    tree_end.signal_all([one], signal.SIGTERM)
    assert code_of(handle) == -signal.SIGTERM


def test_a_process_that_has_another_s_number_is_not_signalled(tmp_path: Path) -> None:
    handle = launch(["sleep", "600"], tmp_path)
    one = process.stat(handle.pid)
    assert one is not None
    tree_end.signal_all([msgspec.structs.replace(one, start=one.start - 1)], signal.SIGKILL)
    tree_end.signal_all([one], signal.SIGTERM)
    assert code_of(handle) == -signal.SIGTERM


def test_a_tree_is_frozen_until_it_starts_nothing_new_and_then_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def some(*pids: int) -> list[Stat]:
        return [Stat(pid, "x", "S", 1, 1, pid, 0.0) for pid in pids]

    sent: list[tuple[list[int], int]] = []
    monkeypatch.setattr(tree_end, "signal_all", lambda ones, n: sent.append(([o.pid for o in ones], int(n))))
    sights = iter([some(1, 2), some(1, 2, 3), some(1, 2, 3)])
    kill_all(lambda: next(sights))
    assert sent == [([1, 2], 19), ([3], 19), ([1, 2, 3], 9)]


def test_an_orphan_with_nothing_in_its_environment_is_known_by_its_session(tmp_path: Path) -> None:
    become_subreaper()
    run_id = f"run-{os.getpid()}-bare"
    code = """
import os
if os.fork() == 0:
    os.execve('/bin/sh', ['sh', '-c', 'echo > up.$$; while :; do sleep 600; done'], {})
while not [n for n in os.listdir('.') if n.startswith('up.')]: pass
"""
    trees = Trees(run_id, complete=True)
    main = start(tmp_path, code, run_id)
    other = launch(["sleep", "600"], tmp_path)
    trees.add(ATTEMPT, main)
    trees.add(ATTEMPT + 1, other)
    assert code_of(main) == 0
    assert "sh" in [one.name for one in trees.members(ATTEMPT)]
    kill_all(lambda: trees.members(ATTEMPT))
    until(lambda: not trees.members(ATTEMPT))
    kill_all(lambda: trees.members(ATTEMPT + 1))
    assert code_of(other) == -9


def test_what_a_dying_orphan_leaves_behind_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends between the look at who has come to us and the look at itself: its children came too late for the first."""
    become_subreaper()
    run_id = f"run-{os.getpid()}-late"
    trees = Trees(run_id, complete=True)
    main = start(tmp_path, SHAPES["leader exits first"], run_id)
    trees.add(ATTEMPT, main)
    assert code_of(main) == 0
    first, *rest = (int(path.suffix[1:]) for path in tmp_path.glob("up.*"))
    until(lambda: {first, *rest} <= {*orphans()})
    os.kill(first, signal.SIGKILL)
    until(lambda: (one := process.stat(first)) is not None and not one.lives)
    looks = iter([[first], [first, *rest]])
    monkeypatch.setattr(tree, "orphans", lambda: next(looks))
    assert [one.pid for one in trees.members(ATTEMPT)] == rest
    monkeypatch.undo()
    kill_all(lambda: trees.members(ATTEMPT))
    until(lambda: not trees.members(ATTEMPT))


def test_one_attempt_does_not_see_the_other_s(tmp_path: Path) -> None:
    become_subreaper()
    run_id = f"run-{os.getpid()}-two"
    trees = Trees(run_id, complete=True)
    mains = {}
    for attempt in (1, 2):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        env = environment(LAUNCHPAD_RUN=run_id, LAUNCHPAD_ATTEMPT=str(attempt))
        mains[attempt] = launch(python(SHAPES["double fork"]), folder, env)
        trees.add(attempt, mains[attempt])
        until(lambda folder=folder: ups(folder) == 4)
    first, second = trees.members(1), trees.members(2)
    assert len(first) == len(second) == 4
    assert {one.pid for one in first}.isdisjoint(one.pid for one in second)
    kill_all(lambda: trees.members(1))
    until(lambda: not trees.members(1))
    assert trees.members(2) == second
    kill_all(lambda: trees.members(2))
    until(lambda: not trees.members(2))
    assert [code_of(main) for main in mains.values()] == [-9, -9]


def test_markers_find_a_tree_that_was_not_started_here(tmp_path: Path) -> None:
    """As after the death of an earlier launchpad, when orphans do not come to us."""
    run_id = f"run-{os.getpid()}-adopted"
    trees = Trees(run_id, complete=True)
    main = start(tmp_path, SHAPES["sessions of their own"], run_id)
    until(lambda: ups(tmp_path) == 4)
    trees.add(ATTEMPT, Handle(-1), adopted=True)
    assert len(trees.members(ATTEMPT)) == 4
    kill_all(lambda: trees.members(ATTEMPT))
    until(lambda: not trees.members(ATTEMPT))
    assert code_of(main) == -9


def test_an_orphan_is_reaped_and_a_claimed_child_is_not(tmp_path: Path) -> None:
    run_id = f"run-{os.getpid()}-reap"
    code = """
import os
if os.fork() == 0:
    os.setsid()
    open('up.1', 'w')
    os._exit(3)
while not os.path.exists('up.1'): pass
"""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        trees = Trees(run_id, complete=True)
        seen: list[int] = []
        reaper = Reaper(loop, lambda session: True, lambda: seen.append(1))
        main = start(tmp_path, code, run_id)
        trees.add(ATTEMPT, main)
        await soon(lambda: seen and not process.alive(main) and not orphans())
        assert spawn.wait(main.pid) == 0
        reaper.close()

    run(body)


def test_a_child_of_which_nobody_spoke_is_left_to_who_may_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launchpad.hosts.local.process_children.UNKNOWN_S", 3600)

    async def body() -> None:
        seen: list[int] = []
        reaper = Reaper(asyncio.get_running_loop(), lambda session: False, lambda: seen.append(1))
        main = launch(python("raise SystemExit(4)"), tmp_path)
        disclaim(main.pid)
        await soon(lambda: seen and not process.alive(main))
        reaper.look()
        reaper.close()
        claim(main.pid)
        assert spawn.wait(main.pid) == 4

    run(body)


def test_survivors_are_named_a_few_and_counted() -> None:
    me = process.stat(os.getpid())
    assert me is not None
    assert describe([me]).startswith(f"pid {me.pid} `")
    assert describe([me] * 9).endswith(", and 4 more")
