"""Who has a number, in words: for a refusal that can be acted upon.

Asks the other launchpads of this user first, then the kernel. Decides nothing about who may have it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping

from msgspec import Struct

from launchpad.hosts.local.port_bound import bound
from launchpad.hosts.local.port_hold import has_remains, other_loopback, overlap
from launchpad.hosts.local.registry import Registration
from launchpad.hosts.local.sockets import command_of, listeners, owners, visible_pids

MOST_NAMED = 8
"""Numbers of a long range that are named one by one."""


class Socket(Struct, frozen=True):
    """What stands in the way on one number. `how`: listens, holds (bound only) or connected."""

    inode: int
    uid: int
    how: str


HOW = {
    "listens": "",
    "holds": " (it holds the port without listening)",
    "connected": " (a connection of its own uses the number)",
}


def holders(
    host: str, numbers: Iterable[int], own: Mapping[int, str], others: Iterable[Registration]
) -> tuple[str, ...]:
    """One line per number, `8001  who`; after the first ones only how many more. `own` says what this
    stack does with a number."""
    listed = list(numbers)
    shown = listed[:MOST_NAMED]
    known = dict(_registered(host, others))
    known.update(own)
    found = {number: _sockets(host, number) for number in shown if number not in known}
    pids = owners({one.inode for sockets in found.values() for one in sockets if one.inode}, visible_pids())
    lines = [
        f"{number}  {known[number] if number in known else _who(number, found[number], pids)}"
        for number in shown
    ]
    if len(listed) > len(shown):
        lines.append(f"and {len(listed) - len(shown)} more up to {listed[-1]}, none of them free")
    return tuple(lines)


def ago(seconds: float) -> str:
    """`2 h 14 min`, `3 min`, `12 s`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _registered(host: str, others: Iterable[Registration]) -> Iterable[tuple[int, str]]:
    now = time.time()
    for one in others:
        for held in one.ports:
            if overlap(held.host, host) or held.host == other_loopback(host):
                yield (
                    held.number,
                    f"service `{held.service}` of stack `{one.stack}`, up for {ago(now - held.since)}",
                )


def _sockets(host: str, number: int) -> list[Socket]:
    """Those in the way, listening ones first; on the other loopback, too."""
    hosts = [host, other_loopback(host) or host]
    found = [
        Socket(one.inode, one.uid, "listens")
        for one in listeners(number)
        if any(overlap(one.address, at) for at in hosts)
    ]
    found += [
        Socket(one.inode, one.uid, "holds")
        for one in bound(number) or ()
        if any(overlap(one.address, at) for at in hosts)
    ]
    return found or list(_connected(number))


def _connected(number: int) -> Iterable[Socket]:
    """Established connections whose own end has this number."""
    line = re.compile(
        rb"^ *\d+: [0-9A-F]+:%04X [0-9A-F]+:[0-9A-F]{4} (?:01|02|08) \S+ \S+ \S+ +(\d+) +\d+ (\d+)" % number,
        re.MULTILINE,
    )
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(path, "rb") as file:
                table = file.read()
        except OSError:
            continue
        for uid, inode in line.findall(table):
            yield Socket(int(inode), int(uid), "connected")


def _who(number: int, sockets: list[Socket], pids: Mapping[int, tuple[int, int]]) -> str:
    for one in sockets:
        if one.inode in pids:
            pid = pids[one.inode][0]
            if pid == os.getpid():
                return f"launchpad itself, pid {pid}{HOW[one.how]}"
            return f"`{command_of(pid)}`, pid {pid}{HOW[one.how]}"
    for one in sockets:
        if one.uid != os.getuid():
            return f"a process of user {one.uid} (its name is not visible to you){HOW[one.how]}"
        return f"a process of yours that cannot be seen from here{HOW[one.how]}"
    if has_remains(number):
        return "connections of a server that has ended; the system frees it within a minute"
    return "held by a program that does not listen"
