"""What happened, kept on disk as JSON lines (`events.jsonl`), for `launchpad events` and for views.

Decides nothing. A journal that cannot be written stops nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from launchpad.control.api import Event, to_json

MAX_BYTES = 8 << 20
"""Then the file is renamed to `.1`, which replaces the one before."""


class Journal:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._size = 0

    def write(self, events: Iterable[Event]) -> None:
        text = "".join(json.dumps(to_json(event), separators=(",", ":")) + "\n" for event in events)
        if not text:
            return
        data = text.encode()
        try:
            self._open()
            os.write(self._fd, data)
            self._size += len(data)
        except OSError:
            self.close()

    def _open(self) -> None:
        if self._fd >= 0 and self._size > MAX_BYTES:
            self.close()
            os.replace(self._path, self._path.with_name(self._path.name + ".1"))
        if self._fd >= 0 and not os.fstat(self._fd).st_nlink:  # somebody has deleted it
            self.close()
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._fd < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._path, flags, 0o600)
            self._size = os.fstat(self._fd).st_size

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
