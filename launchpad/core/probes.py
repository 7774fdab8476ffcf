"""When to probe, and what an answer means. Fast at first, then quiet; a silent server holds nothing up."""

from __future__ import annotations

from collections import ChainMap

from launchpad.core import moves, render
from launchpad.core.facts import Probed, Sampled
from launchpad.core.model import Check, Outcome, Phase, Probing, Seen
from launchpad.core.state import MAX_SIGHTS, Probes, Sight, State, Unit, flying_limit
from launchpad.core.wishes import Probe, Sample

FIRST_S, FIRST_ANSWERED_S = 0.002, 0.02
SLOWEST_S = 0.25
AGE_SHARE, AGE_SHARE_ANSWERED = 0.02, 0.05
"""While starting, the time between probes is this share of the wait so far, between the two above. A door that is
shut costs next to nothing to try; a server that answers, but not well yet, is asked less often: it may write each
request into its log."""
SILENT_S, SILENT_CROWD_S = 0.05, 0.0025
"""While probes are under way and unanswered: the least time between two; times those that are starting."""
LOOK_EVERY_S = 1.0
SURE = 2
"""Seen so often, a wrong address or a stranger is no passing state of a start."""
QUIET_S = 1.5
"""Unless it shows signs of life: what loads may have opened a port of its own long before the one that it was given."""
ANSWER_SLACK_S = 2.0
"""A probe that a host has not answered this long after its own timeout is lost."""
EVENT_AGAIN_S = 30.0
CPU_SHARE = 0.01
"""Less than this share of a core is what an idle process uses: no sign of life."""


def pace_s(state: State, unit: Unit, name: str, check: Check, now: float) -> float:
    """Seconds to the next probe. Liveness keeps its own interval, whatever readiness says."""
    if name == "ready" and unit.phase is Phase.UNREADY:
        return min(check.interval_s or 1.0, 1.0)
    if unit.phase is not Phase.STARTING:
        return check.interval_s or 1.0
    answers = bool(unit.sights) and unit.sights[-1].kind not in ("refused", "missing")
    first, share = (FIRST_ANSWERED_S, AGE_SHARE_ANSWERED) if answers else (FIRST_S, AGE_SHARE)
    first = first if not check.argv else 0.1
    crowd = 0.0004 * state.starting
    age = now - unit.spawned_at
    slowest = SLOWEST_S if not check.argv else 1.0
    return min(max(slowest, crowd), max(first, crowd, share * age))


def tick(state: State, unit: Unit, now: float) -> None:
    """Send the probes and samples that are due, give up those that were lost."""
    if not unit.is_running:
        return
    for name, check, probes in (
        ("ready", unit.service.ready, unit.ready),
        ("alive", unit.service.alive, unit.alive),
    ):
        if check is not None:
            _expire(state, unit, name, check, probes, now)
            if unit.is_running:
                _send(state, unit, name, check, probes, now)
    if unit.phase is Phase.STARTING and unit.signs.next_at is not None and unit.signs.next_at <= now:
        check = unit.service.ready
        assert check is not None
        assert check.stall_s is not None
        unit.signs.next_at = now + moves.sample_every_s(check.stall_s)
        state.wishes.append(Sample(unit.name, unit.attempt))


def _send(state: State, unit: Unit, name: str, check: Check, probes: Probes, now: float) -> None:
    if probes.next_at is None or probes.next_at > now or len(probes.flying) >= flying_limit(check):
        return
    probing = _probing(state, unit, check)
    if probing is None:
        probes.next_at = now + LOOK_EVERY_S
        return
    state.probe_counter += 1
    look = name == "ready" and unit.phase is Phase.STARTING and now - unit.looked_at >= LOOK_EVERY_S
    if look:
        unit.looked_at = now
    wait = EVENT_AGAIN_S if check.kind.is_event else check.probe_timeout_s + ANSWER_SLACK_S
    probes.flying[state.probe_counter] = now + wait
    probes.next_at = now + pace_s(state, unit, name, check, now)
    if unit.phase is Phase.STARTING:
        _look_past_silence(state, check, probes, now)
    state.wishes.append(Probe(unit.name, unit.attempt, name, state.probe_counter, probing, look))


