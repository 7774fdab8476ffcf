"""Planted bugs: small, named mistakes in the core. Each has to be noticed, or the checkers are blind there.

A mutant replaces a few words in the source of one function and swaps the function's code, so that every
module that has imported it runs the mistake too.
"""

from __future__ import annotations
import __future__

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from launchpad.core import (
    admission,
    changes,
    environments,
    fold,
    gpus,
    holds,
    identity,
    moves,
    ports,
    probes,
    render,
    replacement,
    restarts,
    rules,
    stuck,
    ticks,
    verdict,
)
from launchpad.core.engine import Engine
from launchpad.core.state import State
from launchpad.hosts.sim import SimHost


class Mutant(Struct, frozen=True):
    """`old` occurs exactly once in the source of `function`."""

    name: str
    function: Callable[..., Any]
    old: str
    new: str

    @contextmanager
    def planted(self) -> Iterator[None]:
        good = self.function.__code__
        source = textwrap.dedent(inspect.getsource(self.function))
        assert source.count(self.old) == 1, f"`{self.old}` is not once in {self.function.__name__}"
        flags = __future__.annotations.compiler_flag
        code = compile(source.replace(self.old, self.new), self.function.__code__.co_filename, "exec", flags)
        made: dict[str, Any] = {}
        exec(code, self.function.__globals__, made)
        self.function.__code__ = made[self.function.__name__].__code__
        try:
            yield
        finally:
            self.function.__code__ = good


