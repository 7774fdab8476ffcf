"""What the core knows to be wrong, in words."""

from __future__ import annotations

import pytest

from launchpad.core.engine import Engine
from launchpad.core.facts import PlanApplied
from launchpad.core.model import Outcome, Phase
from launchpad.errors import Diagnostic
from launchpad.runtime.problems import problem
from tests.sim import notation


def told(line: str, *history: Outcome) -> Diagnostic:
    """Of a service that has failed for good, after these ends."""
    engine = Engine(1)
    plan = notation.plan(1, [line])
    engine.step(0.0, [PlanApplied(plan, ((plan.services[0].name, True),))])
    unit = engine.units[plan.services[0].name]
    unit.phase, unit.last, unit.history = Phase.FAILED, history[-1], [*history]
    found = problem(engine, unit, lambda *path, text="": None, lambda name: (), {})
    assert found is not None
    return found


EXIT = Outcome("exit", 1.0, 7, "exit 7 after 0.1 s", 0.1)


@pytest.mark.parametrize(
    ("line", "title", "budget"),
    [
        ("server llm policy=never", "`llm` crashed", False),
        ("job llm policy=never", "`llm` failed", False),
        ("server llm max=1", "`llm` crashed and was given up", True),
    ],
)
def test_who_is_never_started_again_was_not_given_up(line: str, title: str, budget: bool) -> None:
    """`launchpad start` may have started it more than once."""
    found = told(line, EXIT, EXIT)
    assert (found.code, found.message) == ("E501", title)
    assert ("`max_restarts` is" in found.notes[1]) == budget


def test_what_was_stopped_because_it_was_not_alive_did_not_crash() -> None:
    found = told("server llm policy=never", Outcome("unhealthy", 1.0, None, "not alive: answers 500", 0.1))
    assert (found.code, found.message) == ("E503", "`llm` was no longer healthy")
