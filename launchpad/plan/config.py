"""The stack as resolved: what a stack file would have to say to mean the same without defaults, variables and env
files. Secrets are masked wherever they appear.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from signal import Signals
from typing import Any

from launchpad.errors import MASK
from launchpad.plan.build import restart
from launchpad.stack.environments import File
from launchpad.stack.gpus import Gpus
from launchpad.stack.loaded import Loaded
from launchpad.stack.parts import Alive, OnChange, Ready, Sink
from launchpad.stack.schema import Job, Server
from launchpad.stack.scope import looks_secret
from launchpad.stack.template import Reference
from launchpad.stack.words import Secret, Template

_IN_URL = re.compile(r"(\w://[^/\s:@]*:)(?!\$\{)[^@/\s]+(?=@)")
"""`user:password@` of an address."""
_IN_HEADER = re.compile(r"(\bauthorization: *(?:[a-z]+ +)?)(?!\$\{)[^\s'\"]+", re.IGNORECASE)
_NAMED = re.compile(r"((?:(?<=\s)|^|[?&])-{0,2}([A-Za-z][\w-]*)=)(?!\$\{)[^\s&'\"]+")
"""`--api-key=…`, `TOKEN=…`, `?token=…`: masked where the name looks secret."""
_SCHEME = re.compile(r"(?:basic|bearer|digest|token) +", re.IGNORECASE)
_OPTION = re.compile(r"--?[A-Za-z][\w-]*\Z")


def config(loaded: Loaded) -> dict[str, Any]:
    """A plain dictionary: text, numbers, lists and maps."""
    shown = Shown(loaded.secrets)
    model = loaded.model
    whole: dict[str, Any] = {"name": loaded.name}
    if model.vars:
        whole["vars"] = {k: MASK if looks_secret(k) else shown.plain(v) for k, v in model.vars.items()}
    for group, services in (("servers", model.servers), ("jobs", model.jobs)):
        named = {name: service_as_written(loaded, name, one, shown) for name, one in services.items()}
        if named:
            whole[group] = named
    whole["when_supervisor_dies"] = model.when_supervisor_dies
    return whole


class Shown:
    """How texts are shown: escaped as a stack file would, without what is secret."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self.secrets = secrets

    def plain(self, text: str) -> str:
        return veiled(self._escaped(text))

    def text(self, template: Template) -> str:
        whole, plain = "", ""
        for part in template:
            if isinstance(part, (Reference, Secret)):
                known = str(part) if isinstance(part, Reference) else MASK
                whole, plain = whole + self._escaped(plain) + known, ""
            else:
                plain += part
        return veiled(whole + self._escaped(plain))

    def secret_header(self, value: Template) -> str:
        """The scheme stays: `Bearer ********`."""
        scheme = _SCHEME.match(self.text(value))
        return f"{scheme.group() if scheme else ''}{MASK}"

    def _escaped(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text.replace("$$", "$$$$").replace("${", "$${")

    def texts(self, templates: Sequence[Template]) -> list[str]:
        """Arguments: what follows an option that looks secret is masked."""
        found: list[str] = []
        for before, one in zip(((), *templates), templates, strict=False):
            is_value = _is_secret_option(before) and not str(one[0] if one else "").startswith("-")
            found.append(_masked(one) if is_value else self.text(one))
        return found


def _signal_name(number: int) -> str | int:
    try:
        return Signals(number).name
    except ValueError:  # a real-time signal
        return number


def veiled(text: str) -> str:
    """Without what looks secret by where it stands; references stay."""
    for pattern in (_IN_URL, _IN_HEADER):
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return _NAMED.sub(_mask_named, text)


def _mask_named(found: re.Match[str]) -> str:
    return f"{found[1]}{MASK}" if looks_secret(found[2]) else found[0]


def _is_secret_option(template: Template) -> bool:
    return (
        len(template) == 1 and bool(_OPTION.match(str(template[0]))) and looks_secret(_name(str(template[0])))
    )


def _name(option: str) -> str:
    return option.lstrip("-")


def _masked(template: Template) -> str:
    return "".join(str(part) if isinstance(part, Reference) else MASK for part in template)


def service_as_written(loaded: Loaded, name: str, one: Server | Job, shown: Shown) -> dict[str, Any]:
    """One service, every default said; what says nothing is left out."""
    policy = restart(one)
    found: dict[str, Any] = {
        "command": shown.text(one.command[2]) if one.shell else shown.texts(one.command),
        "shell": one.shell or None,
        "depends_on": {on: _dependency(loaded, on, one) for on in one.depends_on},
        "port": str(one.port) if one.port else None,
        "ports": {port: str(wanted) for port, wanted in one.ports.items()},
        "host": one.host if one.port or one.ports else None,
        "handover": one.handover if one.port or one.ports else None,
        "gpus": _gpus(one.gpus) if one.gpus else None,
        "ready": _check(one.ready, shown) if one.ready else None,
        "alive": _check(one.alive, shown) if one.alive else None,
        "restart": {"policy": policy.policy},
        "stop_signal": _signal_name(one.stop_signal),
        "stop_grace": f"{one.stop_grace:g}s",
        "environment": _environment(loaded, name, shown),
        "inherit_env": list(one.inherit_env) if isinstance(one.inherit_env, tuple) else one.inherit_env,
        "working_dir": shown.plain(one.working_dir),
        "venv": shown.plain(one.venv) if one.venv else None,
        "requirements": _requirements(one, shown),
        "python": shown.plain(one.python) if one.python else None,
        "output": [_sink(sink, shown) for sink in one.output],
        "profiles": list(one.profiles),
        "watch": list(one.watch),
        "on_change": None if one.on_change == OnChange() else _change(one.on_change),
    }
    if policy.policy != "never":
        found["restart"] |= {
            "backoff": {
                "initial": f"{policy.initial_s:g}s",
                "max": f"{policy.max_s:g}s",
                "factor": policy.factor,
            },
            "max_restarts": policy.max_restarts,
            "window": f"{policy.window_s:g}s",
        }
    if isinstance(one, Job):
        found["primary"] = one.primary or None
        if one.retries is not None:
            found["retries"] = one.retries
            found["backoff"] = found.pop("restart").get("backoff")
    return {key: value for key, value in found.items() if value not in (None, [], {})}


def _requirements(one: Server | Job, shown: Shown) -> Any:
    if isinstance(one.requirements, File):
        return shown.plain(one.requirements.path)
    return None if one.requirements is None else [shown.plain(line) for line in one.requirements]


def _dependency(loaded: Loaded, on: str, one: Server | Job) -> dict[str, Any]:
    written = one.depends_on[on]
    condition = written.condition or ("done" if loaded.is_job(on) else "ready")
    return {"condition": condition, **({"restart": True} if written.restart else {})}


def _environment(loaded: Loaded, name: str, shown: Shown) -> Mapping[str, str]:
    return {
        variable.name: MASK if _hidden(variable.value) else shown.text(variable.value)
        for variable in loaded.environment[name]
    }


def _gpus(written: Gpus) -> dict[str, Any]:
    return {
        **({"ids": list(written.ids)} if written.ids else {"count": written.count or 1}),
        **({"memory": written.memory} if written.memory else {}),
        **({"wait": True} if written.wait else {}),
    }


def _hidden(value: Template) -> bool:
    return bool(value) and all(isinstance(part, Secret) for part in value)


def _sink(sink: Sink, shown: Shown) -> Any:
    if not sink.path:
        return sink.kind
    return {sink.kind: shown.plain(sink.path), "rotate": sink.rotate, "keep": sink.keep}


def _change(change: OnChange) -> Any:
    return {"signal": Signals(change.signal).name} if change.action == "signal" else change.action


def _check(check: Alive, shown: Shown) -> dict[str, Any]:
    found: dict[str, Any] = {
        "http": shown.text(check.http) if check.http else None,
        "tcp": _tcp(check.tcp, shown) if check.tcp else None,
        "exec": shown.texts(check.exec) if check.exec else None,
        "file": shown.text(check.file) if check.file else None,
        "status": [f"{low}-{high}" if high > low else low for low, high in check.status],
        "body": shown.plain(check.body) if check.body else None,
        "headers": {
            key: shown.secret_header(value) if looks_secret(key) else shown.text(value)
            for key, value in check.headers.items()
        },
        "interval": f"{check.interval:g}s" if check.interval else None,
        "probe_timeout": f"{check.probe_timeout:g}s",
        "failures": check.failures,
        "owner": check.owner if check.owner != "self" else None,
    }
    if check.http is None:
        del found["status"]
    if isinstance(check, Ready):
        found |= {
            "log": shown.text(check.log) if check.log else None,
            "notify": check.notify or None,
            "post": json.loads(shown.text(check.post)) if check.post else None,
            "once": check.once or None,
            "successes": check.successes,
            "stall": f"{check.stall:g}s" if check.stall else "never",
            "timeout": f"{check.timeout:g}s" if check.timeout else None,
        }
    return {key: value for key, value in found.items() if value not in (None, {}, [])}


def _tcp(written: Template, shown: Shown) -> Any:
    return True if written == ("main",) else shown.text(written)
