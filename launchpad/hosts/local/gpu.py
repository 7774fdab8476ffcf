"""The GPUs of this machine and their memory by process, as NVML tells it. Knows nothing where there is no NVIDIA driver.

The driver may give memory back only a while after its process has ended, and the next model would not find room; so the
end of a tree is also the end of its GPU memory. Refuses to know who a process belongs to.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Any

from launchpad.hosts.gpu_asked import Gpu, size
from launchpad.hosts.local import process

DEVICES = ("/dev/nvidiactl", "/dev/dxg")


def is_likely() -> bool:
    """Whether it is worth loading NVML's bindings. LAUNCHPAD_NVML=1 says so where no device tells."""
    return bool(os.environ.get("LAUNCHPAD_NVML")) or any(map(os.path.exists, DEVICES))


class GpuMemory:
    """Opened in a thread, since a driver that was asleep takes seconds to wake up; until then nothing is known."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._devices: list[Any] = []
        self.opened = threading.Event()
        """Nothing more will be known later than is known now."""
        if is_likely():
            threading.Thread(target=self._open, name="nvml", daemon=True).start()
        else:
            self.opened.set()

    def gpus(self) -> tuple[Gpu, ...] | None:
        """What there is, with the memory that is free now; None where that is not known."""
        if self._nvml is None:
            return None
        nvml, found = self._nvml, []
        for index, device in enumerate(self._devices):
            try:
                name, memory = nvml.nvmlDeviceGetUUID(device), nvml.nvmlDeviceGetMemoryInfo(device)
            except nvml.NVMLError:
                continue  # lost, or not ours
            text = name.decode() if isinstance(name, bytes) else str(name)
            found.append(Gpu(index, text, int(memory.total), int(memory.free)))
        return tuple(found)

    def by_pid(self) -> dict[int, dict[int, int]]:
        """pid → device → bytes. Empty where nothing is known."""
        found: dict[int, dict[int, int]] = {}
        for index, device in enumerate(self._devices):
            for one in self._processes(device):
                uses = found.setdefault(one.pid, {})
                uses[index] = uses.get(index, 0) + (one.usedGpuMemory or 0)
        return found

    def total(self, pids: Iterable[int]) -> int:
        """Bytes of these processes on all devices."""
        if not self._devices:
            return 0
        found = self.by_pid()
        return sum(sum(found.get(pid, {}).values()) for pid in pids)

    def users(self, pids: set[int]) -> set[int]:
        """Those of them that have memory on any device."""
        return pids & self.by_pid().keys()

    def held(self, pids: Iterable[int]) -> str:
        """What processes that have ended still hold, in words; "" when that is nothing."""
        if not self._devices:
            return ""
        found = self.by_pid()
        return "; ".join(
            f"GPU {index} still has {size(used)} of pid {pid}, which has ended"
            for pid in sorted(found.keys() & set(pids))
            if (one := process.stat(pid)) is None or not one.lives
            for index, used in sorted(found[pid].items())
        )

    def _open(self) -> None:
        try:
            import pynvml

            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
            self._nvml = pynvml
            self._devices = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except Exception:
            self._devices = []  # no driver, or one that does not speak to these bindings
        finally:
            self.opened.set()

    def _processes(self, device: Any) -> list[Any]:
        nvml, found = self._nvml, []
        for ask in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
            try:
                found += ask(device)
            except nvml.NVMLError:
                pass  # some devices, and some containers, do not tell
        return found
