"""Every launcher that can be measured, by name."""

from __future__ import annotations

from benchmarks.adapters.base import Adapter
from benchmarks.adapters.daemons import Circus, ProcessCompose, Supervisord
from benchmarks.adapters.launchpad import Launchpad
from benchmarks.adapters.limits import FloorC, FloorPython
from benchmarks.adapters.node import Concurrently, Mprocs, Pm2
from benchmarks.adapters.procfiles import Foreman, Goreman, Hivemind, Honcho, HonchoLoop, Overmind
from benchmarks.adapters.trees import S6, Dinit, Runit

CLASSES: tuple[type[Adapter], ...] = (
    FloorC, FloorPython, Launchpad, Supervisord, Circus, ProcessCompose, Honcho, HonchoLoop, Foreman, Hivemind,
    Overmind, Goreman, Runit, S6, Dinit, Mprocs, Concurrently, Pm2,
)  # fmt: skip


def everyone() -> list[Adapter]:
    """In the order of the tables."""
    return [made() for made in CLASSES]


def by_name(name: str) -> Adapter:
    """Also `module:Class`, for one that is not in the list."""
    if ":" in name:
        import importlib

        module, _, wanted = name.partition(":")
        made: Adapter = getattr(importlib.import_module(module), wanted)()
        return made
    return next(adapter for adapter in everyone() if adapter.name == name)