MUTANTS = (
    Mutant(
        "stops at once, dependents or not",
        rules.stop_what_has_to_go,
        "any(other.is_alive and doomed(state, other) for other in dependents)",
        "False",
    ),
    Mutant(
        "no kill after the grace period",
        ticks._phase_is_over,
        "in (Phase.STOPPING, Phase.KILLING)",
        "is Phase.KILLING",
    ),
    Mutant("kills the main process only", moves.kill, 'SIGKILL, "tree"', 'SIGKILL, "main"'),
    Mutant("sweeps once", moves.kill, "unit.deadline = now + RESWEEP_S", "unit.deadline = None"),
    Mutant("kills at once", moves.stop, "else unit.service.stop.grace_s", "else 0.0"),
    Mutant("one restart too many", restarts.within_budget, "<= restart.max_restarts", "<= restart.max_restarts + 1"),
    Mutant("one restart too few", restarts.within_budget, "<= restart.max_restarts", "< restart.max_restarts"),
    Mutant("deaths are not counted", moves._restart_or_fail, "unit.deaths.append(now)", "pass"),
    Mutant("deaths never grow old", restarts.within_budget, "if now - at <= restart.window_s", ""),
    Mutant("deaths of another definition count", moves.start, "if stale_definition(unit):", "if False:"),
    Mutant("no backoff", moves._restart_or_fail, "unit.deadline = now + wait", "unit.deadline = now + 0.001"),
    Mutant("what cannot help is tried again", fold._spawn_failed, "final=fact.final", "final=False"),
    Mutant("restarts against its policy", restarts.wants_restart, 'policy == "never"', "False"),
    Mutant("a hopeless start is tried again", probes.give_up, "final=final", "final=False"),
    Mutant("exit 0 of a server is a success", restarts.is_success, "unit.is_job and ", ""),
    Mutant("any exit of a job is a success", restarts.is_success, " and outcome.code == 0", ""),
    Mutant("a stop that was asked for is a death", moves.die, '("stopped", SHUT_OUT)', "(SHUT_OUT,)"),
    Mutant("facts of any attempt count", fold._current, "unit.attempt != fact.attempt or ", ""),
    Mutant("a late process is left alone", fold._end_stray, "state.wishes.append", "id"),
    Mutant("a process is gone when its main process is", fold._exited, "fact.left == 0", "True"),
    Mutant("the start is never given up", moves.start, "unit.deadline = now + SPAWN_S", "unit.deadline = None"),
    Mutant("attempts repeat after a crash", State.next_attempt, "(self.epoch << 32) | ", ""),
    Mutant("adopted twice is started twice", fold._adopted, "not in (Phase.LOST, Phase.SPAWNING)", "in ()"),
    Mutant("adopted without its ports", fold._adopted, "lease.service == unit.name", "False"),
    Mutant("keep means nothing to the next supervisor", fold._adopted, "changes.came_as(unit, fact.was)", "pass"),
    Mutant("nobody is told of an edit of before", changes.came_as, "new.on_change is OnChange.SIGNAL", "False"),
    Mutant("restarts are forgotten with a supervisor", fold._remembered, "[now - age for age in fact.deaths]", "[]"),
    Mutant("remembered deaths of another definition count", fold._remembered, "fact.digest in (\"\", unit.service.digest)", "True"),
    Mutant("remembered deaths are new ones", fold._remembered, "now - age for", "now for"),
    Mutant("a job that may be done runs again", fold._exited, "fact.code is None and unit.is_job", "False"),
    Mutant("what lived on is as young as its supervisor", moves.spawned, "(adopted.age_s or 0.0 if adopted is not None else 0.0)", "0.0"),
    Mutant("what the stack no longer has is ended by another's rule", fold._adopted, "stop=fact.stop", "stop=facts.USUAL_STOP"),
    Mutant("what comes back with its host is gone", fold._adopted, "moves.spawned(state, unit, fact.handle, now, fact)", "pass"),
    Mutant("ports are let go while they are used", rules.release_unfit, " if not uses(unit, lease)", ""),
    Mutant("ports that fit nobody are kept", ports.sort_out, "request is None or not fits(lease, request)", "False"),
    Mutant("who does not share is asked to again", render._handover, "let_go and ", "False and "),
    Mutant("what was stolen is waited for", ports.lose, "unit.role is Role.SERVICE and ", "False and "),
    Mutant("any answer is good enough", ports._answered, "batch.number != fact.batch", "False"),
    Mutant("an answer of what is gone is good enough", ports._answered, "if batch.is_void:", "if False:"),
    Mutant("what was given up is kept for nobody", ports.give_up_waiting, "state.wishes.append(AbandonPorts(state.open.number))", "pass"),
    Mutant("fails though a port is about to be free", ports.refused, "if state.awaited:", "if False:"),
    Mutant("what was refused is to come for ever", ports._is_to_come, "all(lease in leaving for lease in state.awaited)", "True"),
    Mutant("an old answer is a refusal", ports.refused, " or batch.is_old", ""),
    Mutant("what nobody wants any more is a failure", ports._who_gets_none, " if _asked_as(one) in missing", ""),
    Mutant("another range is refused as well", ports._asked_as, "port.low, port.high", "0, 0"),
    Mutant("what is let go makes no answer old", gpus.let_go, "_make_old(state)", "pass"),
    Mutant("each answer is old", ports.lease_missing, "now + LEASE_ANSWER_S)", "now + LEASE_ANSWER_S, True)"),
    Mutant("what an answer leaves open is asked by nobody", ports._close_batch, "state.leases_changed = True", "pass"),
    Mutant("a lost lease is waited for", ports.give_up_waiting, "state.open.due <= now", "False"),
    Mutant("refused ports are asked for at once again", ports.refused, "moves.enter(state, unit, Phase.FAILED, now, text)", "pass"),
    Mutant("a batch is half kept", SimHost._lease, "if refused:", "self.leases.update(granted)\n    if refused:"),
    Mutant("starts without its ports", holds._holds, "not has_ports(state, unit)", "False"),
    Mutant("nobody is bound", identity._bound_to, "need.bound and ", "False and "),
    Mutant("another identity is good enough", identity.stale, "!= (unit.service.digest, unit.nonce, _bound(state, unit))", "is None"),
    Mutant("ended on another definition, stays so", rules.forget_the_end, "not stale_definition(unit)", "True"),
    Mutant("starting is ready", stuck.satisfied, "(Phase.READY,)", "RUNNING"),
    Mutant("done once is done for ever", stuck.satisfied, "not stale_definition(dep)", "True"),
    Mutant("only those beside a failure are stuck", stuck._spread, "queue.append(other)", "pass"),
    Mutant("a failed need is waited for", stuck.need_hold, "dep.phase is Phase.FAILED", "False"),
    Mutant("one good answer is enough", probes._hit, "probes.good >= check.successes", "probes.good >= 1"),
    Mutant("an answer counts twice", probes.answered, "probes.flying.pop(fact.seq, None) is None", "False"),
    Mutant("one miss more before it is not alive", probes._miss, 'name == "alive" and probes.misses >= check.failures', 'name == "alive" and probes.misses > check.failures'),
    Mutant("lost probes are waited for", probes._expire, "if until <= now", "if False"),
    Mutant("no hard limit", ticks._start_is_over, "unit.give_up_at <= now", "False"),
    Mutant("signs of life do not count", probes.sampled, "signs.lively_at = now", "pass"),
    Mutant("silence is life", ticks._start_is_over, "stalls_at <= now", "False"),
    Mutant("who asks after the end gets a start", fold._set_goal, " or (up and state.closing is not None)", ""),
    Mutant("the first end is not the last", fold._close_asked, "if state.closing is None:", "if True:"),
    Mutant("backoff goes on after the end", moves.close, "unit.phase is Phase.BACKOFF", "False"),
    Mutant("no more grace means nothing", fold._kill_asked, "unit.phase is Phase.STOPPING or (unit.is_alive and not unit.wanted)", "False"),
    Mutant("forgotten alive", rules.forget_removed, "or unit.is_alive ", ""),
    Mutant("dependents are not asked", State.touch, "self._mark(other)", "pass"),
    Mutant("whoever refers to it is not asked", State.touch_users, "self.touch(other)", "pass"),
    Mutant("who will refer to it is not known", State._entries, "unit.pending or unit.service", "unit.service"),
    Mutant("who referred to it in an earlier life is not known", fold._adopted, "unit.pending.refs != unit.service.refs", "False"),
    Mutant("what waits for what is stuck is not", stuck._waits_for, "around.append(on)", "pass"),
    Mutant("an edit is news to nobody around", fold._plan_applied, "state.touch_users(name)", "pass"),
    Mutant("an edit is news to nobody", fold._is_no_news, "unit.service is not new and unit.service != new", "False"),
    Mutant("what is down is not asked by a plan", fold._is_no_news, "not unit.is_running or not unit.goal or ", ""),
    Mutant("who needs what is not known after an edit", fold._plan_applied, "state.index()", "pass"),
    Mutant("a new check is not looked at", fold._redefined, "moves.check_again(state, unit, old, now)", "pass"),
    Mutant("keep means nothing", changes.runs_on, "new.on_change is not OnChange.RESTART and ", "False and "),
    Mutant("done under keep runs again", changes.runs_on, "new.on_change is OnChange.KEEP and unit.phase is Phase.DONE", "False"),
    Mutant("added again, it keeps what was removed", changes.runs_on, " or unit.removed", ""),
    Mutant("what waits is lost", changes.take_definition, "unit.service, unit.pending = unit.service, unit.pending, None", "unit.pending = unit.service, None"),
    Mutant("what waits is taken under a running process", changes.take_definition, "(not goes and (unit.is_alive or unit.phase is Phase.DONE))", "False"),
    Mutant("what waits is taken only at the end", changes.take_definition, "not unit.wanted or was is None or was.nonce != unit.nonce", "False"),
    Mutant("kept with the new ports", changes._shaped_as, "ports=old.ports", "ports=new.ports"),
    Mutant("kept with a check of ports that it has not", changes._speaks_of, "ref.port in ports", "True"),
    Mutant("the port of what is kept goes", ports.sort_out, "(runs_on or key not in state.leases)", "key not in state.leases"),
    Mutant("a port that waits ends the stack", rules._may_come, " or unit.pending is not None", ""),
    Mutant("ports that wait are there", stuck.ports_to_come, "other.pending is not None", "False"),
    Mutant("told before it is ready", changes.send_signal, "(Phase.READY, Phase.UNREADY)", "(Phase.STARTING, Phase.READY, Phase.UNREADY)"),
    Mutant("told on its way out", changes.send_signal, " or doomed(state, unit)", ""),
    Mutant("told of an edit that was none", changes.redefine, "    if changed:", "    if True:"),
    Mutant("never told of an edit", changes.redefine, "waits and unit.is_alive and new.on_change is OnChange.SIGNAL", "False"),
    Mutant("its old news is news to the next process", moves.start, "unit.signal_due = unit.files_changed = unit.replace_due = False", "unit.files_changed = unit.replace_due = False"),
    Mutant("a moved address does not matter", identity.stale, "(*_own(unit), *others)", "_own(unit)"),
    Mutant("what is kept goes with an address", identity.stale, "() if unit.service.on_change is OnChange.KEEP else unit.service.refs", "unit.service.refs"),
    Mutant("another port for a replacement", ports.hold_for, "_let_go(state, old)", "pass"),
    Mutant("deaths of another definition", changes.redefine, "unit.deaths = []", "pass"),
    Mutant("done as something else", moves.die, "stale_definition(unit)", "False"),
    Mutant("what is not known yet matters", identity.moved, "not _may_come_back(state, unit, lease)", "True"),
    Mutant("what cannot come back is waited for", identity._may_come_back, " and fits(lease, port)", ""),
    Mutant("what it no longer speaks of matters", identity.moved, " if (lease.service, lease.name) in ports", ""),
    Mutant("watched files are never suspended", changes._too_often, "unit.suspended = True", "pass"),
    Mutant("watched files are suspended for ever", changes.resume, "unit.suspended, unit.changes = False, []", "pass"),
    Mutant("changes of files never grow old", changes._too_often, "if now - at < WATCH_WINDOW_S", ""),
    Mutant("changed files are not shown", changes.watched, "unit.files_changed = True", "pass"),
    Mutant("every change of files counts", changes._has_read_them, " or was.nonce != unit.nonce or unit.signal_due", ""),
    Mutant("takes over before it is ready", replacement._takes_over, "beside.phase is Phase.READY", "beside.phase in FRESH"),
    Mutant("what ends is not taken over", replacement._takes_over, "not unit.is_alive and beside.phase in FRESH", "False"),
    Mutant("what was replaced stays", replacement._swap, "Role.LEAVER, False, None", "Role.LEAVER, True, None"),
    Mutant("its port is taken over by nobody", replacement._swap, "state.leases[unit.name, port] = state.known_ports", "state.known_ports"),
    Mutant("the old port is kept for ever", replacement._swap, "[lease for lease in held if lease is not None]", "[lease for lease in held if lease is None]"),
    Mutant("a newer change waits", replacement._is_right, "unit.replace_due or ", ""),
    Mutant("goes on though nobody wants its definition", replacement._is_right, " or beside.service.digest != wanted.digest", ""),
    Mutant("goes on with an old address", replacement._is_right, "return not called_for(state, unit) and not called_for(state, beside)", "return not called_for(state, unit)"),
    Mutant("goes on beside a restart", replacement._is_right, "return not called_for(state, unit) and not called_for(state, beside)", "return not called_for(state, beside)"),
    Mutant("called off and left alone", replacement._call_off, "moves.stop(state, beside, now, \"no longer wanted as a replacement\")", "pass"),
    Mutant("called off and never made again", replacement._call_off, "unit.replace_due = unit.replace_due or again", "pass"),
    Mutant("its ports are never let go", replacement._is_over, "unit.old_leases += [*beside.old_leases, *beside.leases.values()]", "pass"),
    Mutant("its failure is not shown", replacement._is_over, "unit.failed = beside", "pass"),
    Mutant("replaced in vain for ever", replacement._is_over, "unit.failed = beside", "unit.failed, unit.replace_due = beside, True"),
    Mutant("files that nobody has read are not shown", replacement._is_over, "unit.files_changed or unit.pending is None", "False"),
    Mutant("a port for nobody is kept", replacement._give_back, "if unit.replace_due or not unit.leases:", "if True:"),
    Mutant("replaced at any age", replacement.is_replaceable, " and unit.ready_at is not None", ""),
    Mutant("a job is replaced", replacement.is_replaceable, "unit.is_job or new.kind is not Kind.SERVER", "False"),
    Mutant("its checks stay old", replacement.redefine, "old, beside.service = beside.service, new", "old = new"),
    Mutant("replaced at every reload", changes.gets_replacement, "return is_news or ", "return True or "),
    Mutant("a restart after all", changes.runs_on, "replacement.is_replaceable(unit, new)", "False"),
    Mutant("watched files restart what is to be replaced", changes.watched, "unit.replace_due = True", "unit.nonce += 1"),
    Mutant("the old one gets the new checks", changes._shaped_as, "new.on_change is OnChange.REPLACE", "False"),
    Mutant("it is given the port of the old one", ports.avoiding, "tuple(sorted(mine))", "()"),
    Mutant("it is told the port of the old one", moves.start, "if unit.role is Role.NEXT", "if False"),
    Mutant("it is meant to have the port of the old one", identity.held, "unit.role is Role.NEXT and ", "False and "),
    Mutant("its port is taken for that of the service", ports.leased, "if lease.service in fact.beside or (lease.service, lease.name) in spare:", "if False:"),
    Mutant("a replacement makes others fail", ports.lease_missing, "(unit for key, unit in state.units.items() if key in state.lacking)", "state.everyone()"),
    Mutant("a failed replacement is restarted", moves.die, "if unit.role is Role.NEXT:", "if False:"),
    Mutant("started beside what has gone", holds._before_it, "[] if state.units[unit.name].is_running else", "[] if True else"),
    Mutant("started with an address that is about to change", holds._before_it, "comes or (", "False and ("),
    Mutant("a port that comes is a failure", stuck.ports_to_come, "is_being_replaced(state, other)", "False"),
    Mutant("lost with its host, it goes on", fold._host_lost, "state.everyone()", "state.units.values()"),
    Mutant("back with its host, it is waited for", fold._host_back, "state.everyone()", "state.units.values()"),
    Mutant("no more grace, but for the second one", fold._kill_asked, "state.everyone()", "state.units.values()"),
    Mutant("the second one found is left alone", fold._adopted, "unit = state.beside[unit.name] = Unit(unit.service, Role.LEAVER, since=now)", "return"),
    Mutant("forgotten with its replacement alive", rules.forget_removed, " or unit.name in state.beside", ""),
    Mutant("finished before the second one is gone", verdict.verdict, "state.everyone()", "state.units.values()"),
    Mutant("the primary job's code is lost", rules.exit_code, "code or 1", "1"),
    Mutant("what rests keeps its GPUs", gpus.give_on, "if not rests(unit):", "if True:"),
    Mutant("what has ended has its GPUs again", fold._adopted, " if fact.lives or not lease.gpu", ""),
    Mutant("a GPU is given on while it is used", gpus.rests, "unit.phase is Phase.IDLE and ", ""),
    Mutant("whoever waits for a GPU waits for ever", gpus.freed, "state.gpus_wait, {}", "state.gpus_wait, state.gpus_wait"),
    Mutant("whoever waits for a GPU is not asked", gpus.freed, "state.touch(name)", "pass"),
    Mutant("an old answer makes wait", ports.leased, "not batch.is_old", "True"),
    Mutant("the stack's own GPUs are waited for", gpus.let_go, "freed(state)", "pass"),
    Mutant("back with its host, a GPU is waited for", fold._host_back, "gpus.freed(state)", "pass"),
    Mutant("GPUs are asked for again and again", gpus.waits, "return can and", "return False and"),
    Mutant("a GPU that is on its way is a failure", gpus.on_their_way, "not unit.wanted", "False"),
    Mutant("a port that goes is a GPU that comes", gpus.concerns, "bool(lease.gpu) == bool(refusal.gpus) and ", ""),
    Mutant("started with the GPUs of nobody", identity.missing_ports, "unit.service.leased", "unit.service.ports"),
    Mutant("an edit waits for a GPU that may come", admission._of_it, " if one.gpu is None or not one.gpu.wait", ""),
    Mutant("a done job needs its GPU for an edit", admission._of_it, "done = unit is not None", "done = False and unit is not None"),
    Mutant("what an edit frees stands in its way", admission.without_what_it_frees, "if lease is None:", "if True:"),
    Mutant("what one gets is free for the next", admission.without_what_it_frees, "freed.remove(lease)", "pass"),
    Mutant("what is refused is asked for again", admission.without_what_it_frees, " if (port.service, port.name) not in later", ""),
    Mutant("what has failed stands in the way of an edit", admission._counts, " and unit.phase is not Phase.FAILED", ""),
    Mutant("an edit leases what runs on anew", admission._of, "unit is not None and runs_on(unit, new)", "False"),
    Mutant("an edit does not look what it needs", admission._of, "if not starts and", "if True or"),
    Mutant("what failed is remembered", Engine.remembered, " and unit.phase is not Phase.FAILED", ""),
    Mutant("finished before all is gone", verdict.verdict, "not alive and state.closing is not None", "state.closing is not None"),
    Mutant("started before its environment is there", holds._environment, "if made is not None and made.done:", "if True:"),
    Mutant("an environment that is lost is not asked for again", environments.ask_again, "not made.done and made.due <= now", "False"),
    Mutant("what nobody waits for is made to its end", environments.prepare_missing, "if not made.done:", "if False:"),
    Mutant("an environment is trusted for ever", environments.prepare_missing, "if one not in waiting]", "if False]"),
    Mutant("each service asks for itself", environments.prepare_missing, "wanted not in state.preparations", "True"),
    Mutant("an environment that fails is waited for", environments.prepare_failed, "moves.enter(state, unit, Phase.FAILED, now, fact.text)", "pass"),
    Mutant("an environment that fails is asked for again and again", environments.prepare_failed, "unit.identity = wanted_identity(state, unit)", "pass"),
    Mutant("its answer reaches one service only", environments.prepared, "state.touch(unit.name)", "pass"),
    Mutant("environments are made though there are no ports", environments.prepare_missing, "state.open is not None and state.is_untouched", "False"),
    Mutant("what is given up is taken for made", environments._asked, "made.request == request and not made.done", "not made.done"),
)  # fmt: skip
