"""References become values here, once the ports are known; and only here.

Refuses to know where leases come from. A reference without a lease is a fault of the caller: the
rules start nothing whose ports are missing.
"""

from __future__ import annotations

from collections.abc import Mapping

from launchpad.core.model import Check, CheckKind, Kind, Launch, Lease, Probing, Ref, Service, Text

Leases = Mapping[tuple[str, str], Lease]


def connect_host(host: str) -> str:
    """The literal address at which a server bound to `host` is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def address(host: str, port: int) -> str:
    host = connect_host(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def text(parts: Text, leases: Leases) -> str:
    return "".join(part if isinstance(part, str) else _value(part, leases) for part in parts)


def _value(ref: Ref, leases: Leases) -> str:
    lease = leases[ref.service, ref.port]
    if ref.form == "port":
        return str(lease.number)
    where = address(lease.host, lease.number)
    return f"http://{where}" if ref.form == "url" else where


def launch(service: Service, leases: Leases) -> Launch:
    return Launch(
        argv=tuple(text(part, leases) for part in service.command),
        environment=tuple((key, text(value, leases)) for key, value in service.environment),
        inherit=service.inherit,
        working_dir=service.working_dir,
        ports=tuple(leases[service.name, port.name] for port in service.ports),
        handovers=tuple((port.name, port.handover) for port in service.ports),
        notify=service.ready is not None and service.ready.kind is CheckKind.NOTIFY,
        stop=service.stop,
        needs=tuple(need.on for need in service.needs),
        job=service.kind is Kind.JOB,
    )


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
    )
