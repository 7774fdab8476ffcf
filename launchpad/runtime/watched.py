"""Which files the services of a stack watch, and how they stand.

Decides what a pattern means and what is passed over: hidden files and folders, caches, environments, checkpoints, logs,
and what editors leave beside a file. Refuses to know what a change does.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct, field

PASSED_OVER = ("__pycache__", "venv", "node_modules", "checkpoints", "logs", "site-packages")
"""Folders, besides hidden ones (`.git`, `.venv`, `.launchpad`), unless a pattern goes into them by name."""
LEFTOVER = re.compile(r"(?:.*(?:~|\.sw[a-z]|\.py[co]|\.tmp|\.part|\.bak)|4913|#.*#|___jb_.*)\Z", re.DOTALL)
"""Names of files that editors and Python leave beside others."""
MOST_FOLDERS = 20_000
_MAGIC = re.compile(r"[*?\[]")

Stamp = tuple[int, int, int]


class Found(Struct):
    """Service → its files and their stamps; all folders in which files may appear."""

    files: dict[str, dict[str, Stamp]] = field(default_factory=dict)
    folders: tuple[str, ...] = ()

    def changed_since(self, before: Found) -> dict[str, tuple[str, ...]]:
        """Service → files that were added, changed or removed. Services that were not looked at before are not
        in it."""
        changed = {}
        for name, files in self.files.items():
            old = before.files.get(name)
            if old is not None and old != files:
                differ = (file for file in {**old, **files} if old.get(file) != files.get(file))
                changed[name] = tuple(sorted(differ))
        return changed


class Pattern(Struct, frozen=True):
    """One absolute glob. `base` is the folder up to which it is written without wildcards; `depth` how many parts
    a path has at most that it matches."""

    base: str
    parts: tuple[str, ...]
    depth: float
    regex: re.Pattern[str]

    @classmethod
    def of(cls, text: str, root: str = "/") -> Pattern:
        """`root` is a folder whose name holds no wildcards, whatever it looks like."""
        parts = os.path.normpath(text).split("/")[1:]
        above = root.rstrip("/").split("/")[1:]
        literal = len(above) if parts[: len(above)] == above else 0
        magic = (i for i, part in enumerate(parts) if i >= literal and _MAGIC.search(part))
        plain = next(magic, len(parts))
        whole = plain == len(parts)
        base = "/" + "/".join(parts[: plain - 1 if whole else plain])
        depth = math.inf if whole or "**" in parts else len(parts)
        regex = "".join("/" + re.escape(part) for part in parts[:plain])
        regex += "".join(_part(part, last=i == len(parts) - 1) for i, part in enumerate(parts) if i >= plain)
        if whole:  # a folder: everything in it
            regex += f"(?:{_ANY})*"
        return cls(base, tuple(parts), depth, re.compile(regex + r"\Z", re.DOTALL))

    def leads_into(self, folder: str, name: str) -> bool:
        """Whether files below this folder of that name, which is below `base`, may match."""
        passed = name.startswith(".") or name in PASSED_OVER
        within = folder.startswith(self.base.rstrip("/") + "/")
        return within and folder.count("/") < self.depth and (not passed or name in self.parts)


_FOLDERS = "|".join(re.escape(name) for name in PASSED_OVER)
_SEEN = rf"(?!\.|(?:{_FOLDERS})(?:/|\Z))"
_ANY = rf"/{_SEEN}[^/]+"
"""One part of a path that is not passed over."""


def _part(part: str, *, last: bool) -> str:
    if part == "**":
        return f"(?:{_ANY})" + ("+" if last else "*")
    found = "/" + (_SEEN if _MAGIC.match(part) else "")
    for piece in re.findall(r"\*+|\?|\[!?\]?[^\]]*\]|.", part, re.DOTALL):
        if piece[0] == "*":
            found += "[^/]*"
        elif piece == "?":
            found += "[^/]"
        elif len(piece) > 1:
            inner = re.sub(r"([\\\[&|~])", r"\\\1", piece[1:-1])
            found += f"[^{inner[1:]}]" if inner[0] == "!" else f"[{inner.replace('^', chr(92) + '^')}]"
        else:
            found += re.escape(piece)
    return found


class Globs:
    """`patterns`: service → absolute globs. A pattern that names a folder means everything in it."""

    def __init__(self, patterns: Mapping[str, tuple[str, ...]], root: str = "/") -> None:
        self.patterns = dict(patterns)
        self._of = {name: [Pattern.of(text, root) for text in texts] for name, texts in patterns.items()}
        self._all = [pattern for one in self._of.values() for pattern in one]

    @property
    def is_empty(self) -> bool:
        return not self._all

    def matters(self, path: str) -> bool:
        """Whether an event at this path may concern a watched file."""
        if LEFTOVER.match(os.path.basename(path)):
            return False
        return any(pattern.regex.match(path) for pattern in self._all) or not os.path.isfile(path)

    def look(self) -> Found:
        files: dict[str, dict[str, Stamp]] = {name: {} for name in self._of}
        folders: dict[str, None] = {}
        for base in dict.fromkeys(pattern.base for pattern in self._all):
            if os.path.isdir(base):
                folders[os.path.dirname(base)] = None
                self._walk(base, files, folders)
            else:
                folders[_nearest(base)] = None
        return Found(files, tuple(folders))

    def marks(self, found: Found) -> dict[str, str]:
        """Service → what it watches and how that stands, by which the next supervisor sees whether it was changed."""
        return {
            name: f"{_digest(self.patterns[name])}:{_digest(sorted(files.items()))}"
            for name, files in found.files.items()
        }

    def _walk(self, base: str, files: dict[str, dict[str, Stamp]], folders: dict[str, None]) -> None:
        pending = [base]
        while pending and len(folders) < MOST_FOLDERS:
            folder = pending.pop()
            folders[folder] = None
            for entry in _entries(folder):
                if _is_folder(entry):
                    if any(one.leads_into(entry.path, entry.name) for one in self._all):
                        pending.append(entry.path)
                elif not LEFTOVER.match(entry.name):
                    self._take(entry, files)

    def _take(self, entry: os.DirEntry[str], files: dict[str, dict[str, Stamp]]) -> None:
        for name, patterns in self._of.items():
            if any(pattern.regex.match(entry.path) for pattern in patterns):
                try:
                    stat = entry.stat()
                except OSError:
                    continue
                files[name][entry.path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def stands_otherwise(before: str, now: str) -> bool:
    """The same patterns, other files: what is watched only now was not watched before."""
    return before != now and before.partition(":")[0] == now.partition(":")[0]


def _digest(value: object) -> str:
    return hashlib.blake2b(repr(value).encode(), digest_size=8).hexdigest()


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from found
    except OSError:
        return


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """A link to a folder is not followed: it may lead in a circle."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _nearest(folder: str) -> str:
    while not os.path.isdir(folder) and folder != "/":
        folder = os.path.dirname(folder)
    return folder
