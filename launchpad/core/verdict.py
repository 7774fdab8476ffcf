"""What the stack as a whole is: starting, up, stopping or finished; and with which exit code."""

from __future__ import annotations

from dataclasses import dataclass

from launchpad.core.holds import blocked
from launchpad.core.model import Phase
from launchpad.core.state import State, Unit


@dataclass(frozen=True, slots=True)
class Verdict:
    """`phase`: starting, up (every server ready, every job started or done), degraded (as far as it gets:
    something failed, the rest is up), stopping, finished.
    `code` is set when it is finished. `failed` and `blocked` are names."""

    phase: str
    code: int | None
    failed: tuple[str, ...]
    blocked: tuple[str, ...]


def verdict(state: State) -> Verdict:
    wanted = [unit for unit in state.units.values() if unit.wanted]
    failed = tuple(u.name for u in state.units.values() if u.phase is Phase.FAILED and not u.removed)
    held = blocked(state)
    alive = any(unit.is_alive for unit in state.everyone())
    if not alive and state.closing is not None:
        return Verdict("finished", state.closing, failed, held)
    if state.closing is not None or (alive and not wanted):
        return Verdict("stopping", None, failed, held)
    if not alive and wanted and _is_over(state, wanted, held):
        return Verdict("finished", int(bool(failed or held)), failed, held)
    missing = [unit for unit in wanted if not _is_up(unit)]
    stuck = all(unit.phase is Phase.FAILED or unit.name in held for unit in missing)
    phase = "up" if not missing else "degraded" if stuck else "starting"
    return Verdict(phase, None, failed, held)


def _is_over(state: State, wanted: list[Unit], held: tuple[str, ...]) -> bool:
    """All ended, or cannot start; and nobody holds a service down who may want it back."""
    if any(unit.held_down and not unit.removed for unit in state.units.values()):
        return False
    return all(unit.phase in (Phase.DONE, Phase.FAILED) or unit.name in held for unit in wanted)


def _is_up(unit: Unit) -> bool:
    if unit.is_job:
        return unit.is_running or unit.phase is Phase.DONE
    return unit.phase is Phase.READY
