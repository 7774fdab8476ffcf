"""A compose file, for an image in which the programs of the stack are.

Decides what becomes of addresses: among containers a service has a name, and listens on all interfaces.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import yaml

from launchpad.core.model import Check, CheckKind, Condition, Kind, Service
from launchpad.export.containers import CONTAINER_LOST, Container, dns
from launchpad.export.source import Exported, Source
from launchpad.plan.read import Reading

CARRIED = frozenset(
    ("command", "shell", "depends_on", "depends_on.restart", "port", "ports", "host", "ready", "restart", "max_restarts",
     "retries", "stop_signal", "stop_grace", "environment", "env_file", "profiles", "gpus"),
)  # fmt: skip
_CONDITIONS = {
    Condition.STARTED: "service_started",
    Condition.READY: "service_healthy",
    Condition.DONE: "service_completed_successfully",
}


def export(reading: Reading, image: str, folder: Path) -> Exported:
    """`compose.yaml`, which is to lie in `folder`. All services run `image`."""
    source = Source(reading, "compose", CARRIED, CONTAINER_LOST)
    box = Container(source)
    services = {dns(one.name): _service(source, box, one, image, folder) for one in source.services}
    content = {"name": _name(source.name), "services": services}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return Exported({"compose.yaml": text}, source.said())


def _service(source: Source, box: Container, one: Service, image: str, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"image": image, "command": [_dollars(word) for word in box.command(one)]}
    environment = {name: _dollars(value) for name, value in box.environment(one).items()}
    if environment:
        found["environment"] = environment
    files = source.env_files(one)
    if files:
        found["env_file"] = [
            {"path": os.path.relpath(path, folder), "required": needed} for path, needed in files
        ]
    if one.ports:
        numbers = [source.ports[one.name, port.name] for port in one.ports]
        outside = "" if one.host in ("0.0.0.0", "::") else "127.0.0.1:"
        found["ports"] = [f"{outside}{number}:{number}" for number in numbers]
    if one.needs:
        found["depends_on"] = {
            dns(need.on): _need(source, need.on, need.condition, need.bound) for need in one.needs
        }
    check = _healthcheck(source, box, one, one.ready)
    if check:
        found["healthcheck"] = check
    found["restart"] = _restart(one)
    found["stop_signal"] = signal.Signals(one.stop.signal).name
    found["stop_grace_period"] = f"{one.stop.grace_s:g}s"
    gpus = box.gpus(one)
    if gpus:
        device = {"driver": "nvidia", "count": gpus, "capabilities": ["gpu"]}
        found["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    return found


def _need(source: Source, on: str, condition: Condition, bound: bool) -> dict[str, Any]:
    ready = next(one.ready for one in source.services if one.name == on)
    if condition is Condition.READY and (ready is None or ready.kind in (CheckKind.LOG, CheckKind.NOTIFY)):
        condition = Condition.STARTED
    need: dict[str, Any] = {"condition": _CONDITIONS[condition]}
    return {**need, "restart": True} if bound else need


def _healthcheck(source: Source, box: Container, one: Service, check: Check | None) -> dict[str, Any]:
    if check is None:
        return {}
    test = box.test(one, check)
    if not test:
        return {}
    return {
        "test": ["CMD", *(_dollars(word) for word in test)],
        "interval": f"{check.interval_s:g}s",
        "timeout": f"{check.probe_timeout_s:g}s",
        "start_period": f"{box.start_s(one, check):g}s",
        "start_interval": "1s",
    }


def _restart(one: Service) -> str:
    policy = {"never": "no", "always": "always", "on-failure": f"on-failure:{one.restart.max_restarts}"}
    return "no" if one.kind is Kind.JOB and one.restart.policy == "never" else policy[one.restart.policy]


def _dollars(text: str) -> str:
    return text.replace("$", "$$")


def _name(name: str) -> str:
    return (
        "".join(char if char.isalnum() or char in "_-" else "-" for char in name.lower()).lstrip("_-")
        or "stack"
    )
