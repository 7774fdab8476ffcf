"""One file that output is copied to: appended to, turned over at a size, never truncated.

Decides where a full file ends (at a line's end) and what it is renamed to. Refuses to know where the bytes
come from. Everything here may block on a slow disk and raises OSError; it runs in a worker thread.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path


class FileTarget:
    """`rotate` in bytes, 0 for never; `keep` old files, `path.1` the newest. Sinks of several services with
    one path share one target and hold `lock` while they write. `whole_lines`: end a line that was left
    without its end (by a crash, or before the file was ours) before the first write."""

    def __init__(self, path: Path, rotate: int, keep: int, *, whole_lines: bool = False) -> None:
        self.path = path
        self.rotate = rotate
        self.keep = keep
        self.whole_lines = whole_lines
        self.lock = threading.Lock()
        self.users = 0
        self.size = 0
        self._real = path
        self._descriptor: int | None = None
        self._regular = False
        self._inode = 0
        self._in_line = False

    @property
    def mark(self) -> tuple[int, int]:
        """(inode, size) of the open file: where it stood, to be compared after a crash."""
        return self._inode, self.size

    @property
    def holds(self) -> int:
        """Bytes that it takes with its old files, at most: what is older is deleted. 0 if it deletes nothing."""
        return self.rotate * (self.keep + 1) if self._regular else 0

    def real_path(self) -> Path:
        """The file itself, where `path` is a link."""
        return Path(os.path.realpath(self.path))

    def write(self, data: bytes) -> int:
        """Append, turning the file over when it is full. Returns how many bytes were taken, which is less
        than all when the disk is full or a pipe's reader is slow; raises only if nothing was."""
        done = 0
        try:
            self.open()
            while done < len(data):
                stop, turn = self._next_stop(data, done)
                if stop > done:
                    done += self._append(data[done:stop] if (done, stop) != (0, len(data)) else data)
                if turn and done == stop:
                    self._turn_over()
        except OSError:
            if not done:
                raise
        return done

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _append(self, data: bytes) -> int:
        assert self._descriptor is not None
        done = os.write(self._descriptor, data)
        self.size += done
        self._in_line = data[done - 1 : done] != b"\n"
        return done

    def _next_stop(self, data: bytes, at: int) -> tuple[int, bool]:
        """(up to where to write, whether the file is then full). A line that alone is longer than a whole
        file stays in one piece; where there are only `\\r`, these are the line ends."""
        room = self.rotate - self.size
        if not self.rotate or not self._regular or len(data) - at <= room:
            return len(data), False
        if (last := data.rfind(b"\n", at, at + max(room, 0))) >= 0:
            return last + 1, True
        if self.size and not self._in_line:
            return at, True
        if (first := data.find(b"\n", at)) >= 0:
            return first + 1, True
        inner = len(data) - 1  # the very last one may be half of `\r\n`
        for found in (data.rfind(b"\r", at, min(at + max(room, 0), inner)), data.find(b"\r", at, inner)):
            if found >= 0:
                return found + 1, True
        return len(data), False

    def turn_over(self) -> None:
        """Begin a new file, unless this one is new."""
        self.open()
        if self.size:
            self._turn_over()

    def _turn_over(self) -> None:
        self.close()
        old = [self._real, *(Path(f"{self._real}.{number}") for number in range(1, self.keep + 1))]
        for number in range(self.keep, 0, -1):
            if os.path.lexists(old[number - 1]):
                os.replace(old[number - 1], old[number])
        if not self.keep:
            os.unlink(self._real)
        self.open()

    def open(self) -> None:
        """Open the file, or see that the open one is still the one at its path (somebody may have moved
        or deleted it)."""
        if self._descriptor is not None:
            try:
                if not self._regular or os.stat(self._real).st_ino == self._inode:
                    self.size = os.fstat(self._descriptor).st_size if self._regular else 0
                    return
            except FileNotFoundError:
                pass
            self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = self._open_checked()
        status = os.fstat(descriptor)
        self._descriptor, self._inode = descriptor, status.st_ino
        self._regular = stat.S_ISREG(status.st_mode)
        self.size = status.st_size if self._regular else 0
        self._in_line = False
        if self.size:
            with open(self._real, "rb", buffering=0) as file:
                self._in_line = os.pread(file.fileno(), 1, self.size - 1) != b"\n"
        if self._in_line and self.whole_lines:
            self._append(b"\n")

    def _open_checked(self) -> int:
        """Follows a link at the very path only if it is this user's (or root's) own: another user's could
        lead anywhere."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        self._real = self.path
        if self.path.is_symlink():
            if os.lstat(self.path).st_uid not in (os.geteuid(), 0):
                raise PermissionError(1, "is a link that belongs to another user")
            self._real = Path(os.path.realpath(self.path))
        return os.open(self._real, flags | os.O_NOFOLLOW, 0o666)
