"""What another version of a stack would do to one that runs, and why, without doing it.

Decides by the same comparison as the core (digests, ports that move, what is bound to what), so that what is said
here is what happens. Refuses to know how a running stack is asked.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from launchpad.core.model import Kind, OnChange, PortRequest, Service
from launchpad.plan.effects import Reasons
from launchpad.plan.read import Reading

EARLIER = "its definition changed earlier"


class Now(Struct, frozen=True):
    """How the stack stands. `running`: the digest that each live process was started as; `ended`: what has ended
    by itself (done, failed, backoff), `failed` what of it is not tried again by itself; `down`: what is not wanted so
    far; `held_down`: what somebody stopped; `ports`: the number held for (service, port name); `goals`: what the
    new stack is asked to run."""

    running: Mapping[str, str] = field(default_factory=dict)
    ended: Container[str] = ()
    failed: Container[str] = ()
    down: Container[str] = ()
    held_down: Container[str] = ()
    ports: Mapping[tuple[str, str], int] = field(default_factory=dict)
    goals: Mapping[str, bool] = field(default_factory=dict)
    served: Container[str] = ()
    """What runs and has been ready: only that can be replaced."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """The digest of each replacement that is under way."""


class Change(Struct, frozen=True, gc=False):
    """`verb`: start, restart, replace (a new one takes over once it is ready), stop, rerun (a job that has ended),
    signal, stale (it runs on with its old definition), update (in place), keep (nothing changes), add (new, and not
    to be started), remove (gone, and was not running).
    `because`: why, each in a few words; empty for keep."""

    service: str
    verb: str
    because: tuple[str, ...] = ()


def diff(old: Reading, new: Reading, now: Now) -> tuple[Change, ...]:
    """One for each service of either, in the order of the new stack; then what is gone. `old` is what the stack
    was last told to be. Pure; secrets are masked."""
    # it goes through the file as it is written, which takes its time to import
    from launchpad.plan.reasons import reasons

    before = {service.name: service for service in old.plan.services}
    after = {service.name: service for service in new.plan.services}
    found: dict[str, Change] = {}
    touched: dict[str, None] = {}
    for name, service in after.items():
        was = before.get(name)
        if was is service and _runs_as(service, now):  # a plan takes only that of which nothing differs
            found[name] = Change(name, "keep")
            continue
        why = Reasons()
        if was is not None:
            why = reasons(old, new, name, reshaped=was.digest != service.digest)
        found[name], touched[name] = _direct(was, service, why, now), None
    for name, service in after.items() if touched else ():
        if name in before and _is_around(service, touched):
            found[name] = _drawn_along(found, before, after, service, now)
    gone = (name for name in before if name not in found)
    return (*found.values(), *(_gone(name, old, new, now) for name in gone))


def _is_around(service: Service, touched: Container[str]) -> bool:
    """It is one of them, or one of them can draw it along."""
    if service.name in touched:
        return True
    if not service.needs and not service.refs:
        return False
    return any(need.on in touched for need in service.needs) or any(on in touched for on, _ in service.refs)


def _runs_as(service: Service, now: Now) -> bool:
    """And nothing else runs beside it."""
    return now.running.get(service.name) == service.digest and service.name not in now.beside


def _gone(name: str, old: Reading, new: Reading, now: Now) -> Change:
    verb = "stop" if name in now.running else "remove"
    group = old.head.origin[name]
    left = new.groups.get(group)
    if left is None or group == name:
        return Change(name, verb, ("no longer in the stack",))
    copies = "no copy" if not left else "1 copy" if len(left) == 1 else f"{len(left)} copies"
    return Change(name, verb, (f"`{group}` has {copies} now",))


def _direct(was: Service | None, service: Service, why: Reasons, now: Now) -> Change:
    """What its own definition does to it."""
    if was is None:
        return Change(service.name, "start" if now.goals.get(service.name) else "add", ("new",))
    shape = why.replace or ("its definition changed",)
    if service.name in now.running:
        return _of_running(was, service, shape, why.in_place, now)
    return _of_resting(was, service, shape, why.in_place, now)


def _of_running(
    was: Service, service: Service, shape: tuple[str, ...], in_place: tuple[str, ...], now: Now
) -> Change:
    if _is_replaced(was, service, now):
        return _replaced(was, service, (*shape, *in_place), now)
    if now.running[service.name] == service.digest:
        return _in_place(service, in_place)
    changed = was.digest != service.digest
    runs_on = {OnChange.KEEP: "stale", OnChange.SIGNAL: "signal" if changed else "stale"}
    verb = runs_on.get(service.on_change, "restart")
    return Change(service.name, verb, (*(shape if changed else (EARLIER,)), *in_place))


def _of_resting(
    was: Service, service: Service, shape: tuple[str, ...], in_place: tuple[str, ...], now: Now
) -> Change:
    name, up, changed = service.name, now.goals.get(service.name), was.digest != service.digest
    held, is_job = name in now.held_down, service.kind is Kind.JOB
    if name in now.down and not held and up:
        return Change(name, "start", ("asked for",))
    if changed and name in now.ended and not held:
        if is_job and service.on_change is OnChange.KEEP:
            return Change(name, "stale", shape)
        return Change(name, "rerun" if is_job else "start", shape)
    if name in now.failed and up:
        return Change(name, "start", ("it failed, and is tried again",))
    return _in_place(service, (*shape, *in_place) if changed else in_place)


def _in_place(service: Service, because: tuple[str, ...]) -> Change:
    return Change(service.name, "update", because) if because else Change(service.name, "keep")


def _is_replaced(was: Service, service: Service, now: Now) -> bool:
    """It runs on until another one is ready."""
    servers = was.kind is Kind.SERVER is service.kind
    changed = now.running[service.name] != service.digest
    return service.on_change is OnChange.REPLACE and servers and changed and service.name in now.served


def _replaced(was: Service, service: Service, why: tuple[str, ...], now: Now) -> Change:
    """Each definition is tried once."""
    if was.digest != service.digest or was.on_change is not OnChange.REPLACE:
        return Change(service.name, "replace", why if was.digest != service.digest else (EARLIER,))
    if now.beside.get(service.name) == service.digest:
        return Change(service.name, "keep")
    return Change(service.name, "stale", (EARLIER,))


def _drawn_along(
    found: Mapping[str, Change],
    before: Mapping[str, Service],
    after: Mapping[str, Service],
    service: Service,
    now: Now,
) -> Change:
    """What happens to it because of others; whoever it needs comes before it."""
    change = found[service.name]
    if service.name not in now.running or change.verb == "restart":
        return change
    again = [
        f"restarts once `{need.on}` is replaced"
        if found[need.on].verb == "replace"
        else f"restarts with `{need.on}`"
        for need in service.needs
        if need.bound and need.on in found and found[need.on].verb in ("restart", "replace", "start", "rerun")
    ]
    moved = _moved(found, before, after, service, now)
    if again or (moved and service.on_change is not OnChange.KEEP):
        return replace(change, verb="restart", because=(*change.because, *again, *moved))
    if moved:
        return replace(change, verb="stale", because=(*change.because, *moved))
    return change


def _moved(
    found: Mapping[str, Change],
    before: Mapping[str, Service],
    after: Mapping[str, Service],
    service: Service,
    now: Now,
) -> list[str]:
    """Addresses that its process was given and that are no longer true."""
    told = before[service.name].refs
    moved = []
    for key in service.refs:
        verb = found[key[0]].verb if key[0] in found else ""
        asked = _port(after, key)
        if key not in told or asked is None or key not in now.ports or verb in ("stale", "signal"):
            continue
        host = next(p.host for p in before[key[0]].ports if p.name == key[1])
        if verb == "replace":
            follows, happens = "restarts once ", "is replaced"
        elif not _fits(now.ports[key], host, asked):
            follows, happens = "restarts because ", "moves"
        else:
            continue
        follows = "" if service.on_change is OnChange.KEEP else follows
        moved.append(f"{follows}`{key[0]}`, whose address it was given, {happens}")
    return list(dict.fromkeys(moved))


def _port(services: Mapping[str, Service], key: tuple[str, str]) -> PortRequest | None:
    ports = services[key[0]].ports if key[0] in services else ()
    return next((port for port in ports if port.name == key[1]), None)


def _fits(number: int, host: str, asked: PortRequest) -> bool:
    return host == asked.host and asked.low <= number <= asked.high


WORDS = {"stale": "keep", "rerun": "run again"}
TAILS = {"update": " (in place)", "stale": " (it runs on with its old definition)"}


def of_stack(old: Reading, new: Reading) -> tuple[str, ...]:
    """What differs of the stack as a whole, in words."""
    found = []
    if old.name != new.name:
        found.append(f"name: `{old.name}` → `{new.name}`, with the next `up`")
    if old.when_supervisor_dies != new.when_supervisor_dies:
        found.append(f"when_supervisor_dies: {old.when_supervisor_dies} → {new.when_supervisor_dies}")
    return tuple(found)


def lines(changes: Sequence[Change], of_stack: Sequence[str] = ()) -> tuple[str, ...]:
    """Those `of_stack`; `restart llm: …` for each service that changes; and at the end how many do not."""
    found = list(of_stack)
    for change in changes:
        if change.verb == "keep":
            continue
        word, tail = WORDS.get(change.verb, change.verb), TAILS.get(change.verb, "")
        found.append(f"{word} {change.service}: {'; '.join(change.because)}{tail}")
    kept = sum(change.verb == "keep" for change in changes)
    return (*found, f"keep {kept} service{'' if kept == 1 else 's'}")
