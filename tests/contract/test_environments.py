"""What every host owes the core about environments: an answer to each request, unless it is given up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchpad.core.facts import Prepared, PrepareFailed, Preparing
from launchpad.core.model import Environment
from launchpad.core.wishes import Abandon, Prepare
from launchpad.hosts.sim_environments import Making
from tests.contract.worlds import Real, Simulated, World

ENDS = {"made": "exit 0", "fails": "echo no such package; exit 1", "hangs": "read < <(sleep 1000)"}


@pytest.fixture(params=["simulated", "real"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made: World = Simulated() if request.param == "simulated" else Real(tmp_path)
    yield made
    made.close()


def environment(world: World, folder: Path, how: str) -> Environment:
    """One of which this becomes."""
    name = str(folder / ".launchpad" / "environments" / how)
    if isinstance(world, Simulated):
        makings = {
            "made": Making(0.1),
            "fails": Making(0.1, "no such package"),
            "hangs": Making(None),
        }
        world._host.environments.makings[name] = makings[how]
    installer = folder / f"installer-{how}"
    make = f'mkdir -p "${{@: -1}}/bin"; ln -s {sys.executable} "${{@: -1}}/bin/python"'
    installer.write_text(f'#!/bin/bash\nif [ "$1" = venv ]; then {make}; exit; fi\n{ENDS[how]}\n')
    installer.chmod(0o755)
    return Environment(name, str(folder / how), ("package",), (), sys.executable, str(folder), str(installer))


def answers(world: World, request: int) -> list[Prepared | PrepareFailed]:
    return [f for f in world.facts if isinstance(f, Prepared | PrepareFailed) and f.request == request]


def test_it_is_made_once_and_found_then(world: World, tmp_path: Path) -> None:
    one = environment(world, tmp_path, "made")
    world.submit(Prepare(1, one), Prepare(1, one))
    assert world.until(lambda: answers(world, 1) or None) == [Prepared(1)]
    assert any(isinstance(fact, Preparing) and fact.request == 1 for fact in world.facts)
    world.submit(Prepare(2, one))
    assert world.until(lambda: answers(world, 2) or None) == [Prepared(2)]
    assert not any(isinstance(fact, Preparing) and fact.request == 2 for fact in world.facts)
    assert answers(world, 1) == [Prepared(1)]


def test_what_cannot_be_made_is_told(world: World, tmp_path: Path) -> None:
    world.submit(Prepare(1, environment(world, tmp_path, "fails")))
    (answer,) = world.until(lambda: answers(world, 1) or None)
    assert isinstance(answer, PrepareFailed)
    assert "no such package" in answer.text + answer.detail


def test_what_is_given_up_is_not_answered(world: World, tmp_path: Path) -> None:
    hanging = environment(world, tmp_path, "hangs")
    world.submit(Prepare(1, hanging))
    world.until(lambda: any(isinstance(fact, Preparing) for fact in world.facts) or None)
    made = environment(world, tmp_path, "made")
    world.submit(Abandon(1), Abandon(99), Prepare(2, made))
    assert world.until(lambda: answers(world, 2) or None) == [Prepared(2)]
    assert answers(world, 1) == []
