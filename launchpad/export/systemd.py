"""User units of systemd: one for each service, and a target for the stack.

Decides what of a stack systemd can say. Readiness is waited for by a command after the start, so that dependents come after it.
"""

from __future__ import annotations

import re
import shlex
import signal
import sys

from launchpad.core.model import Check, CheckKind, Condition, Kind, Service
from launchpad.export.source import Exported, Source
from launchpad.plan.read import Reading

CARRIED = frozenset(
    ("command", "shell", "depends_on", "port", "ports", "host", "ready", "restart", "backoff", "max_restarts", "window",
     "retries", "stop_signal", "stop_grace", "environment", "env_file", "working_dir", "venv", "profiles",
     ),
)  # fmt: skip
LOST = {
    "alive": "systemd watches for a keep-alive from the service itself only (`WatchdogSec=`)",
    "output": "the journal has it: `journalctl --user -u UNIT`",
    "primary": "the stack does not end with it",
    "watch": "a path unit of your own can do it",
    "on_change": "`systemctl --user daemon-reload` reads units again, and restarts nothing",
    "inherit_env": "a unit has systemd's own environment, not that of your shell",
    "handover": "ports are not held for a service there",
    "gpus": "nobody shares out GPUs there; set CUDA_VISIBLE_DEVICES in `environment`",
}
_POLICY = {"never": "no", "on-failure": "on-failure", "always": "always"}


def export(reading: Reading) -> Exported:
    """Files for `~/.config/systemd/user`."""
    source = Source(reading, "systemd", CARRIED, LOST)
    stack = _unit_name(source.name)
    files = {f"{stack}.target": _target(source, stack)}
    for one in source.services:
        files[f"{stack}-{one.name}.service"] = _service(source, stack, one)
    return Exported(files, source.said())


def _target(source: Source, stack: str) -> str:
    wants = " ".join(f"{stack}-{one.name}.service" for one in source.services)
    return f"""[Unit]
Description={_plain(source.name)}, from {source.reading.loaded.file.name}
Wants={wants}

[Install]
WantedBy=default.target
"""


def _service(source: Source, stack: str, one: Service) -> str:
    unit = [f"Description={_plain(one.name)} of {_plain(source.name)}", f"PartOf={stack}.target"]
    for need in one.needs:
        other = f"{stack}-{need.on}.service"
        unit += [f"After={other}", f"Requires={other}", *([f"PartOf={other}"] if need.bound else [])]
        if need.condition is Condition.STARTED:
            source.leave(
                one.name, "depends_on", f"`{need.on}` is waited for until it is ready, or, a job, done"
            )
    unit += _limits(source, one)
    lines = ["[Unit]", *unit, "", "[Service]", *_run(source, one), *_restart(one)]
    return "\n".join(lines) + "\n"


def _run(source: Source, one: Service) -> list[str]:
    job = one.kind is Kind.JOB
    notify = one.ready is not None and one.ready.kind is CheckKind.NOTIFY
    command = source.command(one, source.here)
    lines = [f"Type={'oneshot' if job else 'notify' if notify else 'exec'}"]
    if job:
        lines.append("RemainAfterExit=yes")
    if notify:
        lines.append("NotifyAccess=all")
    lines.append(f"WorkingDirectory={_plain(one.working_dir)}")
    for path, required in source.env_files(one):
        lines.append(f"EnvironmentFile={'' if required else '-'}{_plain(path)}")
    in_files = source.file_names(one)
    for name, value in source.environment(one, source.here).items():
        if name in in_files:
            source.leave(one.name, "environment", f"`{name}` is in an env file as well, which wins there")
        lines.append(f"Environment={_quoted(f'{name}={value}', command=False)}")
    if "/" not in command[0]:
        command = ["/usr/bin/env", *command]
    lines.append("ExecStart=" + " ".join(_quoted(word) for word in command))
    wait = _wait(source, one, one.ready)
    if wait:
        lines.append("ExecStartPost=" + " ".join(_quoted(word) for word in wait))
        lines.append(f"TimeoutStartSec={_limit(one.ready)}")
    elif job or notify:
        lines.append("TimeoutStartSec=infinity" if job else f"TimeoutStartSec={_limit(one.ready)}")
    return [
        *lines,
        f"KillSignal={signal.Signals(one.stop.signal).name}",
        f"TimeoutStopSec={one.stop.grace_s:g}",
    ]


def _limit(check: Check | None) -> str:
    return f"{check.timeout_s:g}" if check is not None and check.timeout_s else "infinity"


def _wait(source: Source, one: Service, check: Check | None) -> list[str]:
    """A command that returns once the service is ready."""
    if check is None or one.kind is Kind.JOB or check.kind is CheckKind.NOTIFY:
        return []
    target = source.text(check.target, source.here)
    if check.kind is CheckKind.LOG:
        source.leave(one.name, "ready", "systemd does not read output; it counts as ready once it is started")
        return []
    if check.kind is CheckKind.HTTP:
        if check.status != ((200, 399),) or check.body or check.headers:
            source.leave(
                one.name,
                "ready",
                "any status below 400 counts as ready there; `body` and `headers` are not looked at",
            )
        ask = f"import urllib.request as r; r.build_opener(r.ProxyHandler({{}})).open({target!r}, timeout={check.probe_timeout_s:g})"
        test = f"{shlex.quote(sys.executable)} -c {shlex.quote(ask)}"
    elif check.kind is CheckKind.TCP:
        host, _, port = target.rpartition(":")
        code = f"import socket; socket.create_connection(({host.strip('[]')!r}, {port}), {check.probe_timeout_s:g})"
        test = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    elif check.kind is CheckKind.EXEC:
        test = shlex.join(source.text(part, source.here) for part in check.argv)
    else:
        test = f"test -e {shlex.quote(target)}"
    if "ready" in source.tree(one.name):
        source.leave(one.name, "ready", "a loop asks until it is; that the answer is its own, nobody looks")
    return ["/bin/sh", "-c", f"until {test} 2>/dev/null; do sleep 1; done"]


def _restart(one: Service) -> list[str]:
    policy = one.restart.policy
    if one.kind is Kind.JOB and policy == "always":
        policy = "on-failure"  # systemd refuses `always` for what ends by itself
    return [f"Restart={_POLICY[policy]}", f"RestartSec={one.restart.initial_s:g}"]


def _limits(source: Source, one: Service) -> list[str]:
    tree = source.tree(one.name)
    if "backoff" in tree or (
        "restart" in tree and "backoff" in getattr(tree["restart"].value, "entries", {})
    ):
        source.leave(
            one.name, "backoff" if "backoff" in tree else "restart", "the pause stays the same: the first one"
        )
    if one.restart.policy == "never":
        return []
    window = "infinity" if one.restart.window_s == float("inf") else f"{one.restart.window_s:g}"
    return [f"StartLimitIntervalSec={window}", f"StartLimitBurst={one.restart.max_restarts + 1}"]


def _unit_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name) or "stack"


def _plain(text: str) -> str:
    return text.replace("%", "%%").replace("\n", " ")


def _quoted(word: str, *, command: bool = True) -> str:
    """One word as systemd reads it: quotes, specifiers, and, in commands, variables."""
    word = (
        word.replace("\\", "\\\\")
        .replace('"', '\\"')
        .replace("%", "%%")
        .replace("\n", "\\n")
        .replace("\t", "\\t")
    )
    word = word.replace("$", "$$") if command else word
    return word if re.fullmatch(r"[\w@+=:,./%$-]+", word) and command else f'"{word}"'
