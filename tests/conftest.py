"""Options of the whole test suite."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from launchpad.hosts.local import process


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("launchpad")
    group.addoption("--rewrite", action="store_true", help="write what was seen into the expectations")
    group.addoption(
        "--seed", type=int, default=None, help="replay this seed of the swarm, with its transcript"
    )
    group.addoption("--swarm-seconds", type=float, default=3.0, help="how long the swarm looks for new seeds")
    group.addoption("--fault-rows", default=None, help="a folder for what the fault cases measured")
    group.addoption(
        "--fault-scale",
        type=float,
        default=1.0,
        help="how much larger than usual (200 MB) the flood of output is",
    )


def pytest_configure(config: pytest.Config) -> None:
    """A suite that was started in the background of a script has Ctrl-C ignored, and so has all that it starts: there
    is nothing to be seen of Ctrl-C then."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "heavy: starts many processes; never beside another heavy one")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All heavy tests go to one worker, one after the other (`--dist loadgroup`)."""
    for item in items:
        if item.get_closest_marker("heavy"):
            item.add_marker(pytest.mark.xdist_group("heavy"))


@pytest.fixture(autouse=True)
def _no_zombies() -> Iterator[None]:
    """Some tests make their process a subreaper, and it stays one: what is orphaned later on becomes a zombie here, and
    whoever looks through all of /proc looks at hundreds of them."""
    yield
    me, session = os.getpid(), os.getsid(0)
    own = process.children(me) if process.children_are_listed() else process.parents().get(me, [])
    for pid in own:
        one = process.stat(pid)
        if one is not None and not one.lives and one.session != session:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
