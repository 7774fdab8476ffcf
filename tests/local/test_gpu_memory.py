"""Who holds the memory of the GPUs: by its marks, by its command, or by its pid alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from launchpad.hosts.gpu_asked import GIB
from launchpad.hosts.local.gpu_memory import holders
from launchpad.hosts.local.process import RUN, SERVICE

GONE = 2**22 + 7
"""Beyond what a pid can be."""


@contextmanager
def running(**environ: str) -> Iterator[int]:
    code = "print(flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    try:
        yield child.pid
    finally:
        child.communicate()


def test_each_is_named() -> None:
    marks = [{RUN: "r1", SERVICE: "llm"}, {RUN: "r2", SERVICE: "rag"}]
    with running(**marks[0]) as own, running(**marks[1]) as other, running() as stranger:
        memory = {own: {0: 3 * GIB}, other: {0: GIB, 1: 2 * GIB}, stranger: {1: GIB}, GONE: {1: 9 * GIB}}
        first, second = holders(memory, "r1")
    assert (
        first == f"GPU 0 is held by `llm` (pid {own}) 3.0 GiB, `rag` of another stack (pid {other}) 1.0 GiB"
    )
    assert second.startswith(
        f"GPU 1 is held by pid {GONE}, which cannot be seen from here, 9.0 GiB, `rag` of"
    )
    assert second.endswith(f"(pid {stranger}) 1.0 GiB")


def test_nobody_and_too_many() -> None:
    assert holders({}, "r1") == ()
    (line,) = holders({GONE + number: {0: GIB} for number in range(11)}, "r1")
    assert line.endswith(" and 3 more")
