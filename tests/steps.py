"""Costs counted in lines of Python that are run: the same on every machine, unlike time."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

import launchpad

PACKAGE = os.path.dirname(launchpad.__file__)


def steps(work: Any, under: str = "") -> int:
    """How many lines of launchpad, or of this folder of it, `work` runs; each turn of a comprehension counts."""
    found, folder = 0, os.path.join(PACKAGE, under)

    def local(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal found
        found += event == "line"
        return local

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        return local if frame.f_code.co_filename.startswith(folder) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return found
