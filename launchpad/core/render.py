"""References become values here, once the ports are known; and only here.

Refuses to know where leases come from. A reference without a lease is a fault of the caller: the
rules start nothing whose ports are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launchpad.core.model import (
    Check,
    CheckKind,
    Handover,
    Kind,
    Launch,
    Lease,
    PortRequest,
    Probing,
    Ref,
    Service,
    Text,
)

Leases = Mapping[tuple[str, str], Lease]


def connect_host(host: str) -> str:
    """The literal address at which a server bound to `host` is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def address(host: str, port: int) -> str:
    host = connect_host(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def gpu_variables(gpus: Sequence[Lease]) -> tuple[tuple[str, str], ...]:
    """What keeps a process to these GPUs. HIP takes numbers only, and some programs refuse two variables that differ,
    so it is set only where CUDA is told the same."""
    if not gpus:
        return ()
    names = ",".join(lease.gpu for lease in gpus)
    by_number = names == ",".join(str(lease.number) for lease in gpus)
    hip = (("HIP_VISIBLE_DEVICES", names),) if by_number else ()
    return (("CUDA_VISIBLE_DEVICES", names), ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"), *hip)


def gpus_of(service: str, leases: Leases) -> tuple[Lease, ...]:
    """In the order in which they were asked for."""
    mine = (lease for lease in leases.values() if lease.service == service and lease.gpu)
    return tuple(sorted(mine, key=lambda lease: (len(lease.name), lease.name)))


def text(parts: Text, leases: Leases) -> str:
    return "".join(part if isinstance(part, str) else _value(part, leases) for part in parts)


def _value(ref: Ref, leases: Leases) -> str:
    if ref.form == "gpus":
        return ",".join(lease.gpu for lease in gpus_of(ref.service, leases))
    lease = leases[ref.service, ref.port]
    if ref.form == "port":
        return str(lease.number)
    where = address(lease.host, lease.number)
    return f"http://{where}" if ref.form == "url" else where


def launch(service: Service, leases: Leases, *, let_go: bool = False) -> Launch:
    """`let_go`: a port that would be shared is let go of just before the start."""
    gpus = tuple(leases[service.name, gpu.name] for gpu in service.gpus)
    return Launch(
        argv=tuple(text(part, leases) for part in service.command),
        environment=_environment(service, leases, gpus),
        inherit=service.inherit,
        working_dir=service.working_dir,
        ports=tuple(leases[service.name, port.name] for port in service.ports),
        handovers=tuple((port.name, _handover(port, let_go)) for port in service.ports),
        notify=service.ready is not None and service.ready.kind is CheckKind.NOTIFY,
        stop=service.stop,
        needs=tuple(need.on for need in service.needs),
        job=service.kind is Kind.JOB,
        gpus=gpus,
    )


def _handover(port: PortRequest, let_go: bool) -> Handover:
    return Handover.RELEASE if let_go and port.handover is Handover.SHARED else port.handover


def _environment(service: Service, leases: Leases, gpus: Sequence[Lease]) -> tuple[tuple[str, str], ...]:
    """The GPUs win over what stands there: no two services shall have the same."""
    found = {key: text(value, leases) for key, value in service.environment}
    return tuple({**found, **dict(gpu_variables(gpus))}.items())


def probing(check: Check, leases: Leases) -> Probing:
    return Probing(
        kind=check.kind,
        target=text(check.target, leases),
        argv=tuple(text(part, leases) for part in check.argv),
        status=check.status,
        body=check.body,
        headers=tuple((key, text(value, leases)) for key, value in check.headers),
        content=text(check.content, leases),
        timeout_s=check.probe_timeout_s,
        ours=check.ours,
    )
