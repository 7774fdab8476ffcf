"""How many descriptors this process may have open, and how many are left.

A supervisor needs three or four for each service, more than the usual limit allows in a large stack. So the
limit is raised as far as it may be; what is started gets the limit that launchpad was given.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Callable, Iterator
from typing import TypeVar

RESERVED = 32
"""Left free by whatever can wait: for files, imports, starts and the control socket."""
_FORK_NEEDS = 8

_given: int | None = None
_spare: int | None = None

T = TypeVar("T")


def raise_limit() -> None:
    """To what is allowed, for this process alone; and keep one aside for `surely`."""
    global _given
    _keep_spare()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        _given = soft


def surely(use: Callable[[], T]) -> T:
    """What `use` returns. It opens one descriptor at a time and closes it; where none is left it gets the one that
    is kept aside. For looking at processes: not to see one must not be taken for its end."""
    global _spare
    try:
        return use()
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE) or _spare is None:
            raise
    os.close(_spare)
    _spare = None
    try:
        return use()
    finally:
        _keep_spare()


def _keep_spare() -> None:
    global _spare
    if _spare is None:
        with contextlib.suppress(OSError):
            _spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def given_limit() -> Iterator[None]:
    """A child that is forked meanwhile has the limit that launchpad was given. With more descriptors open than
    that allows, no fork would succeed: then the child has the raised one until `restore` is called for it."""
    if _given is None or _next() + _FORK_NEEDS > _given:
        yield
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_given, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def restore(pid: int) -> None:
    """Give a process that was just started the limit that launchpad was given."""
    if _given is not None:
        with contextlib.suppress(OSError, ValueError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (_given, hard))


def are_scarce(newest: int) -> bool:
    """Whether few are left, told by the number of one that was just opened: the kernel gives the lowest."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and newest >= soft - RESERVED


def _next() -> int:
    number = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.close(number)
    return number
