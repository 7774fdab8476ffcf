"""Tells when files change: the kernel's inotify, with a timer where there is none.

Decides how often it speaks (at once after silence, then at most once per `delay_s`), and refuses to know
what the files are or what changed in them: whoever is called looks for himself.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path
from threading import Thread

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
CHANGES = IN_MODIFY | IN_MOVED_TO | IN_CREATE

_HEADER = struct.Struct("iIII")
_READ_BYTES = 65536
POLL_S = 0.05
"""Between two looks where the kernel does not tell."""

Changed = Callable[[str], None]
"""Called with the name of the file in a watched folder; "" means "perhaps any of them"."""


class Inotify:
    """One inotify descriptor. Every method raises OSError where the kernel refuses."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._add, self._remove = libc.inotify_add_watch, libc.inotify_rm_watch
            self.fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except AttributeError as error:
            raise OSError("no inotify in the C library") from error
        _check(self.fd)

    def add(self, path: Path, mask: int = CHANGES) -> int:
        return _check(self._add(self.fd, os.fsencode(path), mask))

    def remove(self, watch: int) -> None:
        self._remove(self.fd, watch)

    def read(self) -> list[tuple[int, int, str]]:
        """(watch, mask, name) of all that waits; does not block."""
        events: list[tuple[int, int, str]] = []
        while True:
            try:
                data = os.read(self.fd, _READ_BYTES)
            except BlockingIOError:
                return events
            at = 0
            while at < len(data):
                watch, mask, _, size = _HEADER.unpack_from(data, at)
                at += _HEADER.size
                events.append((watch, mask, os.fsdecode(data[at : at + size].rstrip(b"\0"))))
                at += size
            if len(data) < _READ_BYTES // 2:
                return events

    def close(self) -> None:
        """In a thread: the kernel waits some milliseconds until nobody uses what was watched any more."""
        Thread(target=os.close, args=(self.fd,), name="inotify", daemon=True).start()


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Watcher:
    """Calls back on the event loop when a watched file, or a file in a watched folder, may have changed.

    `delay_s` is the least time between two rounds of calls, so that a file written without pause costs
    little; nothing that happens in between is lost. Needs a running loop from the first `watch` on.
    """

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._inotify: Inotify | None = None
        self._callbacks: dict[int, list[Changed]] = {}
        self._polled: list[Changed] = []
        self._resume: asyncio.TimerHandle | None = None
        self._poll: asyncio.TimerHandle | None = None
        self._closed = False

    def watch(self, path: Path, callback: Changed) -> Callable[[], None]:
        """Returns the function that ends it. Where inotify is not to be had, `callback` is called often."""
        try:
            number = self._open().add(path)
        except OSError:
            return self._watch_by_timer(callback)
        self._callbacks.setdefault(number, []).append(callback)
        return lambda: self._unwatch(number, callback)

    def close(self) -> None:
        self._closed = True
        for timer in (self._resume, self._poll):
            if timer is not None:
                timer.cancel()
        self._callbacks.clear()
        self._polled.clear()
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None

    def _open(self) -> Inotify:
        if self._inotify is None:
            self._inotify = Inotify()
            asyncio.get_running_loop().add_reader(self._inotify.fd, self._readable)
        return self._inotify

    def _unwatch(self, number: int, callback: Changed) -> None:
        callbacks = self._callbacks.get(number, [])
        if callback in callbacks:
            callbacks.remove(callback)
            if not callbacks:
                del self._callbacks[number]
                if self._inotify is not None:
                    self._inotify.remove(number)

    def _readable(self) -> None:
        assert self._inotify is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._inotify.fd)
        self._resume = loop.call_later(self._delay_s, self._listen)
        changed: dict[tuple[int, str], None] = {}
        for number, mask, name in self._inotify.read():
            if mask & IN_Q_OVERFLOW:
                changed.update({(every, ""): None for every in self._callbacks})
            elif not mask & IN_IGNORED:
                changed[number, name] = None
        for number, name in changed:
            for callback in tuple(self._callbacks.get(number, ())):
                callback(name)

    def _listen(self) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().add_reader(self._inotify.fd, self._readable)

    def _watch_by_timer(self, callback: Changed) -> Callable[[], None]:
        self._polled.append(callback)
        if self._poll is None:
            self._poll = asyncio.get_running_loop().call_later(POLL_S, self._look)
        return lambda: self._polled.remove(callback) if callback in self._polled else None

    def _look(self) -> None:
        self._poll = None
        for callback in tuple(self._polled):
            callback("")
        if self._polled and not self._closed:
            self._poll = asyncio.get_running_loop().call_later(POLL_S, self._look)
