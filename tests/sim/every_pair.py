"""Every pair of faults of the short course, each with a course of its own from there on.

Decides which faults make a difference at a point, and shares what runs have in common: where a fault can strike,
the process forks, and the child goes on with it; so nothing is run twice up to its second fault. A program of its own,
since a large process with threads is a bad one to fork: `python -m tests.sim.every_pair PART PARTS` prints JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from launchpad.core.facts import Exited, Fact, Spawned, SpawnFailed
from launchpad.core.wishes import HostWish
from tests.sim import every_fault

MOST = 2
"""Faults in one run."""


def ways(thing: HostWish | Fact) -> list[str]:
    """A wish can be lost; an answer can also come late or twice. That a process ended is never lost for good."""
    if isinstance(thing, HostWish):
        return ["lose"]
    found = ["late", "later", "double"]
    if not isinstance(thing, Exited):
        found.append("lose")
    if isinstance(thing, Spawned | SpawnFailed):
        found.append("fail")
    return found


class Forks(every_fault.Breaks):
    """Breaks everything: in children. This process's own first faults are those of every `parts`-th point."""

    part: int = 0
    parts: int = 1

    def strike(self, point: int, thing: HostWish | Fact) -> str:
        if len(self.breaks) == MOST or (not self.breaks and point % self.parts != self.part):
            return ""
        for way in ways(thing):
            if (pid := os.fork()) == 0:
                self.breaks = {**self.breaks, point: way}
                return way
            os.waitpid(pid, 0)
        return ""


def run(part: int, parts: int) -> dict[str, Any]:
    """`runs`: how many ended, by their number of faults; `broken`: the faults of those that did not end well."""
    with tempfile.TemporaryFile() as notes:
        file, here = notes.fileno(), os.getpid()
        faults = Forks(every=every_fault.Short.every, part=part, parts=parts)
        try:
            every_fault.Short({}, faults).run()
            _append(file, {"runs": len(faults.breaks)})
        except Exception as error:
            _append(file, {"broken": faults.breaks, "why": f"{type(error).__name__}: {error}"[:1000]})
        if os.getpid() != here:
            os._exit(0)
        notes.seek(0)
        found = [json.loads(line) for line in notes.read().splitlines()]
    runs = [one["runs"] for one in found if "runs" in one]
    broken = [one for one in found if "broken" in one]
    return {"runs": [runs.count(faults) for faults in range(MOST + 1)], "broken": broken}


def _append(file: int, note: dict[str, Any]) -> None:
    os.write(file, json.dumps(note).encode() + b"\n")


def planted(name: str) -> AbstractContextManager[None]:
    from tests.sim.mutants import MUTANTS

    return next(one for one in MUTANTS if one.name == name).planted()


def main(part: str, parts: str, mutant: str = "") -> None:
    """With the name of a planted bug: what it breaks."""
    gc.collect()
    gc.freeze()
    gc.disable()  # children are short-lived; what they touch would be copied
    with planted(mutant) if mutant else nullcontext():
        print(json.dumps(run(int(part), int(parts))))


if __name__ == "__main__":
    main(*sys.argv[1:])
