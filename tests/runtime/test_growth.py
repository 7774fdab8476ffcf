"""What a save costs grows no faster than the file: counted in lines of Python that are run, not in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchpad.plan.diff import Now, diff
from launchpad.plan.read import Reading, read_stack
from tests.steps import steps


def text(count: int, edited: str = "") -> str:
    services = [
        f"  s{i}: {{command: [serve, '{edited if i == 1 else ''}'], port: {20000 + i}, depends_on: [s{max(0, i - 1)}]}}\n"
        if i
        else "  s0: {command: serve, port: 20000}\n"
        for i in range(count)
    ]
    return "servers:\n" + "".join(services)


def a_save(folder: Path, count: int) -> tuple[int, int, int]:
    """Steps of reading from nothing, of reading after an edit of one service, and of comparing."""
    file = folder / f"{count}.yaml"
    file.write_text(text(count))
    old = read_stack(file)
    fresh = steps(lambda: read_stack(file))
    file.write_text(text(count, "edited"))
    found: list[Reading] = []
    again = steps(lambda: found.append(read_stack(file, before=old)))
    now = Now(
        running={service.name: service.digest for service in old.plan.services},
        goals={service.name: True for service in old.plan.services},
        ports={(service.name, "main"): 20000 for service in old.plan.services},
    )
    compared = steps(lambda: diff(old, found[0], now))
    return fresh, again, compared


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    folder = tmp_path_factory.mktemp("growth")
    return a_save(folder, 40), a_save(folder, 160)


@pytest.mark.parametrize("what", [0, 1, 2], ids=["read", "read again", "compare"])
def test_four_times_the_services_are_four_times_the_steps(
    costs: tuple[tuple[int, int, int], tuple[int, int, int]], what: int
) -> None:
    few, many = (cost[what] for cost in costs)
    assert few > 0
    assert many <= 4.5 * few


def test_reading_again_does_little(
    costs: tuple[tuple[int, int, int], tuple[int, int, int]],
) -> None:
    """Only a turn or two for each service that was not edited."""
    fresh, again, _ = costs[1]
    assert again < 0.1 * fresh
