"""What the actor prints: lines now and then, or a flood of numbered lines. Decides their form and nothing else."""

from __future__ import annotations

import os
import sys
import time

LINE = 100
BLOCK_LINES = 1000
STDOUT, STDERR = 1, 2


def write_all(descriptor: int, data: bytes) -> None:
    """Write straight to the descriptor. Blocks as long as nobody reads: that is what is rehearsed."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Voice:
    """Lines on stdout and stderr. `{n}`, `{pid}` and `{name}` in them are filled in; n counts the rounds."""

    def __init__(self, name: str, *, flush: bool) -> None:
        self.name = name
        self.flush = flush
        self.round = 0

    def say(self, text: str) -> None:
        """A line on stdout; without `flush`, when Python's own buffering lets it go."""
        line = f"{self._fill_in(text)}\n"
        if self.flush:
            write_all(STDOUT, line.encode())
        else:
            sys.stdout.write(line)

    def complain(self, text: str) -> None:
        """A line on stderr, at once."""
        write_all(STDERR, f"{self._fill_in(text)}\n".encode())

    def finish(self) -> None:
        """Let go of what is still buffered."""
        if not self.flush:
            sys.stdout.flush()

    def _fill_in(self, text: str) -> str:
        for place, value in (("{n}", self.round), ("{pid}", os.getpid()), ("{name}", self.name)):
            text = text.replace(place, str(value))
        return text


class Spam:
    """A stream of numbered lines of 100 bytes: nine digits for the block, three for the line, and filling.

    Made from one template whose block number is replaced, so that it costs far less than the writing of it.
    """

    PLACE = b"#########"

    def __init__(self) -> None:
        filling = b"." * (LINE - len(self.PLACE) - len(b"000 \n"))
        self._template = b"".join(self.PLACE + b"%03d " % n + filling + b"\n" for n in range(BLOCK_LINES))
        self._block = 0
        self._rest = b""

    def write(self, size: int, *, last: bool = True) -> None:
        """Write exactly `size` bytes to stdout; the `last` one of all is a newline, wherever its line is cut."""
        while size > 0:
            piece = self._take(size)
            size -= len(piece)
            write_all(STDOUT, piece[:-1] + b"\n" if last and not size else piece)

    def drip(self, size: float, bytes_per_second: int) -> None:
        """Write `size` bytes (infinite: for ever) at this rate, ten pieces a second."""
        step = max(1, bytes_per_second // 10)
        start, written = time.monotonic(), 0
        while written < size:
            piece = int(min(step, size - written))
            written += piece
            self.write(piece, last=written >= size)
            time.sleep(max(0.0, start + written / bytes_per_second - time.monotonic()))

    def _take(self, size: int) -> bytes:
        if not self._rest:
            self._rest = self._template.replace(self.PLACE, b"%09d" % self._block)
            self._block += 1
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece
