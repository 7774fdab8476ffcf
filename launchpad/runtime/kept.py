"""What came of reading the stack file, kept for the next start: as long as nothing changed, that needs to import neither
what reads YAML nor what checks it.

Decides what may be kept (nothing of a stack that has secrets), and when it still holds: the same launchpad, the same
options, and a machine that answers every question of the reading as it did (`stack.machine`). Refuses to know what a
stack is; what does not hold, or cannot be read, is as if it was not there.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

import launchpad
from launchpad.core.model import Plan
from launchpad.hosts.local import private
from launchpad.plan.head import Head
from launchpad.plan.read import Reading
from launchpad.stack.asked import ReadAs
from launchpad.stack.machine import Answers

PARTS = ("stack", "plan", "core", "recipes")
"""Of launchpad, what a plan is made by."""


class Kept(Struct, frozen=True):
    stamp: str
    file: str
    asked: ReadAs
    answers: Answers
    head: Head
    plan: Plan


def load(path: Path, file: Path, asked: ReadAs) -> Reading | None:
    """What is kept at `path` of this stack file, if that is what reading it would give."""
    data = private.read(path)
    if data is None:
        return None
    try:
        kept = msgspec.msgpack.decode(data, type=Kept)
    except msgspec.DecodeError:
        return None
    if (kept.stamp, kept.file, kept.asked) != (_stamp(), str(file), asked) or not kept.answers.hold(
        os.environ
    ):
        return None
    return Reading(file, asked, kept.answers, kept.plan, kept.head)


def save(path: Path, reading: Reading) -> None:
    """Keep it at `path`; where it may not be kept, or cannot, what was kept before goes."""
    plan = replace(reading.as_written or reading.plan, rev=1)
    kept = Kept(_stamp(), str(reading.file), reading.asked, reading.answers, reading.head, plan)
    with contextlib.suppress(OSError):
        if reading.head.hides:
            path.unlink(missing_ok=True)
            return
        try:
            private.write(path, msgspec.msgpack.encode(kept))
        except UnicodeEncodeError:  # a path that is no UTF-8
            path.unlink(missing_ok=True)


def _stamp() -> str:
    """Differs between two launchpads that may plan differently, also while somebody works on one."""
    root = Path(launchpad.__file__).parent
    newest = max(entry.stat().st_mtime_ns for part in PARTS for entry in os.scandir(root / part))
    return f"{launchpad.__version__} {newest} {sys.version} {sys.executable} {root}"
