"""GPUs as they are asked for: which of them would do, and how both are said.

Decides nothing about who gets one.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from launchpad.core.model import PortRequest

GIB = 1 << 30


class Gpu(Struct, frozen=True):
    """`number` on its machine, `name` as CUDA knows it; bytes of `memory` in all and `free` now (0: not known)."""

    number: int
    name: str
    memory: int = 0
    free: int = 0


def suits(request: PortRequest, gpu: Gpu) -> bool:
    """Whether it is what is asked for, whoever has it."""
    need = request.gpu
    assert need is not None
    return gpu.number not in request.avoid and need.memory <= gpu.free and is_it(request, gpu)


def in_words(requests: Sequence[PortRequest]) -> str:
    """What one service asks for: `a GPU`, `GPUs 0 and 3`, `2 GPUs with 40.0 GiB free each`."""
    names = [name_of(one) for one in requests]
    several = len(names) > 1
    what = f"{len(names)} GPUs" if several else "a GPU"
    if all(names):
        what = f"GPUs {', '.join(names[:-1])} and {names[-1]}" if several else f"GPU {names[0]}"
    memory = max(one.gpu.memory for one in requests if one.gpu is not None)
    return what + (f" with {size(memory)} free" + (" each" if several else "") if memory else "")


def as_written(requests: Sequence[PortRequest]) -> str:
    """As a stack says it at length, where it is more than a number of GPUs."""
    memory = max(one.gpu.memory for one in requests if one.gpu is not None)
    names = [name_of(one) for one in requests]
    which = f"ids: [{', '.join(names)}]" if all(names) else f"count: {len(names)}" if memory else ""
    return which + (f", memory: {size(memory).replace(' GiB', 'GB')}" if memory else "")


def size(number: int) -> str:
    return f"{number / GIB:.1f} GiB"


def name_of(request: PortRequest) -> str:
    """As the stack names it, by UUID or number; "" where any will do."""
    if request.gpu is not None and request.gpu.device:
        return request.gpu.device
    return str(request.low) if request.low == request.high else ""


def is_it(request: PortRequest, gpu: Gpu) -> bool:
    """One of those that are asked for, however much memory it has."""
    device = request.gpu.device if request.gpu is not None else ""
    return request.low <= gpu.number <= request.high and device in ("", gpu.name)