def _look_past_silence(state: State, check: Check, probes: Probes, now: float) -> None:
    """A server that accepts and says nothing while it loads may never answer those who came early, and one
    that is slow answers each of them late. So half of the probes under way are left to their time, and the
    others make room for new ones: whenever it begins to answer, somebody has just asked."""
    limit = flying_limit(check)
    if limit == 1 or len(probes.flying) < limit // 2:
        return
    assert probes.next_at is not None
    calm = max(SILENT_S, SILENT_CROWD_S * state.starting)
    probes.next_at = max(probes.next_at, now + calm)
    if len(probes.flying) >= limit:
        del probes.flying[list(probes.flying)[limit // 2]]


def _probing(state: State, unit: Unit, check: Check) -> Probing | None:
    """A process is probed at the ports that it was started with; a check that was changed since may speak of
    others. None: nobody holds those yet."""
    assert unit.identity is not None
    told = {(lease.service, lease.name): lease for lease in unit.identity.leases}
    try:
        return render.probing(check, ChainMap(told, state.leases))
    except KeyError:
        return None


def _expire(state: State, unit: Unit, name: str, check: Check, probes: Probes, now: float) -> None:
    lost = [seq for seq, until in probes.flying.items() if until <= now]
    for seq in lost:
        del probes.flying[seq]
        if not check.kind.is_event and unit.is_running:
            _miss(state, unit, name, check, probes, Seen("silent", "no answer"), now)


def answered(state: State, unit: Unit, fact: Probed, now: float) -> None:
    check = unit.service.ready if fact.check == "ready" else unit.service.alive
    probes = unit.ready if fact.check == "ready" else unit.alive
    if not unit.is_running or check is None or probes.flying.pop(fact.seq, None) is None:
        return
    if unit.phase is Phase.STARTING and fact.check == "ready":
        _remember(state, unit, fact.seen, now)
    if fact.ok:
        _hit(state, unit, fact.check, check, probes, now)
    else:
        _miss(state, unit, fact.check, check, probes, fact.seen, now)


def _hit(state: State, unit: Unit, name: str, check: Check, probes: Probes, now: float) -> None:
    probes.misses = 0
    probes.good += 1
    if name == "alive" or unit.phase is Phase.READY:
        return
    if probes.good >= check.successes:
        probes.flying.clear()
        moves.become_ready(state, unit, now)
    else:
        unit.signs.lively_at = now  # it answers
        probes.next_at = now + min(1.0, check.interval_s or 1.0)


def _miss(state: State, unit: Unit, name: str, check: Check, probes: Probes, seen: Seen, now: float) -> None:
    probes.good = 0
    probes.misses += 1
    if name == "alive" and probes.misses >= check.failures:
        text = f"not alive: {seen.text} ({probes.misses} times)"
        outcome = Outcome("unhealthy", now, None, text, now - unit.spawned_at)
        moves.stop(state, unit, now, text, outcome)
    elif name == "ready" and unit.phase is Phase.READY and probes.misses >= check.failures:
        moves.enter(state, unit, Phase.UNREADY, now, f"no longer ready: {seen.text}")
        probes.next_at = now + pace_s(state, unit, name, check, now)
    elif name == "ready" and unit.phase is Phase.STARTING and seen.final:
        give_up(state, unit, now, seen.text, final=True)


def give_up(state: State, unit: Unit, now: float, text: str, *, final: bool = False) -> None:
    """The start has failed although the process lives."""
    outcome = Outcome("unready", now, None, text, now - unit.spawned_at, final=final)
    moves.stop(state, unit, now, f"given up: {text}", outcome)


def _remember(state: State, unit: Unit, seen: Seen, now: float) -> None:
    last = unit.sights[-1] if unit.sights else None
    if last is not None and (last.kind, last.text) == (seen.kind, seen.text):
        last.count += 1
        last.last_at = now
        _be_sure(state, unit, last, now)
        return
    looked = last is not None and last.kind == "elsewhere" and now - last.last_at < 2 * LOOK_EVERY_S
    if looked and seen.kind in ("refused", "silent"):
        return  # only some probes look further; the others see the closed door again
    unit.sights = [*unit.sights, Sight(seen.kind, seen.text, now, now)][-MAX_SIGHTS:]
    state.note(now, unit, "probe", seen.text)


def _be_sure(state: State, unit: Unit, sight: Sight, now: float) -> None:
    """A note is what makes people look again."""
    if sight.sure or sight.count < SURE or sight.kind not in ("stranger", "elsewhere"):
        return
    signs = unit.signs
    if sight.kind == "elsewhere" and signs.next_at is not None:
        signs.next_at = min(signs.next_at, now)  # a sample with each look
        if signs.sampled_at < sight.first_at or now - signs.lively_at < QUIET_S:
            return
    sight.sure = True
    state.note(now, unit, "probe", f"still {sight.text}")


def sampled(unit: Unit, fact: Sampled, now: float) -> None:
    """Output, CPU or GPU memory that moved since the last sample is a sign of life."""
    signs = unit.signs
    busy = fact.cpu_s - signs.cpu_s > CPU_SHARE * max(0.0, now - signs.sampled_at)
    moved = fact.output_bytes != signs.output_bytes or fact.gpu_bytes != signs.gpu_bytes
    if signs.output_bytes < 0 or busy or moved:
        signs.lively_at = now
    signs.output_bytes, signs.cpu_s, signs.gpu_bytes = fact.output_bytes, fact.cpu_s, fact.gpu_bytes
    signs.sampled_at = now
