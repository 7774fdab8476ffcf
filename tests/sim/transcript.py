"""What happened between core and host, as lines that people read. Probes and samples are left out."""

from __future__ import annotations

from launchpad.core import facts as f
from launchpad.core import wishes as w
from launchpad.core.model import Lease, PortRequest
from launchpad.core.wishes import Wish

NAMES = {1: "HUP", 2: "INT", 9: "KILL", 15: "TERM"}


def short(attempt: int) -> str:
    """`epoch.counter`; the first supervisor's are a bare counter."""
    epoch, counter = attempt >> 32, attempt & 0xFFFFFFFF
    return f"#{counter}" if epoch == 1 else f"#{epoch}.{counter}"


def wish_line(wish: Wish) -> str | None:
    """None for what is left out."""
    match wish:
        case w.Spawn():
            given = "".join(f" {_port(wish.service, lease)}" for lease in wish.identity.leases)
            return f"-> spawn {wish.service} {short(wish.attempt)}{given}"
        case w.Signal():
            number = NAMES.get(wish.signal, str(wish.signal))
            return f"-> signal {wish.service} {short(wish.attempt)} {number} {wish.scope}"
        case w.LeasePorts():
            wanted = ", ".join(f"{r.service}.{r.name}{_span(r)}" for r in wish.requests)
            return f"-> lease {wanted}"
        case w.ReleasePorts():
            return "-> release " + ", ".join(f"{x.service}.{x.name} {x.number}" for x in wish.leases)
        case w.Prepare():
            return f"-> prepare {wish.environment.folder}"
        case w.AbandonPorts():
            return f"-> abandon lease {wish.batch}"
        case w.Abandon():
            return f"-> abandon {wish.request}"
        case w.Forget():
            return f"-> forget {wish.service}"
        case w.Note():
            what = wish.phase if wish.what == "phase" else wish.what
            text = "" if wish.text == what else f": {wish.text}"
            return f"   {wish.service} {what}{text}"
    return None


def _span(request: PortRequest) -> str:
    return "" if request.gpu is not None and request.low < request.high else f" {request.low}-{request.high}"


def _port(service: str, lease: Lease) -> str:
    owner = "" if lease.service == service else f"{lease.service}."
    return f"{owner}{lease.name}={lease.number}"


def fact_line(fact: f.Fact) -> str | None:
    """The facts in the swarm's transcripts; stories show them only where nothing else tells."""
    if isinstance(fact, f.Probed | f.Sampled):
        return None
    if isinstance(fact, f.PlanApplied):
        return f"<- PlanApplied rev {fact.plan.rev} goals {dict(fact.goals)}"
    words = [type(fact).__name__]
    for name in fact.__slots__:
        value = getattr(fact, name)
        words.append(short(value) if name == "attempt" else _value(name, value))
    return "<- " + " ".join(words)


def _value(name: str, value: object) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], Lease):
        return ", ".join(f"{x.service}.{x.name}={x.number}" for x in value)
    if name in ("identity", "handle"):
        return f"{name}={getattr(value, 'pid', getattr(value, 'digest', ''))}"
    return str(value)
