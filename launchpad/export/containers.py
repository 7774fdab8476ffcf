"""What compose and Kubernetes have in common: services in containers, which have names and addresses of their own.

Decides which address a text means. On one machine all services share the loopback; in a container it is the container's own.
"""

from __future__ import annotations

import re
import sys

from msgspec.structs import replace

from launchpad.core.model import Check, CheckKind, Kind, Ref, Service, Text
from launchpad.errors import Refused
from launchpad.export.source import START_S, Source
from launchpad.plan.environment import shouted
from launchpad.stack.problems import error

CONTAINER_LOST = {
    "working_dir": "a folder of this machine; the image says where its programs run",
    "venv": "an environment of this machine; the image has to have it",
    "alive": "containers have one check only, which is `ready` here",
    "backoff": "how long is waited before a restart is not ours to say there",
    "window": "restarts are counted differently there",
    "output": "the log is kept by the container's runtime",
    "primary": "the stack does not end with it",
    "watch": "nobody watches files there",
    "on_change": "every change makes a new container",
    "inherit_env": "a container never has your shell's environment",
    "handover": "ports are not held for a service there",
}
SAME_NAME = "E672"
_ANYWHERE = "0.0.0.0"
_LOOPBACKS = ("127.0.0.1", "localhost", "::1")
_LOOPBACK = re.compile(r"(?<![\w.])(?:127\.0\.0\.1|localhost)(?![\w.])")
_TALKS = re.compile("master|main.?process|node|advertise")
"""In the name of an option: the address is one that somebody goes to, not one to listen at."""
_FROM_MACHINE = ("PATH", "VIRTUAL_ENV")


class Container:
    """The texts of one stack as its containers need them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._python = False
        self._refuse_equal_names()

    def _refuse_equal_names(self) -> None:
        known: dict[str, str] = {}
        for one in self._source.services:
            other = known.setdefault(dns(one.name), one.name)
            if other != one.name:
                span = self._source.reading.loaded.name_span(one.name)
                message = f"`{other}` and `{one.name}` would both be `{dns(one.name)}`"
                raise Refused([error(SAME_NAME, message, span)])

    def where(self, ref: Ref) -> str:
        """A service is reached by its name."""
        return dns(ref.service)

    def command(self, one: Service) -> list[str]:
        """Words that are the service's own address become all interfaces: the loopback is reached by nobody else."""
        parts = [self._hosts(one, part) for part in one.command]
        listens = bool(one.ports) and one.kind is Kind.SERVER
        found: list[str] = []
        for word in self._source.command(_with(one, parts), self.where):
            if word == sys.executable:
                self.needs_python()
                word = "python3"
            key, equals, value = word.rpartition("=")
            option = key or (found[-1] if found else "")
            if listens and value in _LOOPBACKS and not _TALKS.search(option):
                word = f"{key}{equals}{_ANYWHERE}"
            found.append(word)
        self._doubt(one, "command", found)
        return found

    def environment(self, one: Service) -> dict[str, str]:
        parts = tuple((name, self._hosts(one, value)) for name, value in one.environment)
        found = self._source.environment(_with(one, list(one.command), parts), self.where)
        for need in one.needs:
            if f"{shouted(need.on)}_HOST" in found:
                found[f"{shouted(need.on)}_HOST"] = dns(need.on)
        if self._source.has_venv(one):
            found = {name: value for name, value in found.items() if name not in _FROM_MACHINE}
        self._doubt(one, "environment", list(found.values()))
        return found

    def _hosts(self, one: Service, parts: Text) -> Text:
        """`host:` before a port: whose port it is says which host is meant."""
        found: list[str | Ref] = []
        for index, part in enumerate(parts):
            after = parts[index + 1] if index + 1 < len(parts) else None
            if isinstance(part, str) and isinstance(after, Ref) and after.form == "port":
                name = _ANYWHERE if after.service == one.name else dns(after.service)
                part = re.sub(r"(?:127\.0\.0\.1|localhost|0\.0\.0\.0|\[::1?\]):\Z", f"{name}:", part)
            found.append(part)
        return tuple(found)

    def _doubt(self, one: Service, key: str, texts: list[str]) -> None:
        if any(_LOOPBACK.search(text) for text in texts):
            self._source.leave(
                one.name, key, "`127.0.0.1` is the container itself there: is that what is meant?"
            )

    def test(self, one: Service, check: Check) -> list[str]:
        """A command in the container that ends with 0 once it is ready; none where that cannot be asked."""
        target = self._source.text(
            check.target, lambda ref: "127.0.0.1" if ref.service == one.name else dns(ref.service)
        )
        if check.kind is CheckKind.HTTP:
            if check.body or check.status != ((200, 399),) or check.headers:
                self._source.leave(
                    one.name,
                    "ready",
                    "any status below 400 counts as ready there; `body` and `headers` are not looked at",
                )
            self.needs_python()
            return [
                "python3",
                "-c",
                f"import urllib.request; urllib.request.urlopen({target!r}, timeout={check.probe_timeout_s:g})",
            ]
        if check.kind is CheckKind.TCP:
            host, _, port = target.rpartition(":")
            self.needs_python()
            return [
                "python3",
                "-c",
                f"import socket; socket.create_connection(({host.strip('[]')!r}, {port}))",
            ]
        if check.kind is CheckKind.EXEC:
            return [self._source.text(part, self.where) for part in check.argv]
        if check.kind is CheckKind.FILE:
            return ["test", "-e", target]
        self._source.leave(
            one.name,
            "ready",
            f"`{check.kind.value}` is not asked there; it counts as ready once it is started",
        )
        return []

    def start_s(self, one: Service, check: Check) -> float:
        """How long a start may take."""
        if not check.timeout_s and "ready" in self._source.tree(one.name):
            why = "a start may take an hour: nobody looks for signs of life there (`stall`)"
            self._source.leave(one.name, "ready", why)
        return check.timeout_s or START_S

    def needs_python(self) -> None:
        """Said once: what asks and waits is a program in the image."""
        if not self._python:
            self._python = True
            self._source.left.append(
                (None, "the image has to have `python3`, which the commands and checks use")
            )

    def gpus(self, one: Service) -> int:
        """How many it asks for; where it names some, so many."""
        written = self._source.written(one).gpus
        if written is not None and written.ids:
            self._source.leave(one.name, "gpus", f"any {len(one.gpus)}, not those that are named")
        if written is not None and written.memory:
            self._source.leave(one.name, "gpus", "`memory` is not asked for: whole GPUs are given there")
        return len(one.gpus)


def dns(name: str) -> str:
    """A service's name, as a host can be called."""
    return name.lower().replace("_", "-").strip("-")


def _with(
    one: Service, command: list[Text], environment: tuple[tuple[str, Text], ...] | None = None
) -> Service:
    return replace(
        one, command=tuple(command), environment=one.environment if environment is None else environment
    )
