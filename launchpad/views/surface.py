"""The place on which a console draws: two streams, or one terminal with a block that stays at the bottom.

Decides how text reaches a file descriptor and how the block keeps below it. Refuses to know what is drawn.
Writes straight to descriptors: a thread that is stuck in a buffered writer would hold a lock that the
interpreter wants at its exit.
"""

from __future__ import annotations

import io
import os
import select
import time
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.live import Live


PIECE = 16 * 1024
"""Bytes of one write: small enough that a slow reader is seen to move."""


class Pipe(io.TextIOBase):
    """A text stream that writes to the descriptor of another one at once and in full. Goes quiet for
    good when nobody reads any more (`broken`)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.broken = False
        self.trouble = ""
        """Why it is broken."""
        self.moved_at = 0.0
        """When something was taken off us last, by the monotonic clock."""
        try:
            stream.flush()
            self._descriptor: int | None = stream.fileno()
        except (OSError, ValueError):
            self._descriptor = None

    def write(self, text: str) -> int:
        if not self.broken:
            try:
                self._write(text)
            except (BrokenPipeError, ConnectionResetError):
                self.broken, self.trouble = True, "nobody reads it any more"
            except OSError as error:  # no space, a terminal that is gone
                self.broken, self.trouble = True, error.strerror or str(error)
        return len(text)

    def _write(self, text: str) -> None:
        if self._descriptor is None:
            self._stream.write(text)
            return
        data = memoryview(text.encode("utf-8", "replace"))
        while data:
            try:
                data = data[os.write(self._descriptor, data[:PIECE]) :]
                self.moved_at = time.monotonic()
            except BlockingIOError:  # somebody made the descriptor non-blocking
                select.select([], [self._descriptor], [])

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def close(self) -> None:
        """Nothing of its own to close; the stream belongs to somebody else."""


class Surface:
    """Plain: output to one stream, messages to the other. On a terminal both go to `out`, above the block."""

    def __init__(
        self, *, tty: bool, color: bool, out: TextIO, err: TextIO, console: Console | None = None
    ) -> None:
        self.tty = tty
        self.color = color
        self._out = Pipe(out)
        self._err = self._out if tty else Pipe(err)
        self._console = console
        self._live: Live | None = None

    @property
    def moved_at(self) -> float:
        """When a reader took something last, by the monotonic clock."""
        return max(self._out.moved_at, self._err.moved_at)

    @property
    def deserted(self) -> bool:
        """Output goes nowhere any more."""
        return self._out.broken

    @property
    def width(self) -> int:
        return self._rich().width if self.tty else 100

    @property
    def height(self) -> int:
        return self._rich().height if self.tty else 25

    def output(self, text: str) -> None:
        """Output of services, whole lines."""
        self._put(self._out, text)

    def message(self, text: str) -> None:
        """A message of launchpad, whole lines."""
        self._put(self._err, text)

    def styled(self, *lines: RenderableType) -> None:
        """Messages with style, on a terminal."""
        for line in lines:
            self._rich().print(line, soft_wrap=True)

    def show_block(self, block: RenderableType) -> None:
        """Draw the block at the bottom, or draw it again. Only on a terminal."""
        if self._live is None:
            from rich.live import Live

            self._live = Live(
                block,
                console=self._rich(),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)
        else:
            self._live.update(block, refresh=True)

    def hide_block(self) -> None:
        """Take the block away; the cursor is as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _put(self, pipe: Pipe, text: str) -> None:
        if self._live is not None:
            self._rich().print(_Raw(text), soft_wrap=True)
        else:
            pipe.write(text)
            self._tell_trouble()

    def _tell_trouble(self) -> None:
        trouble, self._out.trouble = self._out.trouble, ""
        if trouble:
            self._err.write(
                f"launchpad: output is not written here any more: {trouble}; the stack goes on, `launchpad logs` has it all\n"
            )

    def _rich(self) -> Console:
        if self._console is None:
            from rich.console import Console

            class Visible(Console):
                """The cursor stays to be seen: a terminal that is left in the middle (Ctrl-Z, SIGKILL) has to be of use."""

                def show_cursor(self, show: bool = True) -> bool:
                    return True

            options: dict[str, Any] = {} if self.color else {"no_color": True}
            self._console = Visible(
                file=cast(IO[str], self._out),
                force_terminal=True,
                highlight=False,
                legacy_windows=False,
                **options,
            )
        return self._console


class _Raw:
    """Finished text, escape sequences and all, that rich shall pass on as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment

        yield Segment(self._text)
