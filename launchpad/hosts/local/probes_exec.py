"""A check that is a program: runs it, and says how it ended.

The program runs in a session of its own and is killed with its group at the timeout; whatever of its group
it leaves behind is killed too, so that a check every few seconds leaves nothing. Its output is read as it
comes and forgotten but for the end. Decides nothing about what an exit code means beyond 0 is good.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

from launchpad.hosts.local.process_children import claim, disclaim

_TAIL_BYTES = 4096
_READ_BYTES = 65536
_PAUSE_S = 0.01
_WORD_CHARS = 160


class Run:
    """One run of a check. Raises OSError where the program cannot be started. `close` ends it at once."""

    def __init__(self, argv: tuple[str, ...], environment: dict[str, str], working_dir: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int | None] = self._loop.create_future()
        self._tail = b""
        self._resume: asyncio.TimerHandle | None = None
        self._out, inner = os.pipe2(os.O_CLOEXEC)
        try:
            os.set_blocking(self._out, False)
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=inner,
                stderr=inner,
                env=environment,
                cwd=working_dir,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._out)
            raise
        finally:
            os.close(inner)
        claim(self._process.pid)
        self._watch_exit()
        self._loop.add_reader(self._out, self._readable)

    async def wait(self) -> tuple[int | None, str]:
        """(exit code, or minus the signal, or None if somebody else took it; the last line printed)."""
        code = await asyncio.shield(self.ended)
        return code, self.last_line()

    def last_line(self) -> str:
        lines = [line for line in self._tail.replace(b"\r", b"\n").split(b"\n") if line.strip()]
        text = lines[-1].decode("utf-8", "replace") if lines else ""
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= _WORD_CHARS else text[: _WORD_CHARS - 1] + "…"

    def close(self) -> None:
        """Kill its group, if it has not ended. The corpse is taken when the kernel says so."""
        self._stop_reading()
        if not self.ended.done():
            self._kill()

    def _watch_exit(self) -> None:
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError:
            self._kill()
            self._process.wait()
            disclaim(self._process.pid)
            self._stop_reading()
            raise
        self._loop.add_reader(self._pidfd, self._exited)

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._kill()  # the corpse still holds the group's number, so this meets only its own
        code: int | None = None
        try:
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
            if result is not None:
                code = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
        except ChildProcessError:
            pass
        disclaim(self._process.pid)
        os.close(self._pidfd)
        self._process.returncode = 0 if code is None else code
        if self._out >= 0:
            self._drain()
            self._stop_reading()
        self.ended.set_result(code)

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def _readable(self) -> None:
        """A program that prints without pause is read at a walking pace: it waits, launchpad does not."""
        if self._drain():
            self._loop.remove_reader(self._out)
            self._resume = self._loop.call_later(_PAUSE_S, self._listen)

    def _drain(self) -> bool:
        """Read once; whether there may be more soon."""
        try:
            data = os.read(self._out, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        if not data:
            self._loop.remove_reader(self._out)
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        return bool(data)

    def _listen(self) -> None:
        if self._out >= 0:
            self._loop.add_reader(self._out, self._readable)

    def _stop_reading(self) -> None:
        if self._resume is not None:
            self._resume.cancel()
        if self._out >= 0:
            self._loop.remove_reader(self._out)
            os.close(self._out)
            self._out = -1
