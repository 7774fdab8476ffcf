"""Watches over a stack whose supervisor dies without a word.

A small process of its own that waits on a socket. Dismissed, it leaves. When the socket ends without that, the
supervisor is dead (killed, or broken). Then it either ends everything of the stack at once, and keeps the stack's
lock until that is done; or it lets everything run, and writes down how each process ends, and which of them say
that they are ready: it holds descriptors of them, which the supervisor has handed to it. It leaves when nothing is
left to watch, or when the next supervisor sends it away. It holds no terminal, no pipe and no lock of others. Nor
does it hold what is read and made after it: until it is told what to do (`become`) it is nobody's, and leaves without a word.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from launchpad.core.model import Handle
from launchpad.hosts.local import gpu_handover, notify, process, records
from launchpad.hosts.local.descriptors import raise_limit
from launchpad.hosts.local.orphans import end_stack
from launchpad.hosts.local.process_children import claim, disclaim
from launchpad.hosts.local.process_end import end_of, open_pidfd
from launchpad.paths import StackPaths

DISMISSED = b"."
MESSAGE_BYTES = 1 << 16
MOST_FDS = 66
"""The kernel takes 253 with one message."""
MOST_TOLD = 16
"""Of so many processes it is told at once: to be woken for each costs more than what it is told."""
AGAIN_S = 0.05
"""How soon it is looked again at a process that has ended and that nobody has waited for."""
STOCK_ROUNDS = 3
LEAVE_S = 5.0
LEAVE_TRY_S = 0.02


class Keeper:
    """The supervisor's end. Must be made before there are threads, and best before anything large: each page that either
    of the two writes to is there twice from then on. It may be made by a parent of the supervisor. `ends_all`: see above.
    `dismiss` when nothing of the stack lives any more, `abandon` when something may."""

    def __init__(self, paths: StackPaths) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._parent, self.pid = os.getpid(), os.fork()
        if self.pid == 0:
            try:
                self._socket.close()
                _Watch(paths, theirs).run()
            finally:
                os._exit(0)
        theirs.close()
        self._socket.setblocking(False)
        claim(self.pid)
        self._paths = paths
        self._ends_all: bool | None = None
        self._told: list[dict[str, Any]] = []
        self._fds: list[int] = []

    def _show(self) -> None:
        """The next supervisor finds a keeper that lets everything run; for the other one it waits by the lock."""
        handle = None if self._ends_all else process.handle_of(self.pid)
        with contextlib.suppress(OSError):
            if handle is None:
                self._paths.keeper.unlink(missing_ok=True)
            else:
                content = {"pid": handle.pid, "start": handle.start, "boot": handle.boot}
                records.write_private(self._paths.keeper, content)

    def become(self, *, ends_all: bool) -> None:
        """So the stack is to be watched from now on. Who ends everything is given the lock to hold."""
        if ends_all == self._ends_all:
            return
        self._ends_all = ends_all
        if os.getpid() != self._parent:
            disclaim(self.pid)  # a child of ours may come to have its number
        self._tell({"ends_all": ends_all}, _locks(self._paths)[:1] if ends_all else [])
        self.flush()
        self._show()

    def watch(
        self,
        service: str,
        attempt: int,
        handle: Handle,
        pidfd: int,
        notify_fd: int | None,
        claims: Sequence[int] = (),
    ) -> None:
        """This process runs from now on. Not waited for; what does not arrive is found by its record. `claims` hold
        its GPUs: with them the keeper does so, too. To be followed by `flush`, before any of this is closed."""
        about = {"service": service, "attempt": attempt, "pid": handle.pid, "start": handle.start}
        about["notify"] = notify_fd is not None
        self._tell(about, [pidfd, *([] if notify_fd is None else [notify_fd]), *claims])

    def drop(self, attempt: int) -> None:
        """Its end has been dealt with. To be followed by `flush`."""
        self._tell({"attempt": attempt}, [])

    def _tell(self, about: dict[str, Any], fds: list[int]) -> None:
        if len(self._told) == MOST_TOLD or len(self._fds) + len(fds) > MOST_FDS:
            self.flush()
        self._told.append({**about, "fds": len(fds)})
        self._fds += fds

    def flush(self) -> None:
        """Send what it is to be told."""
        if self._told:
            self._send(json.dumps(self._told).encode(), self._fds)
            self._told, self._fds = [], []

    def _send(self, message: bytes, fds: list[int]) -> None:
        with contextlib.suppress(OSError):
            socket.send_fds(self._socket, [message], fds)

    def dismiss(self) -> None:
        """Returns when it has left."""
        pidfd = None if os.getpid() == self._parent else _pidfd(self.pid)
        self._socket.setblocking(True)
        self._send(DISMISSED, [])
        with contextlib.suppress(OSError):
            self._socket.recv(1)  # it never says anything: until it is leaving
        self._socket.close()
        if pidfd is not None:
            ended = select.poll()
            ended.register(pidfd, select.POLLIN)
            ended.poll(LEAVE_S * 1000)
            os.close(pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        disclaim(self.pid)

    def abandon(self) -> None:
        """From now on it acts as if this process had died; which of several that have this end does not matter, but for
        the last."""
        self.flush()
        self._socket.close()


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


Claims = dict[int, tuple[socket.socket, ...]]
"""Attempt → what holds its GPUs."""


def send_away(paths: StackPaths) -> Claims:
    """End the keeper that a dead supervisor left: it writes down what it knows, and leaves. Returns when it has, with
    what it held, which is let go with the last reference. To be called with the stack's lock."""
    raw = records.read_private(paths.keeper)
    try:
        handle = None if raw is None else Handle(int(raw["pid"]), int(raw["start"]), str(raw["boot"]))
    except (KeyError, TypeError, ValueError):
        handle = None
    fd = None if handle is None else open_pidfd(handle)
    if handle is None or fd is None:
        return {}
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    try:
        claims = _claims(paths, poll)
        for _ in range(
            int(LEAVE_S / LEAVE_TRY_S)
        ):  # it may not have seen yet that it is alone: then it stays
            process.send(handle.pid, handle.start, signal.SIGTERM)
            if poll.poll(LEAVE_TRY_S * 1000):
                return claims
        process.send(handle.pid, handle.start, signal.SIGKILL)
        poll.poll(LEAVE_S * 1000)
        return claims
    finally:
        os.close(fd)


