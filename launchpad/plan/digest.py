"""What shapes a process, as one short text: if it differs, the process has to be replaced.

Decides what counts: server or job, command, declared environment, what is inherited, folder, virtual environment,
ports, host, handover, GPUs, and whether it is given a socket to say that it is ready. Not other readiness, restarts,
stopping, output, dependencies, comments or the order of keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from launchpad.core.model import PortRequest, Text
from launchpad.plan.texts import canonical, text
from launchpad.stack.loaded import Variable


def digest(
    *,
    kind: str,
    command: Sequence[Text],
    declared: Sequence[Variable],
    inherit: bool | tuple[str, ...],
    working_dir: str,
    venv: str,
    ports: Sequence[PortRequest],
    host: str,
    handover: str,
    notify: bool,
    gpus: Sequence[object] = (),
) -> str:
    """32 hexadecimal digits."""
    asked: list[object] = [[port.name, port.low, port.high, port.auto] for port in ports]
    shape = {
        "kind": str(kind),
        "command": [canonical(one) for one in command],
        "environment": sorted([one.name, canonical(text(one.value))] for one in declared),
        "inherit": inherit if isinstance(inherit, bool) else sorted(inherit),
        "working_dir": working_dir,
        "venv": venv,
        "ports": asked if handover == "inherit" else sorted(asked, key=str),
        "host": host,
        "handover": handover,
        "notify": notify,
    }
    if gpus:
        shape["gpus"] = list(gpus)
    whole = json.dumps(shape, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
