"""For every key of a server or job: a stack before, and the same with that key alone changed.

One table for all who compare: the digest and the diff here, processes in `tests/e2e/test_reload_keys.py`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from msgspec import Struct, field

BASE: dict[str, Any] = {
    "command": "PRETEND --port ${self.port} --notify --log-line hello --print hell",
    "port": "auto",
}
JOB: dict[str, Any] = {"command": "PRETEND"}
EVENTS = ".launchpad/stack.yaml/events.jsonl"
LOG = ".launchpad/stack.yaml/logs/{}-file.log"
"""Two files that are younger than the process."""
ONE = "servers: {b: {command: PRETEND, port: auto}}"
BARE = "{title: bare, kinds: [server, job], model: {example: m, means: any}, service: {command: x}}"
FILES = {
    "recipes/bare.yaml": BARE,
    "one.yaml": ONE,
    "two.yaml": f"# the same\n{ONE}",
    "c.env": "A=1\n",
    "a.env": "A=1\n",
    "b.env": "A=2\n",
    "w/there": "",
    "v/bin/there": "",
}


class Case(Struct, frozen=True):
    """What is laid over `BASE` (or `JOB`) for the service `a`, before and after; and files beside the stack."""

    before: dict[str, Any]
    after: dict[str, Any]
    job: bool = False
    files: dict[str, str] = field(default_factory=dict)
    """Written with the second version."""
    suffix: str = ""
    """What the service is called in the plan, after its name in the file."""

    def text(self, after: bool, command: str = "PRETEND") -> str:
        """The stack file, as JSON, which is YAML."""
        mine = {**(JOB if self.job else BASE), **(self.after if after else self.before)}
        other = {"command": "PRETEND --port ${self.port}", "port": "auto"}
        servers: dict[str, Any] = {"b": other, **({} if self.job else {"a": mine})}
        stack = {"x-mine": {}, "servers": servers, "jobs": {"a": mine} if self.job else {}}
        return json.dumps(stack, indent=1).replace("PRETEND", command)


def check(name: str, before: Any, after: Any, **kind: Any) -> Case:
    kind = kind or {"http": "/health"}
    return Case({name: {**kind, **before}}, {name: {**kind, **after}})


def checks(name: str) -> dict[str, Case]:
    """What `ready` and `alive` have in common."""
    return {
        name: Case({}, {name: "/health"}),
        f"{name}.http": Case({name: {"http": "/health"}}, {name: {"http": "/health?x=1"}}),
        f"{name}.tcp": Case({name: {"tcp": True}}, {name: {"tcp": "127.0.0.1:${self.port}"}}),
        f"{name}.exec": Case({name: {"exec": ["true"]}}, {name: {"exec": ["true", "x"]}}),
        f"{name}.file": Case({name: {"file": EVENTS}}, {name: {"file": LOG.format(name)}}),
        f"{name}.status": check(name, {"status": [200]}, {"status": ["200-299"]}),
        f"{name}.body": check(name, {}, {"body": "."}),
        f"{name}.headers": check(name, {"headers": {"A": "1"}}, {"headers": {"A": "2"}}),
        f"{name}.owner": check(name, {"owner": "self"}, {"owner": "any"}),
        f"{name}.interval": check(name, {"interval": "10s"}, {"interval": "20s"}),
        f"{name}.probe_timeout": check(name, {"probe_timeout": "5s"}, {"probe_timeout": "6s"}),
        f"{name}.failures": check(name, {"failures": 3}, {"failures": 4}),
    }


def value(key: str, before: Any, after: Any, *, job: bool = False) -> Case:
    return Case({key: before}, {key: after}, job)


CASES: dict[str, Case] = {
    "command": Case({}, {"command": BASE["command"] + " --name other"}),
    "uses": Case({}, {"uses": "bare"}),
    "model": Case({"uses": "bare", "model": "a"}, {"uses": "bare", "model": "b"}),
    "args": Case({"uses": "bare", "args": "--name one"}, {"uses": "bare", "args": "--name two"}),
    "shell": Case({}, {"shell": True}),
    "environment": value("environment", {"A": "1"}, {"A": "2"}),
    "env_file": Case({"env_file": "c.env"}, {"env_file": "c.env"}, files={"c.env": "A=2\n"}),
    "env_file.path": value("env_file", [{"path": "a.env"}], [{"path": "b.env"}]),
    "env_file.required": value(
        "env_file", [{"path": "a.env", "required": True}], [{"path": "a.env", "required": False}]
    ),
    "inherit_env": value("inherit_env", True, ["LP_TEST_MARK", "PATH"]),
    "working_dir": value("working_dir", ".", "w"),
    "venv": Case({}, {"venv": "v"}),
    "requirements": value("requirements", [], ["--no-index"]),
    "python": Case({"requirements": [], "python": "3"}, {"requirements": [], "python": sys.executable}),
    "port": value("port", "auto", "29600-32700"),
    "ports": Case({}, {"ports": {"extra": "auto"}}),
    "host": value("host", "127.0.0.1", "0.0.0.0"),
    "handover": value("handover", "shared", "release"),
    "gpus": Case({}, {"gpus": 1}),
    "gpus.count": value("gpus", {"count": 1}, {"count": 2}),
    "gpus.ids": value("gpus", {"ids": ["${LP_GPUS:-GPU}-6"]}, {"ids": ["${LP_GPUS:-GPU}-7"]}),
    "gpus.memory": value("gpus", {"memory": "1GB"}, {"memory": "2GB"}),
    "gpus.wait": value("gpus", {"wait": False}, {"wait": True}),
    "depends_on": Case({}, {"depends_on": ["b"]}),
    "depends_on.condition": value("depends_on", {"b": "started"}, {"b": "ready"}),
    "depends_on.restart": value("depends_on", {"b": {"restart": False}}, {"b": {"restart": True}}),
    "extends": value("extends", "b", "x-mine"),
    "extends.file": value(
        "extends", {"service": "b", "file": "one.yaml"}, {"service": "b", "file": "two.yaml"}
    ),
    "extends.service": value("extends", {"service": "b"}, {"service": "x-mine"}),
    **checks("ready"),
    "ready.log": Case({"ready": {"log": "hell"}}, {"ready": {"log": "hello"}}),
    "ready.notify": Case({}, {"ready": {"notify": True}}),
    "ready.post": check("ready", {"post": {"n": 1}}, {"post": {"n": 2}}),
    "ready.once": check("ready", {"once": False}, {"once": True}),
    "ready.successes": check("ready", {"successes": 1}, {"successes": 2}),
    "ready.stall": check("ready", {"stall": "1m"}, {"stall": "2m"}),
    "ready.timeout": check("ready", {"timeout": "1m"}, {"timeout": "2m"}),
    **checks("alive"),
    "restart": value("restart", "always", "never"),
    "restart.policy": value("restart", {"policy": "always"}, {"policy": "never"}),
    "restart.backoff": value("restart", {"backoff": {"max": "10s"}}, {"backoff": {"max": "20s"}}),
    "restart.max_restarts": value("restart", {"max_restarts": 1}, {"max_restarts": 2}),
    "restart.window": value("restart", {"window": "1m"}, {"window": "2m"}),
    "backoff": value("backoff", {"max": "10s"}, {"max": "20s"}),
    "backoff.initial": value("backoff", {"initial": "1s"}, {"initial": "2s"}),
    "backoff.max": value("backoff", {"max": "10s"}, {"max": "20s"}),
    "backoff.factor": value("backoff", {"factor": 2}, {"factor": 3}),
    "max_restarts": value("max_restarts", 1, 2),
    "window": value("window", "1m", "2m"),
    "retries": value("retries", 1, 2, job=True),
    "primary": value("primary", False, True, job=True),
    "stop_signal": value("stop_signal", "TERM", "INT"),
    "stop_grace": value("stop_grace", "1s", "2s"),
    "output": value("output", "console", "jsonl"),
    "output.file": value("output", {"file": "a.log"}, {"file": "b.log"}),
    "output.jsonl": value("output", {"jsonl": "a.log"}, {"jsonl": "b.log"}),
    "output.rotate": value("output", {"file": "a.log"}, {"file": "a.log", "rotate": "1MB"}),
    "output.keep": value("output", {"file": "a.log", "keep": 1}, {"file": "a.log", "keep": 2}),
    "profiles": Case({}, {"profiles": ["p"]}),
    "replicas": Case({"replicas": 1}, {"replicas": 2}, suffix="-0"),
    "watch": Case({}, {"watch": ["w/*"]}),
    "on_change": value("on_change", "restart", "keep"),
}
