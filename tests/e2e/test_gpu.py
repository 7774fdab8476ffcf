"""GPU memory that outlives its process: a service has stopped when that is given back, too. NVML is played by a file."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from launchpad.hosts.gpu_asked import GIB
from launchpad.hosts.local.gpu import GpuMemory
from tests.e2e.conftest import Make
from tests.e2e.harness import alive, eventually

NVML = """
import json, pathlib
from types import SimpleNamespace
class NVMLError(Exception): pass
def nvmlInit(): pass
def _read(): return json.loads(pathlib.Path({file!r}).read_text())
def nvmlDeviceGetCount(): return len(_read())
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetComputeRunningProcesses(device):
    return [SimpleNamespace(pid=int(pid), usedGpuMemory=size) for pid, size in _read()[device].items()]
def nvmlDeviceGetGraphicsRunningProcesses(device): raise NVMLError
"""


class Fake:
    """Device → pid → bytes, for any process that imports `pynvml` from `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "gpus.json"
        (folder / "pynvml.py").write_text(NVML.format(file=str(self.file)))
        self.set({}, {})

    def set(self, *devices: dict[int, int | None]) -> None:
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(devices))
        part.rename(self.file)


@pytest.fixture
def fake(tmp_path_factory: pytest.TempPathFactory) -> Fake:
    return Fake(tmp_path_factory.mktemp("nvml"))


def test_a_zombie_has_ended(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its end and the moment in which somebody waits for it, a process counted neither as a member of its tree
    nor as one that holds memory: the next start came too early."""
    monkeypatch.syspath_prepend(fake.folder)
    monkeypatch.delitem(__import__("sys").modules, "pynvml", raising=False)
    monkeypatch.setenv("LAUNCHPAD_NVML", "1")
    ended = subprocess.Popen(["true"])
    try:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        fake.set({ended.pid: GIB})
        gpus = GpuMemory()
        assert gpus.opened.wait(20)
        assert gpus.held([ended.pid]) == f"GPU 0 still has 1.0 GiB of pid {ended.pid}, which has ended"
    finally:
        ended.wait()


def test_what_is_told(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(fake.folder)
    monkeypatch.delitem(__import__("sys").modules, "pynvml", raising=False)
    monkeypatch.setenv("LAUNCHPAD_NVML", "1")
    gone = 2**22 + 7  # beyond what a pid can be
    fake.set({os.getpid(): 3 * GIB, gone: GIB}, {gone: 2 * GIB, 1: None})
    gpus = GpuMemory()
    assert gpus.opened.wait(20)
    assert gpus.total([os.getpid()]) == 3 * GIB
    assert gpus.total([1, gone]) == 3 * GIB
    assert gpus.users({os.getpid(), gone, 99}) == {os.getpid(), gone}
    assert gpus.held([os.getpid(), gone, 99]) == (
        f"GPU 0 still has 1.0 GiB of pid {gone}, which has ended; GPU 1 still has 2.0 GiB of pid {gone}, which has ended"
    )
    assert gpus.held([os.getpid()]) == ""


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAUNCHPAD_NVML", raising=False)
    gpus = GpuMemory()
    assert gpus.opened.wait(20)
    assert (gpus.total([1]), gpus.held([1]), gpus.users({1})) == (0, "", set())


@pytest.mark.parametrize("end", ["stop", "exit"])
def test_a_stop_waits_for_gpu_memory(make_stack: Make, fake: Fake, end: str) -> None:
    """While the driver has not given it back, the service is stopping, and says why; its replacement waits."""
    stack = make_stack(
        "servers: {llm: {command: PRETEND, port: auto, restart: always, backoff: {initial: 1ms}}}"
    )
    stack.environ |= {"LAUNCHPAD_NVML": "1", "PYTHONPATH": str(fake.folder)}
    stack.up()
    pid = stack.ps()["llm"]["pid"]
    fake.set({}, {pid: 5 * GIB})
    if end == "stop":
        stack.cli("stop", "--no-wait", "llm", check=0)
    else:
        os.kill(pid, 9)
    eventually(lambda: not alive(pid), "the process is gone")
    row = eventually(
        lambda: [h for h in stack.ps()["llm"]["holds"] if h["kind"] == "tree"], "it says what it waits for"
    )
    assert row[0]["text"].endswith(f"GPU 1 still has 5.0 GiB of pid {pid}, which has ended")
    assert stack.ps()["llm"]["state"] in ("stopping", "killing")
    fake.set({}, {})
    if end == "stop":
        eventually(lambda: stack.ps()["llm"]["state"] == "idle", "it has stopped")
    else:
        eventually(
            lambda: stack.ps()["llm"]["state"] == "ready" and stack.ps()["llm"]["pid"] != pid, "it runs again"
        )
    stack.down()
