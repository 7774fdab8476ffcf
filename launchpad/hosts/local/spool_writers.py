"""Which of two processes printed into one log: what the kernel knows of each one's own descriptor.

Refuses to know lines: who wrote a given one cannot be told, only how far each has come.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def written_to(pid: int, log: Path) -> int:
    """The place in the file behind the last byte that a process wrote by its stdout or stderr, or whoever has these
    from it; 0 if they lead elsewhere. Each opening of a file has its own place, and appending moves only that."""
    found = [0]
    for fd in (1, 2):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if os.readlink(f"/proc/{pid}/fd/{fd}") == os.path.realpath(log):
                info = Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
                found.append(int(info.split(maxsplit=2)[1]))
    return max(found)
