"""Whether it is worth waiting for a GPU that was refused: not where those who have it never end."""

from __future__ import annotations

import pytest

from launchpad.core.facts import Refusal
from launchpad.core.gpus import may_come
from tests.sim import notation

SERVICES = {line.split()[1]: notation.service(line) for line in ("server llm", "server board", "job train")}


@pytest.mark.parametrize(
    ("wanted", "holders", "worth"),
    [
        (1, ("llm", "llm"), False),
        (1, ("llm", "train"), True),
        (2, ("llm", "train"), False),
        (2, ("train", "train"), True),
        (1, ("llm", ""), True),
        (2, ("llm", "board", "", ""), True),
        (3, ("llm", "board", "", ""), False),
        (1, ("removed",), True),
        (1, (), False),
    ],
)
def test_it_is_worth_waiting_for_what_ends(wanted: int, holders: tuple[str, ...], worth: bool) -> None:
    assert may_come(Refusal("more", "gpus/0", 0, 9999, (), gpus=wanted, holders=holders), SERVICES) is worth


def test_nobody_waits_for_what_there_is_not() -> None:
    known = Refusal("more", "gpus/0", 0, 9999, (), gpus=1, holders=("", ""))
    assert may_come(known, SERVICES)
    assert not may_come(Refusal("more", "gpus/0", 0, 9999, (), gpus=1, holders=("",), never=True), SERVICES)
    assert not may_come(Refusal("more", "gpus/0", 0, 9999, (), gpus=1, holders=("",), unknown=True), SERVICES)
