"""Every planted bug is noticed: by a story that reads otherwise, or by a promise that the swarm sees broken. A third of them
in each run of the tests (`tests.samples`); `scripts/gen_catches` plants all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.samples import some
from tests.sim import every_fault, swarm
from tests.sim.mutants import MUTANTS, Mutant
from tests.stories.test_stories import STORIES, told

SCHEDULES = 1000
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "simulation.md"


def by_story() -> str:
    """The first story that is told otherwise."""
    for path in STORIES:
        text = path.read_text()
        try:
            if told(text) != text:
                return path.stem
        except Exception as error:
            return f"{path.stem} ({type(error).__name__})"
    return ""


def by_promise() -> str:
    """The first schedule, or fault of the well-known course, in which a promise is broken."""
    for seed in range(SCHEDULES):
        try:
            swarm.Schedule(seed).run()
        except Exception as error:
            return f"seed {seed}: {error}"
    for point in range(0, 60, 2):
        for way in every_fault.WAYS:
            try:
                every_fault.Course({point: way}).run()
            except Exception as error:
                return f"{way} at {point}: {error}"
    return ""


def test_the_page_has_them_all() -> None:
    """docs/simulation.md, by `scripts/gen_catches`."""
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert [row[0][2:] for row in rows[1:]] == [mutant.name for mutant in MUTANTS]
    assert not [row for row in rows if "nobody" in row[1]]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_can_be_planted(mutant: Mutant) -> None:
    """The line that it changes is there."""
    with mutant.planted():
        pass


@pytest.mark.parametrize("mutant", some(MUTANTS, len(MUTANTS) // 3), ids=lambda mutant: mutant.name)
def test_mutant_is_noticed(mutant: Mutant) -> None:
    with mutant.planted():
        caught = by_story() or by_promise()
    assert caught, f"the planted bug `{mutant.name}` survives"


def test_planting_leaves_nothing_behind() -> None:
    with MUTANTS[0].planted():
        assert by_story()
    assert not by_story()
