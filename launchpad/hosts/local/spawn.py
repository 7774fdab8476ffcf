"""Starts one process, and knows how it ended. Says in the user's words why it could not be started.

The child has a session of its own, reads /dev/null, writes its log by itself, has no other descriptor
than the listening sockets that it is handed, every signal at its default and none blocked. Nothing runs
between fork and exec. Decides nothing about when to start, or what the end of a process means.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from launchpad.core.model import Handle
from launchpad.hosts.local import descriptors, process
from launchpad.hosts.local.process_children import claim, disclaim
from launchpad.hosts.local.spawn_failure import NotStarted, explain, find_program

FIRST_LISTEN_FD = 3

LISTEN_SHIM = """
import fcntl, os, sys
names, fds, argv = sys.argv[1], [int(n) for n in sys.argv[2].split(",")], sys.argv[3:]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3 + len(fds)) for fd in fds]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
for fd in fds:
    if fd >= 3 + len(fds):
        os.close(fd)
try:
    os.execv(argv[0], argv[1:])
except OSError as error:
    print(f"launchpad: {argv[0]} could not be started: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(126)
"""
"""Puts the listening sockets at 3, 4, … and becomes the program: only the child knows the pid that
LISTEN_PID has to name. It stays the same process, so the pid and the markers hold."""


def spawn(
    argv: Sequence[str],
    environment: Mapping[str, str],
    working_dir: str,
    output: int,
    listeners: Sequence[tuple[str, int]] = (),
) -> Handle:
    """Start `argv` with exactly this environment, both outputs on the descriptor `output`. `listeners` are
    (name, descriptor) of listening sockets. The child is claimed: the caller has to wait for it.

    Raises NotStarted with the failing stage.
    """
    command, fds = list(argv), [fd for _, fd in listeners]
    if listeners:
        program = find_program(argv[0], environment, working_dir)
        names = ":".join(name for name, _ in listeners)
        numbers = ",".join(str(fd) for fd in fds)
        command = [sys.executable, "-I", "-S", "-c", LISTEN_SHIM, names, numbers, program, *argv]
    try:
        with _plain_signals(), descriptors.given_limit():
            child = subprocess.Popen(
                command,
                env=environment,
                cwd=working_dir,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                close_fds=True,
                pass_fds=fds,
                restore_signals=True,
            )
    except (OSError, ValueError) as error:
        raise explain(error, argv, environment, working_dir) from None
    claim(child.pid)
    descriptors.restore(child.pid)
    child.returncode = 0  # it is waited for by pid; subprocess must not look after it
    handle = process.handle_of(child.pid)
    assert handle is not None, "a child that was not waited for has a /proc entry"
    return handle


@contextlib.contextmanager
def _plain_signals() -> Iterator[None]:
    """A child inherits what its parent ignores (nohup, `&` in a script) and blocks; what is handled goes
    back to its default at exec. So whatever is ignored here is handled, by nothing, during the fork."""
    ignored = []
    for number in _ORDINARY:
        if _signal.getsignal(number) == _signal.SIG_IGN:  # `signal` makes an enum of each answer
            with contextlib.suppress(ValueError, OSError):  # not in the main thread
                signal.signal(number, lambda *_: None)
                ignored.append(number)
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


_ORDINARY = sorted(
    map(int, signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ})
)
"""What Python itself ignores, it restores in the child."""


def wait(pid: int) -> int | None:
    """Reap this child: its exit code, or minus the signal number; None while it lives. It is disclaimed then."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        disclaim(pid)
        return -signal.SIGKILL  # somebody else took the status: it is gone, nobody can say how
    if done == 0:
        return None
    disclaim(pid)
    return os.waitstatus_to_exitcode(status)


__all__ = ["FIRST_LISTEN_FD", "NotStarted", "spawn", "wait"]
