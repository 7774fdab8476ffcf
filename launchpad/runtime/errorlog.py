"""What goes wrong in the event loop and belongs to nobody, kept in `supervisor.log`.

A supervisor goes on after it. Decides that the same error is not written down again and again; never prints,
since the terminal shows the stack's output.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import traceback
from pathlib import Path
from typing import Any

AGAIN_S = 60.0
MOST = 100
"""Different errors that are remembered."""


class ErrorLog:
    """A handler for `loop.set_exception_handler`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: dict[str, float] = {}

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        text = f"{context.get('message', '')}: {error!r}"
        now = loop.time()
        if now - self._written.get(text, -AGAIN_S) < AGAIN_S:
            return
        if len(self._written) >= MOST:
            self._written.clear()
        self._written[text] = now
        lines = traceback.format_exception(error) if isinstance(error, BaseException) else []
        with contextlib.suppress(OSError):
            self._append(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n{''.join(lines)}")

    def _append(self, text: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            os.write(descriptor, text.encode(errors="replace"))
        finally:
            os.close(descriptor)