def _claims(paths: StackPaths, gone: select.poll) -> Claims:
    """What the keeper holds; only waited for if something of the stack has a GPU."""
    leases = [lease for record in records.open_records(paths) for lease in record.identity.leases]
    for _ in range(int(LEAVE_S / LEAVE_TRY_S) if any(lease.gpu for lease in leases) else 0):
        found = gpu_handover.take_over(paths.key)
        if found is not None or gone.poll(LEAVE_TRY_S * 1000):  # it may not have seen yet that it is alone
            return found or {}
    return {}


class _Watched(Struct):
    service: str
    attempt: int
    handle: Handle
    pidfd: int
    notify: socket.socket | None = None
    claims: list[int] = field(default_factory=list)


class _Watch:
    """The keeper's own end."""

    def __init__(self, paths: StackPaths, supervisor: socket.socket) -> None:
        self._paths, self._supervisor = paths, supervisor
        self._ends_all: bool | None = None
        self._watched: dict[int, _Watched] = {}
        self._poll = select.poll()

    def run(self) -> None:
        wake, woken = socket.socketpair()
        woken.setblocking(False)
        self._get_out_of_the_way(wake.fileno(), woken.fileno())
        if self._serve() or self._ends_all is None:
            return
        if self._ends_all:
            end_stack(self._paths, 0.0)
            return
        self._take_stock()
        self._keep(wake)

    def _get_out_of_the_way(self, wake: int, woken: int) -> None:
        os.setsid()
        os.chdir("/")
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _close_all_but((self._supervisor.fileno(), wake, woken))
        raise_limit()

    def _serve(self) -> bool:
        """While the supervisor lives; whether it has dismissed us."""
        while True:
            try:
                message, fds, _, _ = socket.recv_fds(self._supervisor, MESSAGE_BYTES, MOST_FDS)
            except OSError:
                return False
            if not message:
                return False
            if message == DISMISSED:
                return True
            for about in json.loads(message):
                own, fds = fds[: about["fds"]], fds[about["fds"] :]
                self._hear(about, own)

    def _hear(self, about: dict[str, Any], fds: list[int]) -> None:
        if "ends_all" in about:
            self._become(about["ends_all"])
            return
        self._drop(about["attempt"])
        if len(fds) < about["fds"]:  # not all of them arrived
            for fd in fds:
                os.close(fd)
        elif fds:
            handle = Handle(about["pid"], about["start"], process.boot_id())
            spoken = socket.socket(fileno=fds.pop(1)) if about["notify"] else None
            one = _Watched(about["service"], about["attempt"], handle, fds[0], spoken, fds[1:])
            self._watched[one.attempt] = one

    def _become(self, ends_all: bool) -> None:
        """The lock has come with the message, and stays open."""
        self._ends_all = ends_all
        signal.signal(signal.SIGTERM, signal.SIG_IGN if ends_all else lambda *_: None)
        for fd in () if ends_all else _locks(self._paths):
            os.close(fd)

    def _take_stock(self) -> None:
        """What the supervisor dealt with is none of our business; what it was about to say is found by records."""
        known = {record.attempt: record for record in records.read_records(self._paths)}
        for attempt in list(self._watched):
            if attempt not in known or known[attempt].ended:
                self._drop(attempt)
        missing = [one for one in known.values() if one.attempt not in self._watched and not one.ended]
        for _ in range(STOCK_ROUNDS):
            missing = [record for record in missing if not self._find(record)]
            if not missing:
                return
            self._poll.poll(AGAIN_S * 1000)  # in the middle of an exec a process cannot be told

    def _find(self, record: records.Record) -> bool:
        handle = record.handle or process.main_of(record.run_id, record.attempt)
        if handle is None or (pidfd := open_pidfd(handle)) is None:
            return record.handle is not None
        self._watched[record.attempt] = _Watched(record.service, record.attempt, handle, pidfd)
        if record.handle is None:
            records.note(self._paths, record.attempt, pid=handle.pid, start=handle.start, boot=handle.boot)
        return True

    def _keep(self, wake: socket.socket) -> None:
        self._poll.register(wake, select.POLLIN)
        door = gpu_handover.door(self._paths.key)
        if door is not None:
            self._poll.register(door, select.POLLIN)
        for one in self._watched.values():
            self._poll.register(one.pidfd, select.POLLIN)
            if one.notify is not None:
                self._poll.register(one.notify, select.POLLIN)
        ended: dict[int, _Watched] = {}
        while self._watched:
            happened = {fd for fd, _ in self._poll.poll(AGAIN_S * 1000 if ended else None)}
            for one in list(self._watched.values()):
                if one.pidfd in happened:
                    self._poll.unregister(one.pidfd)
                    ended[one.attempt] = one
                if one.notify is not None and one.notify.fileno() in happened:
                    self._listen(one, one.notify)
            for one in list(ended.values()):
                if self._write_down(one):
                    del ended[one.attempt]
            if door is not None and door.fileno() in happened:
                held = [(one.attempt, one.claims) for one in self._watched.values() if one.claims]
                gpu_handover.hand_over(door, held)
            if wake.fileno() in happened:
                for one in list(self._watched.values()):
                    self._write_down(one)
                return

    def _listen(self, one: _Watched, spoken: socket.socket) -> None:
        for message in notify.receive(spoken):
            marks, stat = process.marks(message.pid), process.stat(message.pid)
            theirs = marks is not None and marks.attempt == one.attempt
            theirs = theirs or (stat is not None and stat.session == one.handle.pid)
            if message.values.get("READY") == "1" and (theirs or notify.counts(message, set())):
                records.note(self._paths, one.attempt, notified=True)

    def _write_down(self, one: _Watched) -> bool:
        """How it ended; False if that cannot be said yet."""
        end = end_of(one.handle, one.pidfd)
        if end is None:
            return False
        records.note(self._paths, one.attempt, **records.end(end.code))
        self._drop(one.attempt)
        return True

    def _drop(self, attempt: int) -> None:
        one = self._watched.pop(attempt, None)
        if one is None:
            return
        for fd in (one.pidfd, -1 if one.notify is None else one.notify.fileno()):
            with contextlib.suppress(KeyError, ValueError, OSError):
                self._poll.unregister(fd)
        for fd in (one.pidfd, *one.claims):
            os.close(fd)
        if one.notify is not None:
            one.notify.close()


def _locks(paths: StackPaths) -> list[int]:
    """Descriptors of the stack's lock in this process."""
    lock = os.path.realpath(paths.lock)
    return [int(entry) for entry in os.listdir("/proc/self/fd") if _target(int(entry)) == lock]


def _close_all_but(fds: tuple[int, ...]) -> None:
    """Whoever waits for the end of our terminal or pipes must not wait for the keeper."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for entry in os.listdir("/proc/self/fd"):
        number = int(entry)
        if number > 2 and number not in fds:
            with contextlib.suppress(OSError):
                os.close(number)


def _target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
