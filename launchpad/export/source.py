"""A stack as all exports see it: fixed ports, no secrets, and a list of what could not be said.

Decides which services are exported, which number stands for a range, and what is never written. Refuses to know any
format.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from msgspec import Struct, field

from launchpad.core.model import Kind, Ref, Service, Text
from launchpad.core.render import connect_host
from launchpad.errors import MASK, Refused, Span
from launchpad.plan.config import veiled
from launchpad.plan.read import Reading
from launchpad.stack.nodes import Entry
from launchpad.stack.problems import error
from launchpad.stack.schema import Job, Server

OURS = ("LAUNCHPAD_STACK", "LAUNCHPAD_SERVICE")
"""Variables that mean something under launchpad only."""
NOTHING = "E671"
START_S = 3600
"""Where a start has no `timeout`: nobody looks for signs of life there, and models load for minutes."""

Where = Callable[[Ref], str]
"""The host at which whoever reads the text reaches a port."""


class Exported(Struct):
    """Files by name, and what is said about them."""

    files: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


EXPANDED = ("uses", "model", "args")
"""What these stand for is exported, as are the copies that `replicas` asks for, each for itself."""
ALWAYS_LOST = {
    "requirements": "nobody makes the environment there: make it before",
    "python": "nobody makes the environment there: make it before",
}


class Source:
    """One stack for one format. `carried`: the keys of a service that the format can express; `lost`: why others
    cannot be."""

    def __init__(
        self, reading: Reading, format_: str, carried: Collection[str], lost: Mapping[str, str]
    ) -> None:
        self.reading, self.format = reading, format_
        self.left: list[tuple[Span | None, str]] = []
        up = {name for name, wanted in reading.goals() if wanted}
        self.services = [one for one in reading.plan.services if one.name in up]
        if not self.services:
            raise Refused(
                [
                    error(
                        NOTHING,
                        f"`{reading.name}` has nothing to export",
                        hint="`--profile P` turns a profile on",
                    )
                ]
            )
        for one in reading.plan.services:
            if one.name not in up:
                self.leave(
                    one.name, "profiles", "is not exported: none of its profiles is on (`--profile P`)"
                )
        self.ports = dict(self._numbers())
        for one in self.services:
            self._keys(one, carried, lost)
        if any(one.inherit is not False for one in self.services):
            self.left.append(
                (None, "services do not get the environment of your shell there: see `environment`")
            )
        if reading.when_supervisor_dies != "keep":
            self.left.append(
                (
                    reading.loaded.span("", "when_supervisor_dies"),
                    "`when_supervisor_dies`: there is no launchpad to die",
                )
            )

    @property
    def name(self) -> str:
        return self.reading.name

    def leave(self, service: str, key: str, why: str) -> None:
        """Say that something could not be expressed, at its place."""
        named = f"`{service}.{key}`: " if not why.startswith("is not") else f"`{service}` "
        self.left.append((self.reading.loaded.span(service, key), named + why))

    def said(self) -> list[str]:
        """All that was left, in the order of the file."""
        order = sorted(self.left, key=lambda one: (one[0].line, one[0].column) if one[0] else (0, 0))
        return list(dict.fromkeys(f"{span or self.reading.loaded.file}: {text}" for span, text in order))

    def _numbers(self) -> Iterator[tuple[tuple[str, str], int]]:
        """Of each range the first that no other service has."""
        taken: set[int] = {port.low for one in self.services for port in one.ports if port.low == port.high}
        for one in self.services:
            for port in one.ports:
                number = port.low
                if port.low != port.high:
                    number = next((n for n in range(port.low, port.high + 1) if n not in taken), port.low)
                    taken.add(number)
                    key = "port" if port.name == "main" else "ports"
                    span = "`auto`" if port.auto else f"{port.low}-{port.high}"
                    self.leave(one.name, key, f"{span} became {number}: nobody looks for a free one there")
                yield (one.name, port.name), number

    def _keys(self, one: Service, carried: Collection[str], lost: Mapping[str, str]) -> None:
        for key in self.tree(one.name):
            if key == "inherit_env" and one.inherit is False:
                continue
            if key not in (*carried, *EXPANDED) and not key.startswith("x-"):
                why = lost.get(key, ALWAYS_LOST.get(key, f"{self.format} has nothing like it"))
                self.leave(one.name, key, why)
        for need in one.needs:
            if need.bound and "depends_on.restart" not in carried:
                self.leave(one.name, "depends_on", f"`{need.on}` is not watched for restarts there")

    # --- texts ---------------------------------------------------------------------------------------

    def here(self, ref: Ref) -> str:
        """On one machine: the address that the service binds."""
        return connect_host(next(one.host for one in self.services if one.name == ref.service))

    def text(self, parts: Text, where: Where) -> str:
        """With addresses, and without secrets."""
        whole = ""
        for part in parts:
            if isinstance(part, str):
                whole += part
                continue
            if part.form == "gpus":
                whole += self._gpus(part.service)
                continue
            number, host = self.ports[part.service, part.port], where(part)
            host = f"[{host}]" if ":" in host else host
            whole += {"port": f"{number}", "url": f"http://{host}:{number}"}.get(
                part.form, f"{host}:{number}"
            )
        for secret in self.reading.secrets:
            whole = whole.replace(secret, MASK)
        return veiled(whole)

    def _gpus(self, name: str) -> str:
        """Numbers as a process counts those that it is given."""
        count = next(len(one.gpus) for one in self.services if one.name == name)
        numbers = ",".join(map(str, range(count)))
        self.leave(name, "gpus", f"`${{self.gpus}}` became {numbers}: which ones it gets is not known here")
        return numbers

    def command(self, one: Service, where: Where) -> list[str]:
        found = [self.text(part, where) for part in one.command]
        if any(MASK in part for part in found):
            self.leave(
                one.name, "command", f"there is a secret in it, which is not written down: see `{MASK}`"
            )
        return found

    def environment(self, one: Service, where: Where, *, files: bool = True) -> dict[str, str]:
        """Without what is secret. `files`: what env files hold is given by the format itself."""
        from_files = self._file_names(one)
        found = {}
        for name, value in one.environment:
            if name in OURS:
                continue
            text = MASK if name in one.secrets else self.text(value, where)
            if MASK not in text:
                found[name] = self._led(one, text)
            elif name not in from_files or not files:
                self.leave(one.name, "environment", f"`{name}` is secret, and is not written down")
        return found

    def _led(self, one: Service, text: str) -> str:
        """By the link to its environment: the folder is another one when the requirements change, and the old one is taken
        away."""
        return text if one.prepare is None else text.replace(one.prepare.folder, one.prepare.link)

    def has_venv(self, one: Service) -> bool:
        return one.prepare is not None or self.written(one).venv is not None

    def _file_names(self, one: Service) -> set[str]:
        """Variables that come from env files."""
        written = self.written(one).environment
        return {name for name in one.secrets if name not in written}

    def env_files(self, one: Service) -> list[tuple[str, bool]]:
        """Absolute paths of the env files of the stack and of the service, and whether each has to be there; later ones
        win."""
        loaded = self.reading.loaded
        own = [(self._path(file.path), file.required) for file in self.written(one).env_file]
        return [*((str(path), os.path.exists(path)) for path in loaded.env_files[one.name]), *own]

    def _path(self, written: str) -> str:
        return os.path.normpath(os.path.join(self.reading.loaded.dir, os.path.expanduser(written)))

    def file_names(self, one: Service) -> set[str]:
        """All names in its env files."""
        from launchpad.stack.envfile import read_env

        files = [read_env(Path(path), {}, required=False, wanted_at=None) for path, _ in self.env_files(one)]
        return {name for file in files for name in file.values}

    def tree(self, name: str) -> Mapping[str, Entry]:
        """The keys of a service as they are written."""
        return self.reading.loaded.trees[name].entries

    def written(self, one: Service) -> Server | Job:
        """Its model."""
        return self.reading.loaded.service(one.name)

    def is_job(self, name: str) -> bool:
        return any(one.name == name and one.kind is Kind.JOB for one in self.services)
