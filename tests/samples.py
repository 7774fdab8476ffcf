"""What one run of the tests takes a part of, another one each time, so that it stays short; `LAUNCHPAD_WHOLE=1` takes all."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
WHOLE = os.environ.get("LAUNCHPAD_WHOLE") == "1"
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID")
"""All workers of a run have to draw the same."""


def count(usual: int, whole: int) -> int:
    return whole if WHOLE else usual


def some(things: Sequence[T], usual: int) -> list[T]:
    """So many of them, in their order."""
    if WHOLE or usual >= len(things):
        return list(things)
    drawn = sorted(random.Random(RUN).sample(range(len(things)), usual))
    return [things[i] for i in drawn]
