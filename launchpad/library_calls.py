"""One command of launchpad, in a process of its own, for programs that use it as a library.

Decides how it is started, interrupted and judged. Refuses to know what the commands do.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_FIRST_PROBLEM = re.compile(r"^error(\[E\d+\])?:", re.MULTILINE)


class StackError(RuntimeError):
    """What was asked did not come about. Its text is what the command line says about it: for a start that failed the
    place in the stack file, the evidence, and the last lines that the service printed. `exit_code`: that of the
    command; 2 means that the input is wrong and nothing was changed."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


StackError.__module__ = "launchpad"  # as a traceback names it: by where it is imported from


def about(file: Path, command: str, *names: str, timeout: float | str | None = None) -> list[str]:
    """The arguments of a command about one stack."""
    late = [] if timeout is None else [f"--timeout={duration(timeout)}"]
    return [command, f"--file={file}", *late, "--", *names]


def duration(value: float | str) -> str:
    """Seconds, or `"5m"`, as the command line has it."""
    return value if isinstance(value, str) else f"{value:.3f}s"


def call(arguments: Sequence[str]) -> None:
    """Returns when the command has ended. Raises StackError. Interrupted, the command is told, and waited for: it has
    something to end."""
    process = subprocess.Popen(
        _launchpad(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the caller, who passes it on once
    )
    with process:
        try:
            _, said = process.communicate()
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    _judge(process.returncode, said)


async def call_async(arguments: Sequence[str]) -> None:
    """`call`, awaited; a cancellation is an interrupt."""
    process = await asyncio.create_subprocess_exec(
        *_launchpad(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, said = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await process.communicate()
        raise
    assert process.returncode is not None
    _judge(process.returncode, said)


def _launchpad(arguments: Sequence[str]) -> list[str]:
    """`-P`: what lies in the current folder is not taken for a part of launchpad."""
    return [sys.executable, "-P", "-m", "launchpad", *arguments]


def _judge(code: int, said: bytes) -> None:
    if code == 0:
        return
    text = _COLOR.sub("", said.decode(errors="replace")).strip()
    problem = _FIRST_PROBLEM.search(text)
    raise StackError(text[problem.start() :] if problem else text or f"launchpad ended with {code}", code)
