"""Recipes with the real programs, for those that are installed: LAUNCHPAD_RECIPE_ENVS is a folder of virtual environments
(`scripts/recipes` makes them). uvicorn is always there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from launchpad.stack.recipe import names, packaged
from tests.e2e.conftest import Make, make_stack  # noqa: F401
from tests.recipes.real.programs import FAILURES, NOT_HERE, PROGRAMS, Failure
from tests.recipes.real.run import fail, play, python_of

ENVS = os.environ.get("LAUNCHPAD_RECIPE_ENVS", "")


def test_every_recipe_is_tried_or_says_why_not() -> None:
    assert {*PROGRAMS, *NOT_HERE} == set(names())
    assert not set(PROGRAMS) & set(NOT_HERE)


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_brings_it_is_what_was_tried(name: str) -> None:
    recipe = packaged(name)
    assert recipe is not None
    tried = [line.partition("==")[0] for line in PROGRAMS[name].install]
    assert recipe.head.requirements
    assert set(recipe.head.requirements) <= set(tried)


def env_of(name: str) -> Path | None:
    if ENVS and python_of(Path(ENVS) / PROGRAMS[name].env).exists():
        return Path(ENVS) / PROGRAMS[name].env
    return Path(sys.prefix) if name == "uvicorn" else None


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", PROGRAMS)
def test_start_ask_stop_and_nothing_is_left(make_stack: Make, name: str) -> None:  # noqa: F811
    env = env_of(name)
    if env is None:
        pytest.skip(f"`{' '.join(PROGRAMS[name].install)}` is not installed (LAUNCHPAD_RECIPE_ENVS)")
    seen = play(name, PROGRAMS[name], env, make_stack("servers: {}"))
    assert (seen.left, seen.left_by_kill, seen.ports_free) == (0, 0, True)


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("failure", FAILURES, ids=lambda one: f"{one.recipe}-{one.keys}")
def test_a_trap_is_told(make_stack: Make, failure: Failure) -> None:  # noqa: F811
    env = env_of(failure.recipe)
    if env is None:
        pytest.skip(f"`{failure.recipe}` is not installed (LAUNCHPAD_RECIPE_ENVS)")
    if failure.recipe == "jupyter" and os.geteuid() != 0:
        pytest.skip("only root is refused")
    assert f"that is: {failure.says}" in fail(failure, env, make_stack("servers: {}"))
