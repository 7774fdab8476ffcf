"""A stack in a few words, one line for each service, and back again.

    server llm v=1 ports=main:8000-8009 ready=http needs=db:ready! max=3
    job train needs=llm:ready uses=llm policy=never primary

`!` is `restart: true`. `gpus=2` asks for two, `gpus=@0,@3` for these, `gpus=2?` waits for them. `env=NAME` is an environment that has to be made first.
`uses` is an address in the command, `hears` one in what does not shape the process. A word without `=` is a switch; what is not said has the value of `DEFAULTS`.
"""

from __future__ import annotations

from typing import Any

from launchpad.core.model import (
    Check,
    CheckKind,
    Condition,
    Environment,
    GpuNeed,
    Kind,
    Need,
    OnChange,
    Plan,
    PortRequest,
    Ref,
    Restart,
    Service,
    Stop,
    Text,
)
from launchpad.hosts.sim import Behaviour

DEFAULTS = {
    "v": "1",
    "ports": "",
    "gpus": "",
    "ready": "",
    "timeout": "",
    "stall": "",
    "successes": "1",
    "interval": "10",
    "failures": "3",
    "alive": "",
    "needs": "",
    "uses": "",
    "hears": "",
    "policy": "",
    "backoff": "0.5",
    "max": "5",
    "window": "600",
    "grace": "10",
    "primary": "",
    "change": "restart",
    "env": "",
}


def plan(rev: int, lines: list[str]) -> Plan:
    return Plan(rev, tuple(service(line) for line in lines))


def service(line: str) -> Service:
    """A line in the notation above. ValueError for a word that it does not know."""
    kind, name, *words = line.split()
    given = dict(DEFAULTS)
    for word in words:
        key, _, value = word.partition("=")
        if key not in DEFAULTS:
            raise ValueError(f"unknown word `{word}` for {name}")
        given[key] = value or "yes"
    uses = tuple(given["uses"].split(",")) if given["uses"] else ()
    hears = tuple(given["hears"].split(",")) if given["hears"] else ()
    policy = given["policy"] or ("on-failure" if kind == "server" else "never")
    change = given["change"]
    restart = Restart(
        policy, float(given["backoff"]), 30.0, 2.0, int(given["max"]), window_s=float(given["window"])
    )
    return Service(
        name,
        Kind(kind),
        _command(name, uses, given["ports"]),
        "/",
        digest=f"{kind} {name} {given['v']} {given['ports']} {given['uses']} {given['gpus']} {given['env']}".rstrip(),
        ports=_ports(name, given["ports"]),
        gpus=_gpus(name, given["gpus"]),
        needs=_needs(given["needs"]),
        ready=_ready(given, _target(name, given["ports"])),
        alive=_alive(given, _target(name, given["ports"])),
        restart=restart,
        stop=Stop(15, float(given["grace"])),
        primary=bool(given["primary"]),
        refs=tuple((other, "main") for other in (*uses, *hears)),
        on_change=OnChange(change),
        change_signal=1 if change == "signal" else 0,
        prepare=environment(given["env"]),
    )


def environment(name: str) -> Environment | None:
    return Environment(name, f"link-{name}", (), (), "", "/") if name else None


def _command(name: str, uses: tuple[str, ...], ports: str) -> tuple[Text, ...]:
    used: list[Text] = [(name,)]
    used += [(Ref(other, "main"),) for other in uses]
    used += [(Ref(name, port.rpartition(":")[0] or "main"),) for port in ports.split(",") if port]
    return tuple(used)


def _ports(name: str, words: str) -> tuple[PortRequest, ...]:
    found = []
    for word in words.split(",") if words else ():
        port, _, span = word.rpartition(":")
        low, _, high = span.partition("-")
        found.append(PortRequest(name, port or "main", int(low), int(high or low)))
    return tuple(found)


def _gpus(name: str, words: str) -> tuple[PortRequest, ...]:
    """Some, or these; with `?` it waits for them."""
    need, listed = GpuNeed(wait=words.endswith("?")), words.rstrip("?")
    if listed.startswith("@"):
        spans = [(int(word[1:]), int(word[1:])) for word in listed.split(",")]
    else:
        spans = [(0, 1000)] * int(listed or 0)
    return tuple(
        PortRequest(name, f"gpus/{i}", low, high, "", gpu=need) for i, (low, high) in enumerate(spans)
    )


def _needs(words: str) -> tuple[Need, ...]:
    found = []
    for word in words.split(",") if words else ():
        on, _, condition = word.rstrip("!").partition(":")
        found.append(Need(on, Condition(condition or "ready"), word.endswith("!")))
    return tuple(found)


def _target(name: str, ports: str) -> Text:
    """Its first port, if it has one."""
    return (Ref(name, ports.rpartition(":")[0].partition(":")[0] or "main", "address"),) if ports else ()


def _ready(given: dict[str, str], target: Text) -> Check | None:
    if not given["ready"]:
        return None
    kind = CheckKind.HTTP if given["ready"] == "yes" else CheckKind(given["ready"])
    return Check(
        kind,
        target if kind in (CheckKind.HTTP, CheckKind.TCP) else (),
        argv=(("check",),) if kind is CheckKind.EXEC else (),
        successes=int(given["successes"]),
        failures=int(given["failures"]),
        interval_s=float(given["interval"]),
        stall_s=float(given["stall"]) if given["stall"] else None,
        timeout_s=float(given["timeout"]) if given["timeout"] else None,
    )


def _alive(given: dict[str, str], target: Text) -> Check | None:
    if not given["alive"]:
        return None
    return Check(CheckKind.TCP, target, interval_s=float(given["alive"]), failures=int(given["failures"]))


def behaviour(words: list[str]) -> Behaviour:
    """`ready_s=2 ignores_term code=3`: the fields of `Behaviour`; `never` is None."""
    known = dict(Behaviour.__annotations__)
    given: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in known:
            raise ValueError(f"unknown behaviour `{word}`")
        kind = str(known[key])
        if value == "never":
            given[key] = None
        elif kind == "bool":
            given[key] = value != "no"
        elif kind in ("int", "str"):
            given[key] = int(value) if kind == "int" else value
        elif kind.startswith("tuple"):
            given[key] = tuple(
                (float(a), float(b)) for a, _, b in (span.partition("-") for span in value.split(","))
            )
        else:
            given[key] = float(value)
    return Behaviour(**given)
