"""`launchpad env`: the environment that a service is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launchpad.cli.params import Shaping, reading_options
from launchpad.cli.target import StackCommand, check_names, each, locate, one_name, read, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad.control.api import Snapshot
    from launchpad.core.model import Ref, Service


@click.command("env", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] NAME")
@click.option("--show-secrets", is_flag=True, help="Do not mask values that look secret.")
@reading_options
def command(
    names: tuple[str, ...],
    show_secrets: bool,
    shaping: Shaping,
    given: Path | None,
) -> None:
    """The variables that a service is given, besides those it inherits.

    Ports are those of the running stack; where it does not run they stay `${NAME.port}`.
    """
    name = one_name(names)
    paths = locate(given)
    reading = read(paths, *shaping)
    services = {service.name: service for service in reading.plan.services}
    names = each([name], reading.groups)
    check_names(names, list(services), reading.name)
    snapshot = running(paths)
    value = _values(services, snapshot)
    for service in (services[one] for one in names):
        if name in reading.groups:
            print(f"# {service.name}")
        texts = {
            key: "".join(part if isinstance(part, str) else value(part) for part in parts)
            for key, parts in service.environment
        }
        for key, text in {**texts, **_gpus(service, snapshot)}.items():
            print(f"{key}={text if show_secrets else _masked(key, text, service, reading.secrets)}")


def _masked(key: str, text: str, service: Service, secrets: Sequence[str]) -> str:
    """As `config` shows it."""
    from launchpad.errors import MASK
    from launchpad.plan.config import veiled

    if key in service.secrets:
        return MASK
    for secret in secrets:
        text = text.replace(secret, MASK)
    return veiled(text)


def _gpus(service: Service, snapshot: Snapshot | None) -> dict[str, str]:
    """Where it does not run, what is known of them."""
    from launchpad.core import render
    from launchpad.core.model import Lease

    views = (view for view in (snapshot.services if snapshot else ()) if view.name == service.name)
    view = next(views, None)
    known = zip(view.gpu_numbers, view.gpus, strict=True) if view is not None else ()
    leases = [Lease(service.name, "gpus", number, "", gpu) for number, gpu in known]
    if service.gpus and not leases:
        return {"CUDA_VISIBLE_DEVICES": f"${{{service.name}.gpus}}", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return dict(render.gpu_variables(leases))


def _values(services: dict[str, Service], snapshot: Snapshot | None) -> Callable[[Ref], str]:
    """How a reference is shown: its value where the port is known, else as it is written in a stack."""
    from launchpad.core import render
    from launchpad.core.model import Lease

    leases = {
        (view.name, port): Lease(view.name, port, number, services[view.name].host)
        for view in (snapshot.services if snapshot else ())
        if view.name in services
        for port, number in view.ports.items()
    }
    devices = {view.name: ",".join(view.gpus) for view in (snapshot.services if snapshot else ())}

    def value(ref: Ref) -> str:
        if ref.form == "gpus" and devices.get(ref.service):
            return devices[ref.service]
        if ref.form != "gpus" and (ref.service, ref.port) in leases:
            return render.text((ref,), leases)
        what = ref.form if ref.port == "main" else f"ports.{ref.port}"
        return f"${{{ref.service}.{what}}}"

    return value
