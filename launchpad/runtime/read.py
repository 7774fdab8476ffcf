"""The stack file, read with the options of one `up` or `run`, ready to be supervised."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from launchpad.core.model import Kind, Service, Text
from launchpad.errors import Diagnostic, Refused
from launchpad.paths import StackPaths
from launchpad.plan.read import Reading, read_stack
from launchpad.runtime import kept, store
from launchpad.runtime.options import UpOptions
from launchpad.stack.asked import ReadAs, Scaled

_PARAMETER = re.compile(r"\$\{?[@*1-9]")


def read(options: UpOptions, before: Reading | None = None) -> Reading:
    """Raises Refused with all problems of the file. Of `before` is taken what means the same."""
    asked = _asked(options)
    reading = read_stack(
        options.file,
        set_vars=dict(asked.set_vars),
        env_files=asked.env_files,
        profiles=asked.profiles,
        scaled=asked.scaled,
        before=before,
    )
    return _for_job(reading, options)


def read_or_kept(options: UpOptions, paths: StackPaths) -> Reading:
    """The same, at a start: what is kept of the last reading, if that still holds."""
    reading = kept.load(paths.kept, options.file, _asked(options))
    return read(options) if reading is None else _for_job(reading, options)


def _asked(options: UpOptions) -> ReadAs:
    env_files = tuple(os.path.abspath(file) for file in options.env_files)
    return ReadAs(tuple(dict(options.set_vars).items()), env_files, options.profiles, options.scaled)


def _for_job(reading: Reading, options: UpOptions) -> Reading:
    return with_job(reading, options.job, options.job_args) if options.job else reading


def scaled(paths: StackPaths) -> tuple[Scaled, ...]:
    """The numbers of copies that the stack has instead of those of its file."""
    return tuple(Scaled(*one) for one in store.remembered(paths).scaled)


def with_job(reading: Reading, job: str, args: tuple[str, ...]) -> Reading:
    """The same stack, in which `job`, with `args` after its command, decides when all is over."""
    if (copies := reading.groups.get(job)) is not None:
        raise Refused([_one_of(job, copies)])
    reading.goals((job,))  # refuses unknown names
    services = []
    for service in reading.plan.services:
        if service.name != job:
            services.append(replace(service, primary=False) if service.primary else service)
        elif service.kind is Kind.JOB:
            services.append(_as_primary(service, args, reading.loaded.service(job).shell))
        else:
            raise Refused(
                [
                    Diagnostic(
                        "E606",
                        f"`{job}` is a server, not a job",
                        consequence="nothing was started",
                        hint=f"launchpad up {job}",
                    )
                ]
            )
    return replace(reading, plan=replace(reading.plan, services=tuple(services)), as_written=reading.plan)


def _one_of(job: str, copies: tuple[str, ...]) -> Diagnostic:
    message = f"`{job}` has {len(copies)} copies, and `run` runs one job"
    hint = f"launchpad run {copies[0]}" if copies else ""
    return Diagnostic("E606", message, consequence="nothing was started", hint=hint)


def _as_primary(service: Service, args: tuple[str, ...], shell: bool) -> Service:
    digest = hashlib.blake2b(os.fsencode("\0".join((service.digest, *args))), digest_size=16).hexdigest()
    command = (
        *(_with_parameters(service.command) if shell and args else service.command),
        *((a,) for a in args),
    )
    return replace(service, primary=True, command=command, digest=digest if args else service.digest)


def _with_parameters(command: tuple[Text, ...]) -> tuple[Text, ...]:
    """`sh -c SCRIPT`, ready for arguments: they are its parameters, and stand at its end where it names none."""
    shell, flag, script = command
    if not any(_PARAMETER.search(part) for part in script if isinstance(part, str)):
        last = script[-1]
        script = (*script[:-1], last.rstrip() if isinstance(last, str) else last, ' "$@"')
    return (shell, flag, script, ("sh",))


def override(options: UpOptions, body: Mapping[str, Any]) -> UpOptions:
    """The options with what another `up` on the running stack brought: what it does not name, stays. Raises Refused."""
    changes: dict[str, Any] = {}
    if "profiles" in body:
        changes["profiles"] = tuple(body["profiles"])
    if "env_files" in body:
        changes["env_files"] = tuple(Path(file) for file in body["env_files"])
        if any("\0" in file for file in body["env_files"]):
            raise Refused([Diagnostic("E602", "no file has such a name", consequence="nothing was done")])
    if "set_vars" in body:
        changes["set_vars"] = tuple({**dict(options.set_vars), **body["set_vars"]}.items())
    if "scale" in body:
        changes["scaled"] = _scaled(options, body["scale"])
    return replace(options, **changes)


def _scaled(options: UpOptions, asked: Mapping[str, float]) -> tuple[Scaled, ...]:
    """What was asked for before, but for what is asked for now."""
    before = (one for one in options.scaled if one.name not in asked)
    return (*before, *(Scaled(name, int(count)) for name, count in asked.items()))
