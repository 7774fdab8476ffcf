"""The environment a child gets: what is inherited, beneath what the stack declares, beneath launchpad's markers.

Decides which of launchpad's own variables pass; refuses to know why the stack declares what it declares.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from launchpad.core.model import Launch
from launchpad.hosts.local.process import ATTEMPT, RUN, SERVICE

MINIMUM = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR")
"""What nearly every program needs to find its files and its language; LC_* as well."""

OURS_ALONE = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "OLDPWD", "_")
"""Addressed to launchpad by whoever started it; a child that obeyed them would speak in its name."""
OURS_ALONE_PREFIXES = ("LISTEN_", "LAUNCHPAD_")


def child_environment(
    launch: Launch, own: Mapping[str, str], *, run_id: str, attempt: int, service: str
) -> dict[str, str]:
    """Complete; `own` is launchpad's own environment."""
    env = inherited(launch.inherit, own)
    env["PATH"] = with_own_programs(env.get("PATH", os.defpath))
    if launch.inherit is True:
        env["PWD"] = launch.working_dir
    env.update(launch.environment)
    env.update({RUN: run_id, ATTEMPT: str(attempt), SERVICE: service})
    return env


def with_own_programs(path: str) -> str:
    """PATH, with the folder of launchpad's own programs at the end: `launchpad`, and what is installed beside it,
    is found also where its environment is not activated; everything else comes first."""
    own = os.path.dirname(sys.executable)
    return path if own in path.split(":") else f"{path}:{own}"


def inherited(rule: bool | tuple[str, ...], own: Mapping[str, str]) -> dict[str, str]:
    """`rule`: True for all, False for the bare minimum, or names (PATH besides, to find the command)."""
    if rule is True:
        wanted = list(own)
    elif rule is False:
        wanted = [name for name in own if name in MINIMUM or name.startswith("LC_")]
    else:
        wanted = [name for name in own if name in rule or name == "PATH"]
    return {name: own[name] for name in wanted if _may_pass(name)}


def _may_pass(name: str) -> bool:
    return name not in OURS_ALONE and not name.startswith(OURS_ALONE_PREFIXES)
