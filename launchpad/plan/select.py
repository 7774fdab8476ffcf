"""Which services are meant when some are named."""

from __future__ import annotations

from collections.abc import Iterable

from launchpad.core.model import Plan


def closure(plan: Plan, names: Iterable[str]) -> tuple[str, ...]:
    """These and all that they need, in the plan's order. Names that the plan has not are passed over."""
    asked = dict.fromkeys(names)
    known = [service.name for service in plan.services]
    if asked.keys() >= set(known):
        return tuple(known)
    needs = {service.name: [need.on for need in service.needs] for service in plan.services}
    wanted: set[str] = set()
    pending = [name for name in asked if name in needs]
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending += needs[name]
    return tuple(service.name for service in plan.services if service.name in wanted)
