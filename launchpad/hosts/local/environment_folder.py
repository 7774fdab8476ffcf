"""What lies on disk for an environment: its folder, the mark that it is whole, its lock, its log, the link to it.

A folder counts only with its mark, which is written last and is then on the disk; so whatever interrupts the
making, at any moment, leaves nothing that anybody would use. A folder is made where it stays: environments cannot be
moved. Decides what counts; makes nothing but links and marks.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from launchpad.hosts.local import process
from launchpad.paths import may_lead

MARK = "launchpad.json"
VERSION = 1


def python_of(folder: str) -> str:
    """Its interpreter, in the layout that is there; what POSIX has, where none is."""
    windows = os.path.join(folder, "Scripts", "python.exe")
    return windows if os.path.exists(windows) else os.path.join(folder, "bin", "python")


def is_whole(folder: str) -> bool:
    """It was made to its end, and the interpreter that it was made with is still there."""
    return os.path.isfile(os.path.join(folder, MARK)) and os.path.exists(python_of(folder))


def leads_to(link: str, folder: str) -> bool:
    try:
        return os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link))) == folder
    except OSError:
        return False


def lead(link: str, folder: str) -> None:
    """Make `link` lead to `folder`, at once: whoever looks finds the old one or the new one. The time of its mark is when it
    was led to last. Raises OSError."""
    if leads_to(link, folder):
        return
    if not may_lead(link):
        raise FileExistsError(f"`{link}` is there already, and launchpad did not make it")
    os.makedirs(os.path.dirname(link), exist_ok=True)
    new = f"{link}.{os.getpid()}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    os.symlink(os.path.relpath(folder, os.path.dirname(link)), new)
    os.utime(os.path.join(folder, MARK))
    os.replace(new, link)


def mark(folder: str, link: str, requirements: Iterable[str]) -> None:
    """From now on it counts. All that was written before is on the disk first. Raises OSError."""
    path = os.path.join(folder, MARK)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).syncfs(fd)
        with open(f"{path}.new", "w") as file:
            there = os.path.relpath(link, os.path.dirname(folder))
            json.dump({"version": VERSION, "link": there, "requirements": list(requirements)}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)
        os.fsync(fd)
    finally:
        os.close(fd)


def take(path: str, how: int) -> int | None:
    """The lock, as a descriptor to be closed; None where it was not to be waited for and somebody has it. Lock files are
    taken away with what they are for: a lock on one that is no longer at its place is none."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, how)
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


@contextlib.contextmanager
def locked(path: str, how: int) -> Iterator[bool]:
    """Whether the lock was had; it is let go at the end, or by the kernel."""
    fd = take(path, how)
    try:
        yield fd is not None
    finally:
        if fd is not None:
            os.close(fd)


def making(folder: str) -> str:
    """The lock of whoever makes it, or takes it away."""
    return f"{folder}.lock"


def use(folder: str) -> str:
    """The lock, shared, of every launchpad that may start something in it."""
    return f"{folder}.used"


def log(folder: str) -> str:
    """All that the installer said."""
    return f"{folder}.log"


def shown(path: str, folder: str) -> str:
    """As people are told of it: from the folder of the stack whose environments `folder` is among."""
    return os.path.relpath(path, Path(folder).parents[2])


def wipe(folder: str) -> None:
    """The mark goes first: what is half taken away does not count. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, MARK))
    if os.path.isdir(folder):
        import shutil

        shutil.rmtree(folder)


def tidy(root: str, links: Iterable[str], *, needed: Collection[str] = (), keep: int = 0) -> bool:
    """Take away what `links` led to before and no longer do, and what was never finished, unless it is `needed` or
    somebody uses it. Of each link, the `keep` that it led to last stay. Whether something stays only because it is used."""
    past, half = _past(root, set(links))
    spare = [folder for link in past for _, folder in sorted(past[link], reverse=True)[keep:]]
    used = _in_use() if spare or half else set()
    for folder in half:
        if folder not in needed:
            _take_away(folder, used, says=True)
    left = [one for one in spare if one in needed or not _take_away(one, used)]
    return bool(left)


def _past(root: str, links: set[str]) -> tuple[dict[str, list[tuple[float, str]]], list[str]]:
    """By link, with the time at which each was led to last; and those without a mark."""
    past: dict[str, list[tuple[float, str]]] = {}
    half = []
    for name in _names(root):
        folder = os.path.join(root, name)
        try:
            with open(os.path.join(folder, MARK), "rb") as file:
                there, at = str(json.load(file)["link"]), os.fstat(file.fileno()).st_mtime
        except (FileNotFoundError, NotADirectoryError):
            half += [folder] if os.path.isdir(folder) else []
            continue
        except (OSError, ValueError, KeyError, TypeError):
            continue
        link = os.path.normpath(os.path.join(root, there))
        if link in links and not leads_to(link, folder):
            past.setdefault(link, []).append((at, folder))
    return past, half


def _names(root: str) -> list[str]:
    try:
        return sorted(os.listdir(root))
    except OSError:
        return []


def _in_use() -> set[str]:
    """By any process: also of a supervisor that died, and by a shell in which somebody switched it on."""
    return {process.environment(pid).get("VIRTUAL_ENV", "") for pid in process.pids()}


def _take_away(folder: str, used: Collection[str], *, says: bool = False) -> bool:
    """Whether it is gone. `says`: what the installer said stays to be read."""
    nobody = fcntl.LOCK_EX | fcntl.LOCK_NB
    try:
        with locked(making(folder), nobody) as mine, locked(use(folder), nobody) as unused:
            if not mine or not unused or folder in used:
                return False
            wipe(folder)
            _unlink(f"{folder}.txt", use(folder), making(folder), *(() if says else (log(folder),)))
    except OSError:
        return False
    return True


def forget_old_words(root: str) -> None:
    """Take away what installers said of environments that were not made."""
    for path in (os.path.join(root, name) for name in _names(root) if name.endswith(".log")):
        folder = path.removesuffix(".log")
        if not os.path.isdir(folder):
            with contextlib.suppress(OSError), locked(making(folder), fcntl.LOCK_EX | fcntl.LOCK_NB) as mine:
                if mine:
                    _unlink(path, making(folder))


def _unlink(*paths: str) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
