"""Which GPUs there are, who gets which, and the lock that keeps two launchpads off one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from launchpad.core.facts import Fact, GpusFreed
from launchpad.core.model import GpuNeed, Lease, PortRequest
from launchpad.hosts.gpu_asked import GIB
from launchpad.hosts.gpu_search import Gpu, assign
from launchpad.hosts.local import gpu_claim, gpu_handover
from launchpad.hosts.local import gpus as gpus_module
from launchpad.hosts.local.gpu import GpuMemory
from launchpad.hosts.local.gpu_inventory import NotUnderstood, simulated, visible
from launchpad.hosts.local.gpus import Gpus, Granted

DEADLINE_S = 20.0


def ask(service: str, count: int = 1, **need: Any) -> tuple[PortRequest, ...]:
    gpu = GpuNeed(**need)
    return tuple(PortRequest(service, f"gpus/{at}", 0, 9999, "", gpu=gpu) for at in range(count))


def named(service: str, number: int) -> PortRequest:
    return PortRequest(service, "gpus/0", number, number, "", gpu=GpuNeed())


# --- which there are -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2x80GB", [(0, "0", 80 * GIB), (1, "1", 80 * GIB)]),
        ("2", [(0, "0", 0), (1, "1", 0)]),
        ("0:80GB,3:24GB", [(0, "0", 80 * GIB), (3, "3", 24 * GIB)]),
        ("GPU-a: 1.5GB , GPU-b", [(0, "GPU-a", 3 * GIB // 2), (1, "GPU-b", 0)]),
        ("none", []),
        ("0", []),
        ("", []),
    ],
)
def test_what_the_variable_says(text: str, expected: list[tuple[int, str, int]]) -> None:
    assert [(gpu.number, gpu.name, gpu.memory) for gpu in simulated(text)] == expected


@pytest.mark.parametrize(
    "text", ["4 x", "many", "4x", "4xlots", "0:80GB,0:80GB", "a b", "0:", "999", "a/b", ","]
)
def test_what_it_cannot_say(text: str) -> None:
    if text in ("0:", "many"):  # one of that name, of which the memory is not known
        assert len(simulated(text)) == 1
        return
    with pytest.raises(NotUnderstood):
        simulated(text)


def test_a_batch_system_has_given_some() -> None:
    gpus = [Gpu(number, f"GPU-{number}abc") for number in range(4)]
    assert visible(gpus, {}) == tuple(gpus)
    assert visible(gpus, {"CUDA_VISIBLE_DEVICES": "3, GPU-1a"}) == (gpus[1], gpus[3])
    assert visible(gpus, {"CUDA_VISIBLE_DEVICES": ""}) == ()


NVML = """
from types import SimpleNamespace
class NVMLError(Exception): pass
def nvmlInit(): pass
def nvmlDeviceGetCount(): return 3
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetUUID(device): return ["GPU-x", b"GPU-y", "GPU-z"][device]
def nvmlDeviceGetMemoryInfo(device):
    if device == 2: raise NVMLError
    return SimpleNamespace(total=80 << 30, free=(device + 1) * 20 << 30)
