"""What a sink writes for what a service printed: the bytes themselves, or a JSON object a line.

Decides how much of a piece of output can be written yet, and recognises in a file what was written before.
Refuses to know about files, threads and times of copying.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from json.encoder import encode_basestring

from launchpad.hosts.local.sinks_file import FileTarget
from launchpad.hosts.local.spool_reader import SpoolReader

BLOCK = 256 << 10
"""Bytes of lines that are made into objects at a time."""
RAW_BLOCK = 1 << 20
"""Bytes that are copied at a time: to find the place in the log and to look at the file takes as long as to copy
100 KiB."""
LONGEST_LINE = 1 << 20
_CONTROLS = bytes(byte for byte in range(0x20) if byte not in b"\t\n\x1b")
"""What is seldom in a line; colours are not."""
_LINE_END = re.compile(rb"\r\n|\n|\r(?=.)", re.DOTALL)


class Raw:
    """Bytes as they are. Several services that share a file take turns by whole lines."""

    raw = True
    block = RAW_BLOCK
    save_every_s = 0.5

    def __init__(self, target: FileTarget) -> None:
        self._target = target

    def take(self, data: bytes, last: bool) -> tuple[bytes, int]:
        """(what to write, how much of `data` that is). `last`: there will be no more."""
        if self._target.users > 1 and not last:
            whole = data.rfind(b"\n") + 1
            if whole or len(data) < self.block:
                return data[:whole], whole
        return data, len(data)

    def gap(self, lost: int) -> bytes:
        """What stands for so many bytes that could not be copied: nothing, these are the bytes and no others."""
        return b""

    def matches(self, log: SpoolReader, position: int, copy: int, begin: int, end: int) -> int:
        at = begin
        while at < end:
            block = os.pread(copy, min(BLOCK, end - at), at)
            if not block or log.read_from(position + at - begin, len(block))[0] != block:
                return 0
            at += len(block)
        return end - begin


class Json:
    """A JSON object a line. A lone `\\r` ends a line too (progress bars); a line without end is cut at 1 MiB.
    `time` is when the line was copied, some milliseconds after it was printed."""

    raw = False
    block = BLOCK
    save_every_s = 0.0

    def __init__(self, service: str) -> None:
        self._service = encode_basestring(service)

    def take(self, data: bytes, last: bool) -> tuple[bytes, int]:
        head, whole = _head(self._service), data.rfind(b"\n") + 1
        plain = _plain_lines(head, data[:whole])
        begin = whole if plain is not None else 0
        lines, taken = _lines(data[begin:], last)
        taken += begin
        if not taken and len(data) >= LONGEST_LINE:
            lines, taken = _lines(data, True)
        ends_later = data and not taken and len(data) >= self.block
        self.block = min(LONGEST_LINE, self.block * 2) if ends_later else BLOCK
        texts = (encode_basestring(line.decode("utf-8", "replace")) for line in lines)
        return (plain or b"") + "".join(f"{head}{text}}}\n" for text in texts).encode(), taken

    def gap(self, lost: int) -> bytes:
        """An object that says how many bytes are missing here."""
        return f'{_head(self._service)}"", "skipped": {lost}}}\n'.encode()

    def matches(self, log: SpoolReader, position: int, copy: int, begin: int, end: int) -> int:
        printed = _printed(log, position)
        at = position
        for known in os.pread(copy, end - begin, begin).splitlines():
            line, after = next(printed, (b"", 0))
            try:
                if not after or json.loads(known)["line"] != line.decode("utf-8", "replace"):
                    return 0
            except (ValueError, KeyError, TypeError):
                return 0
            at = after
        return at - position


def _head(service: str) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f'{{"time": "{now}", "service": {service}, "line": '


def _plain_lines(head: str, block: bytes) -> bytes | None:
    """Objects for all lines of a block that ends with one, at once: what most output is. None where there is
    anything that needs to be looked at line by line."""
    if not block or len(block.translate(None, _CONTROLS)) < len(block):
        return None
    try:
        block.decode()
    except UnicodeDecodeError:
        return None
    quoted = (
        block[:-1]
        .replace(b"\\", b"\\\\")
        .replace(b'"', b'\\"')
        .replace(b"\t", b"\\t")
        .replace(b"\x1b", b"\\u001b")
    )
    between = f'"}}\n{head}"'.encode()
    return b"".join((head.encode(), b'"', quoted.replace(b"\n", between), b'"}\n'))


def _split(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The lines that have ended, without their ends, and where the next begins. An empty one that only a
    `\r` ended is none."""
    at = 0
    for end in _LINE_END.finditer(data):
        if end.start() > at or end[0] != b"\r":
            yield data[at : end.start()], end.end()
        at = end.end()


def _lines(data: bytes, all_of_it: bool) -> tuple[list[bytes], int]:
    """The lines that have ended (`all_of_it`: and the one that has not), and how many bytes they are."""
    pairs = list(_split(data))
    lines, at = [line for line, _ in pairs], pairs[-1][1] if pairs else 0
    if all_of_it and at < len(data):
        lines.append(data[at:].rstrip(b"\r"))
        at = len(data)
    return lines, at


def _printed(log: SpoolReader, position: int) -> Iterator[tuple[bytes, int]]:
    """The lines of the log from there on, each with the offset behind it."""
    while True:
        at = position
        for line, after in _split(log.read_from(position, LONGEST_LINE)[0]):
            at = position + after
            yield line, at
        if at == position:
            return
        position = at
