"""Readiness and liveness: from what is written to what is probed.

Decides what a short form aims at, and refuses checks of a port that the service does not have.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from launchpad.core.model import Check, CheckKind, Ref, Text
from launchpad.errors import Diagnostic
from launchpad.plan.texts import text
from launchpad.stack import machine
from launchpad.stack.loaded import Loaded
from launchpad.stack.parts import Alive, Ready
from launchpad.stack.problems import closest, error, listed, shown
from launchpad.stack.scope import MAIN, bracketed, connectable
from launchpad.stack.words import Template

NO_PORT = "E206"
DEFAULT_INTERVAL_S = 10.0
"""Between two probes of a service that is up; the core probes faster while it starts."""
NEVER_AGAIN = 0.0
"""As an interval: the core does not probe again what has passed."""


def ready(loaded: Loaded, name: str, ports: Sequence[str], folder: str) -> Check | None:
    """The readiness check; a server's main port, where nothing is said."""
    written = loaded.service(name).ready
    if written is not None:
        return _check(written, name, loaded, ports, folder)
    if MAIN in ports and not loaded.is_job(name):
        return Check(CheckKind.TCP, target=(Ref(name, MAIN, "address"),))
    return None


def alive(loaded: Loaded, name: str, ports: Sequence[str], folder: str) -> Check | None:
    written = loaded.service(name).alive
    return _check(written, name, loaded, ports, folder) if written is not None else None


def _check(written: Alive, name: str, loaded: Loaded, ports: Sequence[str], folder: str) -> Check:
    kind, target, argv = _aim(written, name, loaded, ports, folder)
    more: dict[str, Any] = {}
    once = isinstance(written, Ready) and written.once
    if isinstance(written, Ready):
        more = {
            "successes": written.successes,
            "stall_s": written.stall,
            "timeout_s": written.timeout,
            "content": text(written.post) if written.post is not None else (),
        }
    return Check(
        kind,
        target=target,
        argv=argv,
        status=written.status,
        body=written.body or "",
        headers=tuple((key, text(value)) for key, value in written.headers.items()),
        failures=written.failures,
        interval_s=NEVER_AGAIN if once else written.interval or DEFAULT_INTERVAL_S,
        probe_timeout_s=written.probe_timeout,
        ours=written.owner == "self",
        **more,
    )


def _aim(
    written: Alive, name: str, loaded: Loaded, ports: Sequence[str], folder: str
) -> tuple[CheckKind, Text, tuple[Text, ...]]:
    if written.http is not None:
        is_path = str(written.http[0]).startswith("/")
        target = (Ref(name, MAIN, "url"), *text(written.http)) if is_path else text(written.http)
        return CheckKind.HTTP, target, ()
    if written.exec is not None:
        return CheckKind.EXEC, (), tuple(text(part) for part in written.exec)
    if written.file is not None:
        return CheckKind.FILE, _below(folder, text(written.file)), ()
    if isinstance(written, Ready) and written.log is not None:
        return CheckKind.LOG, text(written.log), ()
    if isinstance(written, Ready) and written.notify:
        return CheckKind.NOTIFY, (), ()
    host = connectable(loaded.service(name).host)
    return CheckKind.TCP, _address(name, written.tcp or (MAIN,), ports, host), ()


def _below(folder: str, path: Text) -> Text:
    first, *rest = path
    if isinstance(first, str):
        return (
            (os.path.normpath(os.path.join(folder, machine.at_home(first))), *rest)
            if not rest
            else (
                os.path.join(folder, machine.at_home(first)),
                *rest,
            )
        )
    return (f"{folder}{os.sep}", *path)


def _address(name: str, written: Template, ports: Sequence[str], host: str) -> Text:
    """`host:port`, from a port's name, a number, or that itself."""
    first = written[0]
    if len(written) == 1 and isinstance(first, str):
        if first in ports:
            return (Ref(name, first, "address"),)
        return (first,) if ":" in first else (f"{bracketed(host)}:{first}",)
    if len(written) == 1:
        return (f"{bracketed(host)}:", *text(written))
    return text(written)


def problems(loaded: Loaded, name: str, ports: Sequence[str]) -> Iterator[Diagnostic]:
    """Checks of ports that are not there."""
    service = loaded.service(name)
    if service.ready is not None:
        yield from _problems(loaded, name, "ready", service.ready, ports)
    if service.alive is not None:
        yield from _problems(loaded, name, "alive", service.alive, ports)


def _problems(
    loaded: Loaded, name: str, key: str, written: Alive, ports: Sequence[str]
) -> Iterator[Diagnostic]:
    if written.http is not None:
        if str(written.http[0]).startswith("/") and MAIN not in ports:
            yield _no_main(loaded, name, key, "http", ports, "`{http: http://127.0.0.1:8000/…}`")
        return
    others: list[object] = [written.exec, written.file]
    if isinstance(written, Ready):
        others += [written.log, written.notify or None]
    if any(one is not None for one in others):
        return
    aim = written.tcp or (MAIN,)
    word = aim[0]
    if len(aim) > 1 or not isinstance(word, str) or word in ports or ":" in word or word.isdigit():
        return
    if word == MAIN:
        yield _no_main(loaded, name, key, "tcp", ports, "`{tcp: 127.0.0.1:8000}`")
        return
    near = closest(word, ports)
    hint = f"did you mean `{near}`?" if near else (f"it has {listed(ports, 'and')}" if ports else "")
    yield error(NO_PORT, f"`{name}` has no port `{shown(word)}`", loaded.span(name, key, "tcp"), hint=hint)


def _no_main(loaded: Loaded, name: str, key: str, kind: str, ports: Sequence[str], other: str) -> Diagnostic:
    message = f"`{key}` asks the main port, and `{name}` has none"
    hint = f"give it one (`port: auto`), or name the whole address: {other}"
    if ports:
        address = f"${{self.ports.{ports[0]}}}"
        whole = f"http://127.0.0.1:{address}/…" if kind == "http" else f"127.0.0.1:{address}"
        hint = f'name the port: `{kind}: "{whole}"`'
    return error(NO_PORT, message, loaded.span(name, key, kind), hint=hint)