"""


def test_what_nvml_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pynvml.py").write_text(NVML)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.setenv("LAUNCHPAD_NVML", "1")
    memory = GpuMemory()
    assert memory.opened.wait(DEADLINE_S)
    assert memory.gpus() == (
        Gpu(0, "GPU-x", 80 * GIB, 20 * GIB),
        Gpu(1, "GPU-y", 80 * GIB, 40 * GIB),
    ), "one that is lost is none"


# --- who gets which --------------------------------------------------------------------------------------


def given(
    requests: tuple[PortRequest, ...], gpus: list[Gpu], had: tuple[Lease, ...] = ()
) -> dict[str, int] | None:
    found = assign(requests, gpus, lambda gpu: True, lambda gpu: None, had)
    if found.refused:
        assert not found.found, "all or none"
        return None
    return {f"{one.service} {one.name}": gpu.number for one, gpu in found.found.items()}


def test_the_strictest_choose_first() -> None:
    gpus = [Gpu(0, "0", 80, 80), Gpu(1, "1", 80, 80), Gpu(2, "2", 24, 24)]
    found = given((*ask("a"), *ask("b", 1, memory=40), named("c", 0)), gpus)
    assert found == {"a gpus/0": 2, "b gpus/0": 1, "c gpus/0": 0}
    assert given((*ask("a", 2, memory=40), *ask("b", 2)), gpus) is None


def test_who_does_not_care_gets_an_idle_one_and_what_it_had_before() -> None:
    gpus = [Gpu(0, "0", 80, 10), Gpu(1, "1", 80, 80), Gpu(2, "2", 80, 80)]
    assert given(ask("a"), gpus) == {"a gpus/0": 1}
    assert given(ask("a"), gpus, (Lease("a", "gpus/0", 0, "", "0", 80),)) == {"a gpus/0": 0}


def test_who_waits_takes_none_from_who_does_not() -> None:
    gpus = [Gpu(number, str(number), 80, 80) for number in range(4)]
    taken: list[Gpu] = []

    def take(gpu: Gpu) -> bool:
        if gpu in taken:
            return False
        taken.append(gpu)
        return True

    found = assign((*ask("a", 2, wait=True), *ask("b", 3)), gpus, take, taken.remove)
    assert ([one.service for one in found.found], [one.service for one in found.waiting]) == (
        ["b"] * 3,
        ["a"] * 2,
    )
    found = assign(ask("a", 5, wait=True), gpus, lambda gpu: True, lambda gpu: None)
    assert (len(found.refused), found.refused) == (5, found.never), "that many there never are"


# --- the lock --------------------------------------------------------------------------------------------


@pytest.fixture
def gpu() -> str:
    return f"GPU-{uuid.uuid4().hex}"


def test_only_one_has_it_and_says_who_it_is(gpu: str) -> None:
    mine = gpu_claim.claim(gpu)
    assert mine is not None
    assert gpu_claim.name_of(mine) == gpu
    assert gpu_claim.claim(gpu) is None
    assert gpu_claim.holder(gpu) == gpu_claim.Holder(os.getpid(), os.getuid())
    copy = mine.dup()
    mine.close()
    assert gpu_claim.claim(gpu) is None, "as long as there is a copy"
    copy.close()
    assert gpu_claim.holder(gpu) is None
    again = gpu_claim.claim(gpu)
    assert again is not None
    again.close()


def test_it_goes_with_its_process_and_the_kernel_tells(gpu: str) -> None:
    code = (
        f"from launchpad.hosts.local import gpu_claim as g; c = g.claim({gpu!r}); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        watched = gpu_claim.watch(gpu)
        assert watched is not None
        assert gpu_claim.holder(gpu) == gpu_claim.Holder(other.pid, os.getuid())
        with pytest.raises(BlockingIOError):
            watched.recv(1)
        other.send_signal(signal.SIGKILL)
        watched.setblocking(True)
        watched.settimeout(DEADLINE_S)
        with pytest.raises(ConnectionResetError):
            watched.recv(1)
        watched.close()
        assert gpu_claim.holder(gpu) is None


def test_a_keeper_hands_over_what_it_holds(gpu: str) -> None:
    key = uuid.uuid4().hex
    assert gpu_handover.take_over(key) is None
    door, mine = gpu_handover.door(key), gpu_claim.claim(gpu)
    assert door is not None
    assert mine is not None
    assert gpu_handover.door(key) is None
    code = (
        "from launchpad.hosts.local import gpu_handover as h, gpu_claim as g; import sys\n"
        f"found = h.take_over({key!r}); print({{a: [g.name_of(x) for x in some] for a, some in found.items()}}, flush=True)\n"
        "input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        gpu_handover.hand_over(door, [(7, [mine.fileno()])])
        assert other.stdout.readline() == f"{{7: ['{gpu}']}}\n"
        mine.close()
        door.close()
        assert gpu_claim.claim(gpu) is None, "it has a copy"
        other.kill()
    assert gpu_claim.holder(gpu) is None


# --- one stack's -----------------------------------------------------------------------------------------


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch, runtime: Path) -> Iterator[list[str]]:
    names = [f"GPU-{uuid.uuid4().hex[:8]}-{number}" for number in range(4)]
    monkeypatch.setenv("LAUNCHPAD_GPUS", ",".join(f"{name}:80GB" for name in names))
    yield names
    assert [name for name in names if gpu_claim.holder(name)] == []


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(body(), DEADLINE_S))


def numbers(granted: Granted) -> list[int]:
    return [lease.number for lease in granted.leases.values()]


def test_all_or_none_and_the_same_again(four: list[str]) -> None:
    async def body() -> None:
        one, two = Gpus("one", GpuMemory(), print), Gpus("two", GpuMemory(), print)
        assert numbers(await one.lease(ask("a", 2), ())) == [0, 1]
        assert numbers(await one.lease(ask("a", 2), ())) == [0, 1], "what it has it gets again"
        refused = await two.lease((*ask("b", 1), *ask("c", 2)), ())
        assert not refused.leases
        assert {one.service for one in refused.refused} <= {"b", "c"}
        assert gpu_claim.holder(four[2]) is None, "nothing of it is kept"
        assert numbers(await two.lease(ask("b", 2), ())) == [2, 3]
        one.release(list(one.held))
        assert numbers(await two.lease(ask("c", 2), ())) == [0, 1]
        one.close()
        two.close()

    run(body)


def test_who_asks_for_more_than_there_is_beside_others_is_told_so(four: list[str]) -> None:
    async def body() -> None:
        one = Gpus("one", GpuMemory(), print)
        refused = await one.lease((*ask("a", 3), *ask("b", 2)), ())
        assert {(x.service, x.never) for x in refused.refused} == {("b", False)}
        assert refused.refused[0].notes == ("0-2  asked for by `a` of this stack", "3  free")
        one.close()

    run(body)


def test_they_take_turns_but_not_for_ever(four: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_claim, "TURN", f"turn-{uuid.uuid4().hex}")

    async def body() -> None:
        one = Gpus("one", GpuMemory(), print)
        rival = gpu_claim.claim(gpu_claim.TURN)
        assert rival is not None
        monkeypatch.setattr(gpus_module, "TURN_S", 3600.0)
        waiting = asyncio.ensure_future(one.lease(ask("a", 2), ()))
        assert not (await asyncio.wait([waiting], timeout=0.05))[0]
        rival.close()
        assert numbers(await waiting) == [0, 1]
        rival = gpu_claim.claim(gpu_claim.TURN)
        assert rival is not None
        monkeypatch.setattr(gpus_module, "TURN_S", 0.01)
        assert numbers(await one.lease(ask("b", 2), ())) == [2, 3]
        rival.close()
        one.close()

    run(body)


def test_what_was_let_go_is_free_once_the_copy_is_gone(four: list[str]) -> None:
    """The keeper closes its copy a moment later."""

    async def body() -> None:
        one = Gpus("one", GpuMemory(), print)
        first = await one.lease(ask("a", 4), ())
        copies = [os.dup(fd) for fd in one.claims(first.new)]
        assert len(copies) == 4
        one.release(first.new)
        waiting = asyncio.ensure_future(one.lease(ask("b", 4), ()))
        assert not (await asyncio.wait([waiting], timeout=0.05))[0]
        for fd in copies:
            os.close(fd)
        assert numbers(await waiting) == [0, 1, 2, 3]
        one.close()

    run(body)


def test_who_waits_is_told_once_it_is_let_go(four: list[str]) -> None:
    async def body() -> None:
        told: list[Fact] = []
        event = asyncio.Event()

        def tell(fact: Fact) -> None:
            told.append(fact)
            event.set()

        one, two = Gpus("one", GpuMemory(), print), Gpus("two", GpuMemory(), tell)
        await one.lease(ask("a", 4), ())
        granted = await two.lease(ask("b", 1, wait=True), ())
        assert (granted.leases, len(granted.waiting)) == ({}, 1)
        assert granted.waiting[0].notes[0].startswith("0-3  ")
        await asyncio.sleep(0)
        assert told == []
        one.release([lease for lease in one.held if lease.number == 2])
        await event.wait()
        assert told == [GpusFreed()]
        assert numbers(await two.lease(ask("b", 1, wait=True), ())) == [2]
        two.close()
        one.close()

    run(body)


class Driver(GpuMemory):
    """Two GPUs, of which somebody without a claim uses some memory."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.opened.set()
        self.names, self.free = names, [10, 30]

    def gpus(self) -> tuple[Gpu, ...]:
        pairs = enumerate(zip(self.names, self.free, strict=True))
        return tuple(Gpu(number, name, 80, free) for number, (name, free) in pairs)


