"""`up` on a stack that already runs: the supervisor applies the file, the caller watches, and lets go.

Decides for how long one watches, and what the exit code is then. Refuses to stop anything: the stack was running before.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from launchpad.control.api import Reply, Snapshot
from launchpad.control.client import Client, NotRunning
from launchpad.errors import Diagnostic, ExitCode, Refused
from launchpad.paths import StackPaths
from launchpad.runtime.detach import decided, let_interrupts_in, start_code
from launchpad.runtime.options import UpOptions

if TYPE_CHECKING:
    from launchpad.views.console import Console

LETTING_GO_S = 3.0
"""How long a console that nobody reads is waited for."""


def join(options: UpOptions, client: Client, console: Console) -> int:
    """Apply the file and follow until Ctrl-C, or with `detach` until it is decided. Raises Refused."""
    for line in _answer(client.apply(_say, **request(options))).changes:
        _say(line)
    try:
        let_interrupts_in()
        if not _watched(options, console):
            return _too_late(options, client.status())
        return start_code(client.status())
    except KeyboardInterrupt:
        return int(ExitCode.OK)  # it only lets go; the stack runs on
    except NotRunning:
        return int(ExitCode.OK)


def _say(line: str) -> None:
    print(f"launchpad: {line}", file=sys.stderr)  # noqa: T201


def _watched(options: UpOptions, console: Console) -> bool:
    """Show what happens. False when what was asked for was not decided in time."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        if not console.stop(LETTING_GO_S):
            os._exit(int(ExitCode.FAILED))  # nobody reads what is said

    def over(snapshot: Snapshot) -> bool:
        if decided(snapshot):
            timer.cancel()
            return options.detach
        return False

    timer = threading.Timer(options.timeout_s or 0.0, give_up)
    timer.daemon = True
    if options.timeout_s is not None:
        timer.start()
    try:
        console.run(until=over)
    finally:
        timer.cancel()
    return not late.is_set()


def _too_late(options: UpOptions, snapshot: Snapshot) -> int:
    from launchpad.views.diagnostics import render

    waiting = [
        view for view in snapshot.services if view.goal == "up" and view.state not in ("ready", "done")
    ]
    late = Diagnostic(
        "E404",
        f"the stack was not up within {options.timeout_s:g} s",
        notes=tuple(f"`{view.name}` is {view.state}" for view in waiting),
        consequence="nothing was stopped: the stack ran before, and runs on",
        hint="launchpad ps",
    )
    print(render([late], color=options.color).rstrip("\n"), file=sys.stderr)  # noqa: T201
    return int(ExitCode.FAILED)


def compared(options: UpOptions, paths: StackPaths, *, retry: bool = False) -> Reply | None:
    """What the supervisor says that applying the file would do; None when none runs. Raises Refused."""
    try:
        reply = Client(paths.socket).diff(**request(options), retry=retry)
    except NotRunning:
        return None
    return _answer(reply)


def request(options: UpOptions) -> dict[str, object]:
    """What a running supervisor is told of the options."""
    body: dict[str, object] = {
        "names": list(options.names),
        "profiles": list(options.profiles),
        "set_vars": dict(options.set_vars),
        "env_files": [os.path.abspath(file) for file in options.env_files],
        "yes": options.yes,
        "all": not options.names,
    }
    return {key: value for key, value in body.items() if value}


def _answer(reply: Reply) -> Reply:
    if not reply.ok:
        raise Refused(reply.diagnostics)
    return reply
