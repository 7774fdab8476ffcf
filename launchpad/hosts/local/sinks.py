"""Copies of a service's output: readers of its log, each with its own place in it.

A sink copies what the log has beyond its place, remembers the place, and waits to be told that there is
more. It never holds up the service (which writes its log whoever reads), the event loop (all copying is in
worker threads) or another sink. What goes wrong is told and tried again later; what the log no longer keeps
by then is skipped and counted. A `file` that is rotated is not written faster than anybody could read: in a
flood what it would have deleted again is left out (docs/adr/0036).

The place is saved beside the log: at once when a sink is let go, and otherwise up to half a second late. A
supervisor that was killed in between finds what the sink had written since by comparing, so nothing is
doubled unless several services share the file, or an outsider wrote to it: then up to half a second of output
(of a `jsonl` sink: up to one block of 256 KiB) can be.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from launchpad.core.model import Sink
from launchpad.hosts.local.sinks_file import FileTarget
from launchpad.hosts.local.sinks_format import RAW_BLOCK, Json, Raw
from launchpad.hosts.local.sinks_pool import Pool
from launchpad.hosts.local.spool_reader import SpoolReader

Problem = Callable[[str, str], None]
"""(service, text): something to show to people; never more than once for one trouble."""

_SAVE_EVERY_S = 0.5
_RETRY_FIRST_S, _RETRY_LAST_S = 0.5, 15.0
_SLOW_READER_S = 0.05
_COMPARE_BYTES = 1 << 30
_ROUND, _REST_S = 16 << 20, 0.5
"""In a flood a sink that may leave something out copies so much, then waits so long."""


class SinkStatus(Struct, frozen=True):
    """Where a sink stands. `position` in bytes ever printed, `behind` what it has yet to copy, `skipped`
    what was gone before it could; `problem` is "" while all is well."""

    service: str
    kind: str
    path: str
    position: int
    behind: int
    skipped: int
    failures: int
    problem: str


class SinkRunner:
    """One sink of one service. Methods are the event loop's, unless their name ends in `_in_thread`."""

    def __init__(
        self, service: str, sink: Sink, reader: SpoolReader, state: Path, target: FileTarget, pool: Pool
    ) -> None:
        self.service = service
        self.sink = sink
        self.target = target
        self.kept = 0
        """How many bytes the log keeps, at least."""
        self.position = 0
        self.skipped = 0
        self._lost = 0
        self._skipped_told = 0
        self.failures = 0
        self.problem = ""
        self.tell: Problem = lambda service, text: None
        self.ended: Callable[[SinkRunner], None] = lambda runner: None
        self.stop_at: int | None = None
        self.idle = asyncio.Event()
        self.idle.set()
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._state = state
        self._pool = pool
        self._busy = False
        self._again = False
        self._rests = False
        self._seen = 0
        self._output = b""
        self._after = 0
        self._closing = False
        self._abandoned = False
        self._retry: asyncio.TimerHandle | None = None
        self._late: asyncio.TimerHandle | None = None
        self._retry_s = _RETRY_FIRST_S
        self._saved_at = 0.0
        self._saved_position = -1
        self._saved: dict[str, int] | None = None
        self._format: Raw | Json = Json(service) if sink.kind == "jsonl" else Raw(target)

    def start(self, first: int) -> None:
        """Go on at the saved place; a sink that has none begins at `first`."""
        self._saved = _load(self._state)
        self.position = first if self._saved is None else self._saved["position"]
        self.skipped = 0 if self._saved is None else self._saved.get("skipped", 0)
        self._skipped_told = self.skipped
        self.kick()

    def kick(self) -> None:
        """There may be something to copy."""
        if self._busy:
            self._again = True
        elif self._retry is None and not self._abandoned:
            self._busy = True
            self.idle.clear()
            self._pool.submit(self._work_in_thread)

    def finish(self, stop_at: int) -> None:
        """Copy up to there, then forget the place: the stack no longer names this sink."""
        self.stop_at = stop_at
        self.kick()

    def close(self) -> None:
        """Copy what is there, save the place and let go; `idle` is set once that is done."""
        self._closing = True
        self._cancel_timers()
        self.kick()

    def abandon(self) -> None:
        """Stop as soon as the write in progress returns."""
        self._abandoned = True
        self._cancel_timers()

    def _cancel_timers(self) -> None:
        for timer in (self._retry, self._late):
            if timer is not None:
                timer.cancel()
        self._retry = self._late = None

    def status(self) -> SinkStatus:
        behind = max(0, self._reader.end() - self.position)
        return SinkStatus(
            self.service,
            self.sink.kind,
            self.sink.path,
            self.position,
            behind,
            self.skipped,
            self.failures,
            self.problem,
        )

    def _work_in_thread(self) -> None:
        trouble: OSError | None = None
        try:
            self._catch_up_in_thread()
            self._copy_in_thread()
        except OSError as error:
            trouble = error
        except Exception as error:  # a sink's fault must not end anything else
            trouble = OSError(0, f"internal error: {error}")
        try:
            self._loop.call_soon_threadsafe(self._worked, trouble)
        except RuntimeError:
            pass  # the loop has ended; so has everything that could be told

    def _copy_in_thread(self) -> None:
        try:
            self._leave_out_in_thread()
            begin, self._rests = self.position, False
            while not self._abandoned and not self._rests and self._copy_block_in_thread():
                self._save_in_thread()
                if self.position - begin >= _ROUND:
                    begin, self._rests = self.position, self._floods_in_thread()
        finally:
            leave = self._leaves
            if not self._abandoned:
                self._save_in_thread(now=leave)
            if leave:
                with self.target.lock:
                    self.target.close()

    @property
    def _leaves(self) -> bool:
        return self._closing or self.stop_at is not None

    @property
    def _may_leave_out(self) -> bool:
        """Whether the log still has all that the file holds, whenever that is copied."""
        return self._format.raw and self.target.users == 1 and 0 < self.target.holds <= self.kept

    def _floods_in_thread(self) -> bool:
        """Whether it is printed at least half as fast as it is copied, or as after a rest: so fast that most of it
        will be left out."""
        if not self._may_leave_out:
            return False
        before, self._seen = self._seen, self._reader.end()
        return self._seen - before >= _ROUND // 2

    def _leave_out_in_thread(self) -> None:
        """What the file would have deleted again by the time that all is copied. No file has a gap inside."""
        if not self._may_leave_out:
            return
        end = self._reader.end() if self.stop_at is None else self.stop_at
        if not self._rests:
            self._seen = end
        if end - self.target.holds <= self.position:
            return
        data, after = self._reader.read_from(end - self.target.holds, RAW_BLOCK)
        with self.target.lock:
            self.target.turn_over()
        self.position = after - len(data) + data.find(b"\n") + 1
        self._save_in_thread(now=True)

    def _copy_block_in_thread(self) -> bool:
        if not self._output and not self._take_block_in_thread():
            return False
        try:
            while self._output:
                with self.target.lock:
                    done = self.target.write(self._output)
                self._output = self._output[done:]
                if self._format.raw:
                    self.position += done
        except OSError:
            if self._format.raw:
                self._output = b""
            raise
        self.position = self._after
        return True

    def _take_block_in_thread(self) -> bool:
        limit = self._format.block
        if self.stop_at is not None:
            limit = min(limit, self.stop_at - self.position)
        if limit <= 0:
            return False
        data, after = self._reader.read_from(self.position, limit)
        begin = after - len(data)
        lost = max(0, begin - self.position)
        if lost and self._may_leave_out:  # printed during this round
            with self.target.lock:
                self.target.turn_over()
            lost = 0
        self.skipped += lost
        self._lost += lost
        self.position = begin
        self._output, taken = self._format.take(data, self._is_last(after))
        if data and not taken:  # a line may lie across two parts of the log
            more, after = (
                self._reader.read_from(after, limit - len(data)) if len(data) < limit else (b"", after)
            )
            if more and after - len(more) == begin + len(data):
                self._output, taken = self._format.take(data + more, self._is_last(after))
        self._after = begin + taken
        if self._lost and taken:
            self._output, self._lost = self._format.gap(self._lost) + self._output, 0
        return taken > 0

    def _is_last(self, after: int) -> bool:
        return self.stop_at is not None and after >= self.stop_at

    def _catch_up_in_thread(self) -> None:
        """Skip what was written after the place was last saved, before a crash."""
        saved, self._saved = self._saved, None
        if self._saved_position < 0:
            with self.target.lock:
                self.target.open()
        if saved is None or not saved.get("inode") or self.target.users > 1:
            return
        path = self.target.real_path()
        files = [path, *(Path(f"{path}.{number}") for number in range(1, self.target.keep + 1))]
        known = next((index for index, file in enumerate(files) if _inode(file) == saved["inode"]), None)
        if known is None:
            return
        self.position += self._written(files[known], saved["size"])
        for file in reversed(files[:known]):
            self.position += self._written(file, 0)

    def _written(self, file: Path, begin: int) -> int:
        """How many bytes of the log, from the place on, this file holds behind `begin`."""
        try:
            with open(file, "rb", buffering=0) as copy:
                end = os.fstat(copy.fileno()).st_size
                if not 0 < end - begin <= _COMPARE_BYTES:
                    return 0
                return self._format.matches(self._reader, self.position, copy.fileno(), begin, end)
        except FileNotFoundError:
            return 0

    def _worked(self, trouble: OSError | None) -> None:
        self._busy = False
        again, self._again = self._again, False
        if trouble is not None:
            self._failed(trouble)
        else:
            self._say("")
            self._tell_of_skipped()
            self._retry_s = _RETRY_FIRST_S
            if self.stop_at is not None and self.position >= self.stop_at:
                self._state.unlink(missing_ok=True)
                self.ended(self)
            elif self._rests and not self._leaves:
                self._retry = self._loop.call_later(_REST_S, self._try_again)
            elif again or self._rests:
                self.kick()
            elif self.position != self._saved_position and self._late is None and not self._closing:
                self._late = self._loop.call_later(_SAVE_EVERY_S, self._save_late)
        if not self._busy:
            self.idle.set()

    def _failed(self, trouble: OSError) -> None:
        self.failures += 1
        words = {errno.EAGAIN: "its reader is too slow", errno.ENXIO: "nobody reads it"}
        text = words.get(trouble.errno or 0, trouble.strerror or str(trouble))
        self._say(f"cannot write `{self.sink.path}`: {text}; what is printed waits in the log")
        if self._closing or self._abandoned:
            return
        slow = trouble.errno == errno.EAGAIN
        self._retry = self._loop.call_later(_SLOW_READER_S if slow else self._retry_s, self._try_again)
        self._retry_s = min(_RETRY_LAST_S, self._retry_s * 2)

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self.tell(self.service, problem or f"`{self.sink.path}` is written again")

    def _tell_of_skipped(self) -> None:
        new, self._skipped_told = self.skipped - self._skipped_told, self.skipped
        if new:
            text = f"`{self.sink.path}` came too late for {new:,} bytes: the log no longer has them"
            self.tell(self.service, text)

    def _save_late(self) -> None:
        self._late = None
        self.kick()

    def _try_again(self) -> None:
        self._retry = None
        self.kick()

    def _save_in_thread(self, *, now: bool = False) -> None:
        if self.position == self._saved_position:
            return
        if not now and time.monotonic() - self._saved_at < self._format.save_every_s:
            return
        inode, size = self.target.mark
        values = {"position": self.position, "skipped": self.skipped, "inode": inode, "size": size}
        try:
            save(self._state, values)
        except OSError:
            return  # a full disk; the place is saved later, or found again by comparing
        self._saved_at, self._saved_position = time.monotonic(), self.position


def make_sink_state(folder: Path, service: str, sink: Sink) -> Path:
    """Where this sink's place is kept: the name tells the service, and the sink by kind and path."""
    key = hashlib.blake2b(
        f"{sink.kind}:{sink.path}".encode(errors="surrogateescape"), digest_size=8
    ).hexdigest()
    return folder / f"{service}.{key}.json"


def save(path: Path, values: dict[str, int]) -> None:
    """Replace the file in one step; for this user only."""
    spare = path.with_suffix(".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(spare, flags, 0o600), "w", encoding="utf-8") as file:
        json.dump(values, file)
    os.replace(spare, path)


def _load(path: Path) -> dict[str, int] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {key: int(value) for key, value in values.items()} if "position" in values else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _inode(path: Path) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0
