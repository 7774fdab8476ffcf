"""GPUs that a service asks for, and GPUs that two services of one stack name."""

from __future__ import annotations

from collections.abc import Iterator

from launchpad.core.model import GpuNeed, PortRequest
from launchpad.errors import Diagnostic, Label
from launchpad.stack.loaded import Loaded
from launchpad.stack.problems import CONFLICT, error

TWICE = "E322"
ANY = (0, 9999)
SET = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


def requests(loaded: Loaded, name: str) -> tuple[PortRequest, ...]:
    """One for each GPU, in the order in which the process is to see them."""
    written = loaded.service(name).gpus
    if written is None:
        return ()
    found = []
    for index, one in enumerate(written.ids or [""] * (written.count or 1)):
        low, high = (int(one), int(one)) if one.isdecimal() else ANY
        need = GpuNeed("" if one.isdecimal() else one, written.memory, written.wait)
        found.append(PortRequest(name, f"gpus/{index}", low, high, "", gpu=need))
    return tuple(found)


def shape(loaded: Loaded, name: str) -> list[object]:
    """What of it a process is started with; whether it waited for them is no part of that."""
    written = loaded.service(name).gpus
    return [] if written is None else [list(written.ids), written.count or 1, written.memory]


def problems(loaded: Loaded, names: list[str]) -> Iterator[Diagnostic]:
    seen: dict[str, str] = {}
    for name in names:
        service, at = loaded.service(name), loaded.span(name, "gpus")
        if service.gpus is None:
            continue
        for one in service.gpus.ids:
            other = seen.setdefault(one, name)
            waits = service.gpus.wait or getattr(loaded.service(other).gpus, "wait", False)
            if other != name and not waits and _together(loaded, other, name):
                first = loaded.span(other, "gpus")
                message = f"GPU {one} is asked for by `{other}` and `{name}`"
                others = [Label(first, f"`{other}` takes it")] if first else []
                hint = "give each its own, or a count; `wait: true` where one may come after the other"
                yield error(TWICE, message, at, f"`{name}` asks for it as well", others=others, hint=hint)
        for variable in SET:
            if variable in service.environment:
                message = f"`gpus` sets {variable}, and `environment` of `{name}` has it as well"
                span = loaded.span(name, "environment", variable)
                yield error(CONFLICT, message, span, hint="leave one of them out")


def _together(loaded: Loaded, one: str, other: str) -> bool:
    first, second = loaded.service(one).profiles, loaded.service(other).profiles
    return not first or not second or bool(set(first) & set(second))
