"""What a deadline means in each phase."""

from __future__ import annotations

from launchpad.core import moves, probes
from launchpad.core.model import Outcome, Phase
from launchpad.core.state import State, Unit


def tick(state: State, unit: Unit, now: float) -> None:
    """Everything of this unit whose time has come."""
    if unit.deadline is not None and unit.deadline <= now:
        _phase_is_over(state, unit, now)
    if unit.phase is Phase.STARTING:
        _start_is_over(state, unit, now)
    probes.tick(state, unit, now)


def _phase_is_over(state: State, unit: Unit, now: float) -> None:
    unit.deadline = None
    if unit.phase is Phase.SPAWNING:
        unit.leaving = Outcome("spawn", now, None, "the start was not confirmed in time")
        moves.kill(state, unit, now, "killed: the start was not confirmed in time")
    elif unit.phase in (Phase.STOPPING, Phase.KILLING):
        moves.kill(state, unit, now, "killed: the grace period is over")
    elif unit.phase is Phase.BACKOFF:
        unit.restarts += 1
        moves.enter(state, unit, Phase.IDLE, now, "starts again")
    elif unit.phase is Phase.LOST:
        lived = now - unit.spawned_at
        gone = Outcome("lost", now, None, "gone when its host came back", lived)
        moves.die(state, unit, gone, now)


def _start_is_over(state: State, unit: Unit, now: float) -> None:
    check = unit.service.ready
    if check is None:
        return
    stalls_at = unit.stalls_at()
    if unit.give_up_at is not None and unit.give_up_at <= now:
        probes.give_up(state, unit, now, f"not ready within {seconds(check.timeout_s or 0)}")
    elif stalls_at is not None and stalls_at <= now:
        probes.give_up(state, unit, now, f"no output and no CPU use for {seconds(check.stall_s or 0)}")


def seconds(value: float) -> str:
    """`90.0` → `1 min 30 s`, in the words of the messages."""
    if value < 60:
        return f"{value:g} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
