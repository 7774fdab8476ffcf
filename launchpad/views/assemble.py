"""Bytes of one service's output become lines that can be shown beside others.

Decides what a line is: carriage returns overwrite, colours may stay, everything that moves a cursor or
rings a bell goes. Bounded memory. Refuses to know where bytes come from, what time it is, and where lines go.
"""

from __future__ import annotations

import re

MAX_PENDING = 64 * 1024
"""Bytes without a line end after which a piece is shown as a line of its own."""

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement, erasing
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)"  # strings: titles, links
    r"|\x1b[ -/]*[0-~]?"  # the rest
)
_COLOR = re.compile(r"\x1b\[[0-9;:]*m")
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROLS = bytes((*range(0x09), *range(0x0B, 0x20), 0x7F))
_WIDE_CONTROLS = re.compile(rb"\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")
RESET = "\x1b[0m"


class Assembler:
    """Takes chunks, gives finished lines, keeps what is not finished."""

    def __init__(self, *, color: bool) -> None:
        self._color = color
        self._pending = b""
        self._continued = False
        self._last = b""

    @property
    def last(self) -> str:
        """The newest line with anything on it, finished or not, without colours."""
        current = _overwritten(self._pending)
        return clean(_decode(current if current.strip() else self._last), color=False).strip()

    @property
    def pending(self) -> bool:
        """Something waits for its line end."""
        return bool(self._pending)

    @property
    def is_progress(self) -> bool:
        """What waits is drawn over and over with carriage returns."""
        return b"\r" in self._pending

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that `chunk` finished, ready to be shown, without line ends."""
        data = self._pending + chunk
        cut = data.rfind(b"\n")
        if cut < 0:
            self._pending = data
            return self._overflow()
        lines = self._finished(data[:cut])
        self._pending = data[cut + 1 :]
        return lines + self._overflow()

    def peek(self) -> str:
        """What waits, as it looks now."""
        return clean(_decode(_overwritten(self._pending)), color=self._color)

    def take(self) -> str:
        """What waits, given out as a line of its own; its line end, when it comes, is swallowed."""
        text, kept = _split_broken_character(_overwritten(self._pending))
        self._remember(text)
        self._pending = kept
        self._continued = True
        return clean(_decode(text), color=self._color)

    def _finished(self, block: bytes) -> list[str]:
        self._remember(block[block.rfind(b"\n", 0, len(block.rstrip())) + 1 :])
        if _is_special(block):
            lines = [clean(_decode(_overwritten(line)), color=self._color) for line in block.split(b"\n")]
        else:
            lines = _decode(block).split("\n")
        if self._continued and not lines[0]:
            del lines[0]
        self._continued = False
        return lines

    def _remember(self, line: bytes) -> None:
        shown = _overwritten(line[-MAX_PENDING:])
        if shown.strip():
            self._last = shown[:1024]

    def _overflow(self) -> list[str]:
        head, found, tail = self._pending.rpartition(b"\r")
        if found:
            before = b"" if tail.strip() else b"\r" + _overwritten(head)
            self._pending = before + found + tail
        if len(self._pending) <= MAX_PENDING:
            return []
        return [self.take()]


def _is_special(block: bytes) -> bool:
    """It holds something that `clean` may take out. Most output does not, and most of it is ASCII: to delete bytes and
    see whether there were any is many times faster than a search for them."""
    if len(block.translate(None, _CONTROLS)) < len(block):
        return True
    return not block.isascii() and _WIDE_CONTROLS.search(block) is not None


def clean(text: str, *, color: bool) -> str:
    """`text` without anything that could move the cursor; colours stay if `color`, and are closed."""
    if "\x1b" in text:
        colored = False

        def keep(match: re.Match[str]) -> str:
            nonlocal colored
            sequence = match[0]
            if color and _COLOR.fullmatch(sequence):
                colored = True
                return sequence
            return ""

        text = _ESCAPES.sub(keep, text)
        if colored:
            pieces = re.split(f"({_COLOR.pattern})", text)
            return "".join(p if i % 2 else _UNSAFE.sub("", p) for i, p in enumerate(pieces)) + RESET
    return _UNSAFE.sub("", text)


def _overwritten(line: bytes) -> bytes:
    """What is left to see of a line in which carriage returns went back to its beginning."""
    if b"\r" not in line:
        return line
    for part in reversed(line.split(b"\r")):
        if part.strip():
            return part
    return b""


def _split_broken_character(data: bytes) -> tuple[bytes, bytes]:
    """Cut off a UTF-8 character at the end of which bytes are still missing."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte >= 0xC0:
            need = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return (data[:-back], data[-back:]) if need > back else (data, b"")
        if byte < 0x80:
            break
    return data, b""


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")