def test_memory_counts_that_is_free_and_is_waited_for(
    runtime: Path, gpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells of that: it is looked again."""
    monkeypatch.delenv("LAUNCHPAD_GPUS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus_module, "LOOK_AGAIN_S", 0.01)

    async def body() -> None:
        told = asyncio.Event()
        driver = Driver([f"{gpu}-0", f"{gpu}-1"])
        one = Gpus("one", driver, lambda fact: told.set())
        assert numbers(await one.lease(ask("a", memory=20), ())) == [1]
        refused = await one.lease(ask("b", memory=20), ())
        assert refused.refused[0].notes == (
            "0  nobody's, but only 0.0 GiB of it are free",
            "1  service `a` of this stack",
        )
        assert not refused.refused[0].never
        granted = await one.lease(ask("b", memory=20, wait=True), ())
        assert (granted.leases, granted.refused) == ({}, ())
        driver.free[0] = 40
        await told.wait()
        assert numbers(await one.lease(ask("b", memory=20, wait=True), ())) == [0]
        one.close()

    run(body)


RIVAL = """
import asyncio, sys
from launchpad.core.model import GpuNeed, PortRequest
from launchpad.hosts.local.gpu import GpuMemory
from launchpad.hosts.local.gpus import Gpus

async def main():
    gpus = Gpus(sys.argv[1], GpuMemory(), print)
    while count := int(sys.stdin.readline() or 0):
        wanted = [PortRequest('s', f'gpus/{i}', 0, 9999, '', gpu=GpuNeed()) for i in range(count)]
        granted = await gpus.lease(wanted, ())
        print(*[lease.number for lease in granted.leases.values()], flush=True)
        sys.stdin.readline()
        gpus.release(list(gpus.held))
        print('free', flush=True)
asyncio.run(main())
"""
ROUNDS = 50


def test_two_at_once_never_get_the_same_and_never_half(four: list[str], tmp_path: Path) -> None:
    """Each in a runtime folder of its own, as two users are. Two of four suffice for both, three of four for one."""
    rivals = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir(mode=0o700)
        environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / name)}
        rivals.append(
            subprocess.Popen(
                [sys.executable, "-c", RIVAL, name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environ,
            )
        )

    def each(line: str) -> list[str]:
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.write(f"{line}\n")
            rival.stdin.flush()
        return [rival.stdout.readline() for rival in rivals if rival.stdout is not None]

    try:
        for turn in range(ROUNDS):
            count = 2 + turn % 2
            found = [answer.split() for answer in each(str(count))]
            every = [number for some in found for number in some]
            assert len(every) == len(set(every)), "one GPU was given twice"
            assert sorted(map(len, found)) == ([2, 2] if count == 2 else [0, 3]), found
            assert each("") == ["free\n", "free\n"]
    finally:
        for rival in rivals:
            rival.kill()
            rival.communicate()
