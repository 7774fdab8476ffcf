"""From a loaded stack to the plan: every service normalised, in an order in which nobody comes before its needs.

Decides all defaults, so that no `None` is left to be interpreted. Knows nothing of hosts or of what runs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping

from msgspec import Struct

from launchpad.core.model import (
    Check,
    CheckKind,
    Condition,
    Kind,
    Need,
    OnChange,
    Plan,
    PortRequest,
    Ref,
    Restart,
    Service,
    Sink,
    Stop,
    Text,
)
from launchpad.errors import Diagnostic, Refused
from launchpad.plan import checks, gpus, graph, ports, replaced
from launchpad.plan.digest import digest
from launchpad.plan.environment import environment
from launchpad.plan.environments import environment_of, venv_folder
from launchpad.plan.texts import text
from launchpad.stack import machine, parts
from launchpad.stack.loaded import Loaded
from launchpad.stack.problems import unique
from launchpad.stack.schema import Job, Server

Requests = Mapping[str, tuple[PortRequest, ...]]


def build(loaded: Loaded, rev: int = 1) -> Plan:
    """The plan of a stack. Raises Refused with everything that is wrong with its graph and ports."""
    found = unique(problems(loaded))
    if found:
        raise Refused(found)
    return plan(loaded, rev)


class Planned(Struct, frozen=True):
    """An earlier reading and its plan."""

    loaded: Loaded
    plan: Plan

    def services(self, loaded: Loaded) -> dict[str, Service]:
        """Those that would be planned the same again: they, and what they need, are what they were, which is so only
        among the same surroundings (`stack.again`), with the same variables; and no folder is looked at."""
        return {one.name: one for one in self.plan.services if self._is_same(loaded, one.name)}

    def _is_same(self, loaded: Loaded, name: str) -> bool:
        was = self.loaded
        if name not in loaded.trees or was.service(name).venv is not None or name in was.made:
            return False
        names = (name, *was.service(name).depends_on)
        same = all(on in loaded.trees and loaded.service(on) is was.service(on) for on in names)
        now, then = loaded.needs[name], was.needs[name]
        same = same and (now.said, now.groups) == (then.said, then.groups)
        return same and loaded.environment[name] == was.environment[name]


def plan(loaded: Loaded, rev: int = 1, before: Planned | None = None) -> Plan:
    """The plan of a stack that has no `problems`. What would be the same as in an earlier one is taken from it."""
    known = before.services(loaded) if before is not None else {}
    asked = {name: ports.requests(loaded, name) for name in loaded.order}
    order = graph.topological({name: list(loaded.service(name).depends_on) for name in loaded.order})
    return Plan(rev, tuple(known.get(name) or planned(loaded, name, asked) for name in order))


def problems(loaded: Loaded) -> Iterator[Diagnostic]:
    """What is wrong between services; also for a stack of which some services could not be read."""
    yield from graph.problems(loaded)
    usable = [name for name in loaded.order if name in loaded.environment]
    asked = {name: ports.requests(loaded, name) for name in usable}
    yield from ports.problems(loaded, asked)
    yield from gpus.problems(loaded, usable)
    for name in usable:
        yield from checks.problems(loaded, name, [port.name for port in asked[name]])
        yield from replaced.problems(loaded, name, asked[name])


def planned(loaded: Loaded, name: str, asked: Requests) -> Service:
    """One service. `asked`: the ports of it, and of what it needs."""
    written = loaded.service(name)
    folder = _folder(loaded, written.working_dir)
    kind = Kind.JOB if isinstance(written, Job) else Kind.SERVER
    command = tuple(text(one) for one in written.command)
    variables = environment(loaded, name, asked)
    names = [port.name for port in asked[name]]
    ready = checks.ready(loaded, name, names, folder)
    alive = checks.alive(loaded, name, names, folder)
    return Service(
        name=name,
        kind=kind,
        command=command,
        working_dir=folder,
        digest=digest(
            kind=kind,
            command=command,
            declared=loaded.environment[name],
            inherit=written.inherit_env,
            working_dir=folder,
            venv=str(venv_folder(loaded, name) or ""),
            ports=asked[name],
            host=written.host,
            handover=written.handover,
            notify=ready is not None and ready.kind is CheckKind.NOTIFY,
            gpus=gpus.shape(loaded, name),
        ),
        environment=variables,
        inherit=written.inherit_env,
        host=written.host,
        ports=asked[name],
        gpus=gpus.requests(loaded, name),
        needs=_needs(loaded, written),
        ready=ready,
        alive=alive,
        restart=restart(written),
        stop=Stop(written.stop_signal, written.stop_grace),
        output=_sinks(loaded, name, written),
        primary=isinstance(written, Job) and written.primary,
        refs=_refs(name, [*command, *(value for _, value in variables)], ready, alive),
        secrets=tuple(variable.name for variable in loaded.environment[name] if variable.secret),
        on_change=OnChange(written.on_change.action),
        change_signal=written.on_change.signal,
        watch=tuple(_folder(loaded, glob) for glob in written.watch),
        prepare=environment_of(loaded, name),
    )


def _folder(loaded: Loaded, path: str) -> str:
    return os.path.normpath(os.path.join(loaded.dir, machine.at_home(path)))


def _needs(loaded: Loaded, written: Server | Job) -> tuple[Need, ...]:
    found = []
    for on, dependency in written.depends_on.items():
        default = Condition.DONE if loaded.is_job(on) else Condition.READY
        condition = Condition(dependency.condition) if dependency.condition else default
        found.append(Need(on, condition, dependency.restart))
    return tuple(found)


def restart(written: Server | Job) -> Restart:
    """Its own keys win over those within `restart`. `retries: N` is on-failure, N times, however long it takes."""
    within = written.restart or parts.Restart.model_validate({})
    policy = within.policy or ("never" if isinstance(written, Job) else "on-failure")
    backoff = written.backoff or within.backoff or parts.Backoff.model_validate({})
    base = Restart()
    limit = written.max_restarts if written.max_restarts is not None else within.max_restarts
    window = written.window or within.window or base.window_s
    if isinstance(written, Job) and written.retries is not None:
        policy = "on-failure" if written.retries else "never"
        limit, window = written.retries, math.inf
    return Restart(
        policy,
        initial_s=backoff.initial,
        max_s=max(backoff.initial, backoff.max),
        factor=backoff.factor,
        max_restarts=base.max_restarts if limit is None else limit,
        window_s=window,
    )


def _sinks(loaded: Loaded, name: str, written: Server | Job) -> tuple[Sink, ...]:
    found = []
    for sink in written.output:
        path = sink.path or (f"logs/{name}.jsonl" if sink.kind == "jsonl" else "")
        found.append(Sink(sink.kind, _folder(loaded, path) if path else "", sink.rotate, sink.keep))
    return tuple(dict.fromkeys(found))


def _refs(
    name: str, texts: list[Text], ready: Check | None, alive: Check | None
) -> tuple[tuple[str, str], ...]:
    for check in (ready, alive):
        if check is not None:
            texts += [check.target, check.content, *check.argv, *(value for _, value in check.headers)]
    parts = (part for one in texts for part in one if isinstance(part, Ref))
    return tuple(sorted({(part.service, part.port) for part in parts if part.service != name}))
