"""The environment of each service: what launchpad adds, and over it what the stack declares.

Refuses to know what is inherited beneath; the host adds that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from launchpad.core.model import PortRequest, Ref, Text
from launchpad.plan.environments import programs, venv_folder
from launchpad.plan.texts import text
from launchpad.stack.loaded import Loaded
from launchpad.stack.scope import MAIN, connectable


def shouted(name: str) -> str:
    """A name as variables write it."""
    return name.upper().replace("-", "_")


def environment(
    loaded: Loaded, name: str, ports: Mapping[str, tuple[PortRequest, ...]]
) -> tuple[tuple[str, Text], ...]:
    """All variables of a service; its own `environment` and env files win over what launchpad adds."""
    service = loaded.service(name)
    found: dict[str, Text] = {
        "LAUNCHPAD_STACK": (loaded.name,),
        "LAUNCHPAD_SERVICE": (name,),
        "PYTHONUNBUFFERED": ("1",),
    }
    said = loaded.needs[name].said
    if name in loaded.groups.get(group := loaded.origin.get(name, name), ()):
        found["LAUNCHPAD_REPLICA"] = (name.removeprefix(f"{group}-"),)
    for need in service.depends_on:
        found.update(_address(loaded, need, said.get(need, need), ports[need]))
    for copies, called in loaded.needs[name].groups.items():
        found.update(_addresses(loaded.groups[copies], called, ports))
    found.update(_own_ports(name, ports[name]))
    declared = {variable.name: text(variable.value) for variable in loaded.environment[name]}
    found.update(declared)
    if (folder := venv_folder(loaded, name)) is not None:
        found.update(_venv(loaded, folder, declared))
    return tuple(found.items())


def _address(loaded: Loaded, on: str, called: str, ports: Sequence[PortRequest]) -> dict[str, Text]:
    """`called`: by whoever needs it."""
    if all(port.name != MAIN for port in ports):
        return {}
    prefix = shouted(called)
    return {
        f"{prefix}_URL": (Ref(on, MAIN, "url"),),
        f"{prefix}_HOST": (connectable(loaded.service(on).host),),
        f"{prefix}_PORT": (Ref(on, MAIN, "port"),),
    }


def _addresses(
    copies: Sequence[str], called: str, ports: Mapping[str, tuple[PortRequest, ...]]
) -> dict[str, Text]:
    """Of all copies, with commas between."""
    if any(all(port.name != MAIN for port in ports[one]) for one in copies):
        return {}
    parts = [part for one in copies for part in (",", Ref(one, MAIN, "url"))][1:]
    return {f"{shouted(called)}_URLS": tuple(parts)}


def _own_ports(name: str, ports: Sequence[PortRequest]) -> dict[str, Text]:
    found: dict[str, Text] = {f"PORT_{shouted(port.name)}": (Ref(name, port.name),) for port in ports}
    if any(port.name == MAIN for port in ports):
        found["PORT"] = (Ref(name, MAIN),)
    return found


def _venv(loaded: Loaded, folder: Path, declared: Mapping[str, Text]) -> dict[str, Text]:
    """Its programs first on PATH, before what the stack or launchpad's environment has there."""
    rest: Text = declared.get("PATH") or (loaded.environ.get("PATH", os.defpath),)
    return {
        "VIRTUAL_ENV": (str(folder),),
        "PATH": (f"{programs(folder)}{os.pathsep}", *rest),
    }
