"""What the stack as a whole is: starting, up, stopping or finished; and with which exit code."""

from __future__ import annotations

from msgspec import Struct

from launchpad.core.model import Phase
from launchpad.core.state import State, Unit
from launchpad.core.stuck import stuck


class Verdict(Struct, frozen=True):
    """`phase`: starting, up (every server ready, every job started or done), degraded (as far as it gets:
    something failed, the rest is up), stopping, finished.
    `code` is set when it is finished. `failed` and `blocked` are names."""

    phase: str
    code: int | None
    failed: tuple[str, ...]
    blocked: tuple[str, ...]


def verdict(state: State) -> Verdict:
    has_failed, is_ready = Phase.FAILED, Phase.READY  # looked up once: that costs more than all else here
    wanted = [unit for unit in state.units.values() if unit.goal and not unit.removed]
    failed = tuple([u.name for u in state.units.values() if u.phase is has_failed and not u.removed])
    known = stuck(state)
    blocked = tuple([unit.name for unit in wanted if unit.name in known]) if known else ()
    alive = any(unit.is_alive for unit in state.everyone())
    if not alive and state.closing is not None:
        return Verdict("finished", state.closing, failed, blocked)
    if state.closing is not None or (alive and not wanted):
        return Verdict("stopping", None, failed, blocked)
    if not alive and wanted and _is_over(state, wanted, blocked):
        return Verdict("finished", int(bool(failed or blocked)), failed, blocked)
    missing = [unit for unit in wanted if unit.phase is not is_ready and not _is_up(unit)]
    over = all(unit.phase is Phase.FAILED or unit.name in blocked for unit in missing)
    phase = "up" if not missing else "degraded" if over else "starting"
    return Verdict(phase, None, failed, blocked)


def _is_over(state: State, wanted: list[Unit], blocked: tuple[str, ...]) -> bool:
    """All ended, or cannot start; and nobody holds a service down who may want it back."""
    if any(unit.held_down and not unit.removed for unit in state.units.values()):
        return False
    return all(unit.phase in (Phase.DONE, Phase.FAILED) or unit.name in blocked for unit in wanted)


def _is_up(unit: Unit) -> bool:
    if unit.is_job:
        return unit.is_running or unit.phase is Phase.DONE
    return unit.phase is Phase.READY
