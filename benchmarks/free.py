"""Ports that nobody has at the moment. Below the range that the kernel gives away by itself."""

from __future__ import annotations

import random
import socket

FIRST, LAST = 20000, 30000


def is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """In one row, for launchers that take a range."""
    for _ in range(1000):
        base = random.randrange(FIRST, LAST - count)
        row = list(range(base, base + count))
        if all(map(is_free, row)):
            return row
    raise OSError("no free ports")
