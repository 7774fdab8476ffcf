"""Who listens where: the kernel's tables of TCP sockets, and the processes behind them.

Decides nothing: it asks the kernel (or, where that does not answer, reads `/proc`) at each call, keeps nothing, and
treats what cannot be read (another user's process, a process that has just ended) as not there.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterable

from msgspec import Struct

from launchpad.hosts.local import sockets_netlink

COMMAND_CHARS = 70
_LISTEN = re.compile(
    rb"^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 0A \S+ \S+ \S+ +(\d+) +\d+ (\d+)", re.MULTILINE
)
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_TABLES = (("/proc/net/tcp", 4), ("/proc/net/tcp6", 6))


class Listener(Struct, frozen=True):
    """A listening TCP socket. `address` is literal; an IPv4 address bound by an IPv6 socket
    (`::ffff:127.0.0.1`) is given as IPv4 with `family` 6."""

    address: str
    port: int
    inode: int
    uid: int
    family: int
    only6: bool = False
    """An IPv6 socket that takes no IPv4, as far as the kernel says."""

    def __str__(self) -> str:
        return where(self.address, self.port)


def where(address: str, port: int) -> str:
    """`127.0.0.1:80`, `[::1]:80`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def listeners(port: int | None = None) -> list[Listener]:
    """All listening sockets of this machine (its network namespace), or those on one port."""
    found = []
    for path, family in _TABLES:
        try:
            rows = sockets_netlink.listening(_FAMILIES[family], port)
        except OSError:
            rows = _from_table(path, port)
        for raw, number, inode, uid, only6 in rows:
            found.append(Listener(_text(raw), number, inode, uid, family, only6))
    return found


def serving(address: str, port: int, among: Iterable[Listener]) -> list[Listener]:
    """Those that a connection to this literal address may reach: the kernel prefers the very address over
    "all IPv4 addresses" over "all addresses". More than one means that they share it (SO_REUSEPORT)."""
    here = [listener for listener in among if listener.port == port]
    exact = [listener for listener in here if listener.address == address]
    if exact:
        return exact
    if ":" not in address:
        wild = [listener for listener in here if listener.address == "0.0.0.0"]
        if wild:
            return wild
    return [
        listener for listener in here if listener.address == "::" and (":" in address or not listener.only6)
    ]


def owners(inodes: set[int], pids: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Socket inode → (pid, descriptor) for those of `inodes` that one of `pids` has open."""
    found: dict[int, tuple[int, int]] = {}
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    for pid in pids:
        folder = f"/proc/{pid}/fd/"
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            try:
                inode = wanted.get(os.readlink(folder + name))
            except OSError:
                continue
            if inode is not None:
                found.setdefault(inode, (pid, int(name)))
                if len(found) == len(wanted):
                    return found
    return found


def holds(pid: int, descriptor: int, inode: int) -> bool:
    """Whether this descriptor of this process is (still) that socket."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{descriptor}") == f"socket:[{inode}]"
    except OSError:
        return False


def owned_by(pids: Iterable[int], port: int | None = None) -> list[tuple[Listener, int]]:
    """Listening sockets that these processes have open, each with one such pid, by port and address."""
    known = listeners(port)
    of = owners({listener.inode for listener in known}, pids)
    mine = [(listener, of[listener.inode][0]) for listener in known if listener.inode in of]
    return sorted(mine, key=lambda pair: (pair[0].port, pair[0].address, pair[1]))


def visible_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def command_of(pid: int) -> str:
    """Its command on one line, shortened, without the folder of the program; "?" when it cannot be seen."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            raw = file.read(4096)
        if not raw:
            with open(f"/proc/{pid}/comm", "rb") as file:
                return f"[{_one_line(file.read(64))}]"
    except OSError:
        return "?"
    program, _, rest = raw.rstrip(b"\0").partition(b"\0")
    text = _one_line(program.rsplit(b"/", 1)[-1] + b" " + rest)
    return text if len(text) <= COMMAND_CHARS else text[: COMMAND_CHARS - 1] + "…"


def named(pid: int) -> str:
    """``pid 991 `python -m http.server 8001` ``, as messages call a process."""
    return f"pid {pid} `{command_of(pid)}`"


def is_local(address: str) -> bool:
    """Whether a literal address belongs to this machine."""
    if address.startswith("127.") or address in ("::1", "0.0.0.0", "::"):
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _one_line(raw: bytes) -> str:
    text = raw.replace(b"\0", b" ").decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).replace("`", "'").split())


def _from_table(path: str, port: int | None) -> list[sockets_netlink.Row]:
    found = []
    for address, number, uid, inode in _LISTEN.findall(_head(path)):
        if port is None or int(number, 16) == port:
            found.append((_raw(address), int(number, 16), int(inode), int(uid), False))
    return found


def _head(path: str) -> bytes:
    """The listening part of a table: the kernel prints listening sockets before all others."""
    parts = []
    try:
        with open(path, "rb", buffering=0) as table:
            while part := table.read(65536):
                parts.append(part)
                if b" 0A " not in part:
                    break
    except OSError:
        pass
    return b"".join(parts)


def _raw(text: bytes) -> bytes:
    """The table shows addresses as words of the machine's own byte order."""
    raw = bytes.fromhex(text.decode())
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return raw


def _text(raw: bytes) -> str:
    if raw.startswith(b"\0" * 10 + b"\xff\xff"):
        raw = raw[12:]
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
