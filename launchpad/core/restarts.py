"""Whether and when something that ended is started again: policy, budget, backoff."""

from __future__ import annotations

from launchpad.core.model import Outcome, Restart
from launchpad.core.state import Unit

SPREAD = 0.1
"""Backoff is spread by up to this share, so that what died together does not come back together."""


def is_success(unit: Unit, outcome: Outcome) -> bool:
    """A job's exit 0. A server that nobody asked to leave has failed, whatever its code."""
    return unit.is_job and outcome.kind == "exit" and outcome.code == 0


def wants_restart(unit: Unit, outcome: Outcome) -> bool:
    policy = unit.service.restart.policy
    if outcome.final or policy == "never":
        return False
    return policy == "always" or not is_success(unit, outcome)


def within_budget(unit: Unit, now: float) -> bool:
    """Counts this death too: `max_restarts` restarts are made within the window, not one more."""
    restart = unit.service.restart
    unit.deaths = [at for at in unit.deaths if now - at <= restart.window_s]
    return len(unit.deaths) <= restart.max_restarts


def backoff_s(restart: Restart, name: str, deaths: int, attempt: int) -> float:
    """Seconds to wait after the `deaths`-th death in the window: exponential, capped, spread repeatably."""
    try:
        plain = min(restart.max_s, restart.initial_s * restart.factor ** max(0, deaths - 1))
    except OverflowError:
        plain = restart.max_s
    return float(plain * (1 + SPREAD * _fraction(f"{name}:{attempt}")))


def _fraction(seed: str) -> float:
    """A number in [0, 1) from a string, the same in every process (unlike `hash`)."""
    value = 2166136261
    for byte in seed.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value / 2**32
