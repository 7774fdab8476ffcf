"""Kubernetes: a Deployment and a Service for each server, a Job for each job, for an image that has their programs.

Decides what becomes of readiness, and of order, which Kubernetes does not have: who needs a server waits for it in an
init container.
"""

from __future__ import annotations

import math
from typing import Any

import yaml

from launchpad.core.model import Check, CheckKind, Condition, Kind, Service
from launchpad.export.containers import CONTAINER_LOST, Container, dns
from launchpad.export.source import Exported, Source
from launchpad.plan.read import Reading

CARRIED = frozenset(
    ("command", "shell", "depends_on", "port", "ports", "host", "ready", "alive", "restart", "retries", "stop_grace",
     "environment", "profiles", "gpus", "env_file"),
)  # fmt: skip
LOST = {
    **{key: why for key, why in CONTAINER_LOST.items() if key != "alive"},
    "stop_signal": "Kubernetes sends the stop signal that the image names",
    "max_restarts": "Kubernetes restarts a server for ever",
}


def export(reading: Reading, image: str) -> Exported:
    """One file of all objects, for `kubectl apply -f`."""
    source = Source(reading, "kubernetes", CARRIED, LOST)
    box = Container(source)
    objects: list[dict[str, Any]] = []
    for one in source.services:
        server = one.kind is Kind.SERVER
        objects.append(_deployment(source, box, one, image) if server else _job(source, box, one, image))
        if one.ports:
            objects.append(_service(source, one))
    text = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return Exported({"kubernetes.yaml": text}, source.said())


_WAIT = """\
import socket, time
while True:
    try:
        socket.create_connection({address!r}, 2)
        break
    except OSError:
        time.sleep(1)  # nothing tells one pod of another
"""


class _Dumper(yaml.SafeDumper):
    """Says everything twice rather than by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _meta(source: Source, one: Service) -> dict[str, Any]:
    return {
        "name": dns(one.name),
        "labels": {"app.kubernetes.io/name": dns(one.name), "app.kubernetes.io/part-of": _label(source.name)},
    }


def _deployment(source: Source, box: Container, one: Service, image: str) -> dict[str, Any]:
    meta = _meta(source, one)
    chosen = {"app.kubernetes.io/name": meta["name"]}
    if one.restart.policy != "always" and "restart" in source.tree(one.name):
        source.leave(one.name, "restart", "a Deployment restarts what ends, however it ends")
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": chosen},
        "template": _pod(source, box, one, image, "Always"),
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def _job(source: Source, box: Container, one: Service, image: str) -> dict[str, Any]:
    tries = 0 if one.restart.policy == "never" else one.restart.max_restarts
    spec = {"backoffLimit": tries, "template": _pod(source, box, one, image, "Never")}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _meta(source, one), "spec": spec}


def _service(source: Source, one: Service) -> dict[str, Any]:
    ports = [{"name": _port_name(port.name), "port": source.ports[one.name, port.name]} for port in one.ports]
    spec = {"selector": {"app.kubernetes.io/name": dns(one.name)}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(source, one), "spec": spec}


def _pod(source: Source, box: Container, one: Service, image: str, restart: str) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": dns(one.name),
        "image": image,
        "command": [_plain(word) for word in box.command(one)],
    }
    environment = box.environment(one)
    if environment:
        container["env"] = [{"name": name, "value": _plain(value)} for name, value in environment.items()]
    secrets = _secrets(source, one)
    if secrets:
        container["envFrom"] = secrets
    if one.ports:
        container["ports"] = [
            {"name": _port_name(port.name), "containerPort": source.ports[one.name, port.name]}
            for port in one.ports
        ]
    if one.kind is Kind.SERVER:
        container |= _probes(source, box, one)
    if gpus := box.gpus(one):
        container["resources"] = {"limits": {"nvidia.com/gpu": gpus}}
    spec: dict[str, Any] = {
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": max(1, math.ceil(one.stop.grace_s)),
    }
    waits = _waits(source, box, one, image)
    if waits:
        spec["initContainers"] = waits
    spec["containers"] = [container]
    return {"metadata": {"labels": _meta(source, one)["labels"]}, "spec": spec}


def _secrets(source: Source, one: Service) -> list[dict[str, Any]]:
    """Env files are Secrets of the cluster, made by hand: their values are in no export."""
    found = []
    for path, required in source.env_files(one):
        name = dns("env-" + path.rpartition("/")[2].lstrip(".").replace(".", "-"))
        made = f"kubectl create secret generic {name} --from-env-file={path}"
        source.leave(
            one.name, "env_file", f"its values are not written down; the Secret `{name}` is made by `{made}`"
        )
        found.append({"secretRef": {"name": name, "optional": not required}})
    return found


def _waits(source: Source, box: Container, one: Service, image: str) -> list[dict[str, Any]]:
    found = []
    for need in one.needs:
        other = next(service for service in source.services if service.name == need.on)
        main = next((port for port in other.ports), None)
        if need.condition is Condition.READY and main is not None:
            box.needs_python()
            address = (dns(need.on), source.ports[need.on, main.name])
            code = _WAIT.format(address=address)
            found.append(
                {"name": f"wait-for-{dns(need.on)}", "image": image, "command": ["python3", "-c", code]}
            )
        elif need.condition is not Condition.STARTED:
            source.leave(
                one.name, "depends_on", f"nobody waits there until `{need.on}` is {need.condition.value}"
            )
    return found


def _probes(source: Source, box: Container, one: Service) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if one.ready is not None and (probe := _probe(source, box, one, one.ready)):
        found["startupProbe"] = {
            **probe,
            "periodSeconds": 1,
            "failureThreshold": math.ceil(box.start_s(one, one.ready)),
        }
        found["readinessProbe"] = {**probe, "periodSeconds": max(1, math.ceil(one.ready.interval_s))}
    if one.alive is not None and (probe := _probe(source, box, one, one.alive)):
        period = max(1, math.ceil(one.alive.interval_s))
        found["livenessProbe"] = {**probe, "periodSeconds": period, "failureThreshold": one.alive.failures}
    return found


def _probe(source: Source, box: Container, one: Service, check: Check) -> dict[str, Any]:
    wait = {"timeoutSeconds": max(1, math.ceil(check.probe_timeout_s))}
    target = source.text(check.target, lambda ref: "self" if ref.service == one.name else dns(ref.service))
    own, _, rest = target.removeprefix("http://").partition("/")
    host, _, port = own.rpartition(":")
    if (
        check.kind is CheckKind.HTTP
        and host in ("self", "127.0.0.1")
        and port.isdigit()
        and not target.startswith("https")
    ):
        if check.body or check.headers or check.status != ((200, 399),):
            source.leave(
                one.name,
                "ready",
                "any status below 400 counts as ready there; `body` and `headers` are not looked at",
            )
        return {"httpGet": {"path": f"/{rest}", "port": int(port)}, **wait}
    if check.kind is CheckKind.TCP and host in ("self", "127.0.0.1") and port.isdigit():
        return {"tcpSocket": {"port": int(port)}, **wait}
    test = box.test(one, check)
    return {"exec": {"command": test}, **wait} if test else {}


def _port_name(name: str) -> str:
    return dns(name)[:15].strip("-") or "port"


def _label(name: str) -> str:
    return (
        "".join(char if char.isalnum() or char in "_.-" else "-" for char in name)[:63].strip("_.-")
        or "stack"
    )


def _plain(text: str) -> str:
    """Kubernetes fills in `$(NAME)`."""
    return text.replace("$(", "$$(")
