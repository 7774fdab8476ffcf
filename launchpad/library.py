"""A stack for Python programs: started on entering a `with` block, stopped on leaving it.

Decides whose stack it is: what ran before is borrowed, and left as it runs. All work is done by `launchpad` itself, in
a process of its own: no signal handler, thread or child of the caller's process is touched. Refuses to know how it is
done, and shows what went wrong in the words in which the command line says it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from launchpad.control.api import ServiceView, Snapshot
from launchpad.control.client import Client, NotRunning
from launchpad.errors import Refused
from launchpad.hosts.local.spool_reader import SpoolReader
from launchpad.library_calls import StackError, about, call, call_async, duration
from launchpad.paths import STACK_NAMES, StackPaths, find_stack, stack_paths

__all__ = ["AsyncStack", "Stack", "StackError"]

_LAST_LINES = 6


class _Opened:
    """What can be asked of a stack at once, in a `with` block and in an `async with` block alike: each question is one
    short exchange with its supervisor, over a socket of this machine."""

    file: Path
    """The stack file."""
    borrowed: bool = False
    """Whether it ran before, so that it is left running."""

    def __init__(self, paths: StackPaths) -> None:
        self._paths = paths
        self._log_starts: dict[str, int] = {}
        self.file = paths.file

    def status(self) -> Snapshot:
        """The whole stack now. Raises StackError when it does not run."""
        try:
            return Client(self._paths.socket).status()
        except NotRunning:
            raise StackError(f"{self.file} is not running") from None
        except Refused as refused:
            raise StackError(str(refused)) from None

    def service(self, name: str) -> ServiceView:
        """One server or job now. Raises StackError for a name that the stack has not."""
        snapshot = self.status()
        for view in snapshot.services:
            if view.name == name:
                return view
        if copies := snapshot.groups.get(name):
            said = ", ".join(f"`{copy}`" for copy in copies)
            raise StackError(f"`{name}` has copies, each with a name of its own: {said}", 2)
        known = ", ".join(f"`{view.name}`" for view in snapshot.services)
        raise StackError(f"`{snapshot.stack}` has no server or job `{name}`; it has {known}", 2)

    def url(self, name: str) -> str:
        """Where a server is reached, such as `http://127.0.0.1:8030`. Raises StackError while it is not ready, and for
        what has no main port."""
        view = self.service(name)
        if view.url is None:
            raise StackError(f"`{name}` has no address: it has no main port" if not view.ports else
                             f"`{name}` has no main port, only {', '.join(view.ports)}")  # fmt: skip
        if view.state != "ready":
            raise StackError(f"`{name}` is not ready: it is {view.state}")
        return view.url

    def urls(self, name: str) -> list[str]:
        """Where each copy of a server with `replicas` is reached; the one address of any other. Raises StackError while
        one of them is not ready."""
        return [self.url(one) for one in self.status().groups.get(name, (name,))]

    def port(self, name: str, port: str = "main") -> int:
        """The number of one of its ports. Raises StackError."""
        ports = self.service(name).ports
        if port not in ports:
            has = f"it has {', '.join(f'`{one}`' for one in ports)}" if ports else "it has none"
            raise StackError(f"`{name}` has no port `{port}`; {has}")
        return ports[port]

    def host(self, name: str) -> str:
        """The literal address on which a server is reached. Raises StackError."""
        from urllib.parse import urlsplit

        return urlsplit(self.url(name)).hostname or ""

    def logs(self, name: str, lines: int | None = None) -> str:
        """What it has printed since the block was entered; with `lines`, no more than the last so many."""
        self._known(name)
        reader = SpoolReader(self._paths.log(name))
        at = self._log_starts.get(name, 0)
        at = at if lines is None else max(at, reader.tail_offset(lines))
        parts: list[bytes] = []
        while True:
            data, at = reader.read_from(at, 1 << 20)
            if not data:
                return b"".join(parts).decode(errors="replace")
            parts.append(data)

    def _known(self, name: str) -> None:
        if not self._paths.log(name).exists():
            self.service(name)

    def _remember_logs(self) -> None:
        logs = self._paths.logs_dir.glob("*.log")
        self._log_starts = {log.stem: SpoolReader(log).end() for log in logs}

    def _runs(self) -> bool:
        try:
            Client(self._paths.socket).status()
            return True
        except (NotRunning, Refused):
            return False

    def _belongs_to(self, owner: int) -> bool:
        """Whether it was started for this process, and not by somebody else since. Where no supervisor is left, what it
        may have left is taken for ours."""
        try:
            return Client(self._paths.socket).status().ends_with == owner
        except (NotRunning, Refused):
            return True


class Stack(_Opened):
    """One stack file, as a context manager.

    `file`: the stack file; by default the nearest `stack.yaml` here or in a parent folder. `set_vars` overrides its
    `vars`, `env_files` and `profiles` are those of the command line; `names` starts only those and what they need.
    `timeout`: how long the start may take, in seconds or as `"5m"`. `ends_with`: the pid of the process with which the
    stack ends, should nobody stop it before; by default this one.

    Entering returns once every server is ready and every job has started or is done, and raises StackError if it does not
    come to that; then nothing of it runs any more. Leaving stops the stack, unless it ran before. With `async with` both
    are awaited, and the block is given an `AsyncStack`."""

    def __init__(
        self,
        file: str | os.PathLike[str] | None = None,
        *,
        set_vars: Mapping[str, object] | None = None,
        env_files: Iterable[str | os.PathLike[str]] = (),
        profiles: Iterable[str] = (),
        names: Iterable[str] = (),
        timeout: float | str | None = None,
        ends_with: int | None = None,
    ) -> None:
        super().__init__(stack_paths(file if file is not None else _nearest()))
        self._owner: Final = os.getpid() if ends_with is None else ends_with
        self._shape = [
            *(f"--set={key}={value}" for key, value in (set_vars or {}).items()),
            *(f"--env-file={os.fspath(one)}" for one in env_files),
            *(f"--profile={one}" for one in profiles),
            *([] if timeout is None else [f"--timeout={duration(timeout)}"]),
            "--",
            *names,
        ]
        self._up = False

    def start(self) -> Stack:
        """What entering a `with` block does."""
        self._prepare()
        try:
            call(self._starting())
        except BaseException:
            self._give_up()
            raise
        self._started()
        return self

    def stop(self) -> None:
        """What leaving a `with` block does. Fine when nothing runs."""
        if self._leaving():
            call(about(self.file, "down"))

    def wait(self, job: str, timeout: float | str | None = None) -> None:
        """Return when a job is done. Raises StackError when it failed, with its last lines, or was too late."""
        self._explained(job, "wait", timeout)

    def restart(self, name: str, timeout: float | str | None = None) -> None:
        """Stop a service, start it again, and return once it is up. Raises StackError."""
        self._explained(name, "restart", timeout)

    def _explained(self, name: str, command: str, timeout: float | str | None) -> None:
        try:
            call(about(self.file, command, name, timeout=timeout))
        except StackError as error:
            raise self._with_last_lines(name, error) from None

    def _with_last_lines(self, name: str, error: StackError) -> StackError:
        if error.exit_code != 1 or "|" in str(error):
            return error
        printed = self.logs(name, _LAST_LINES).splitlines() if self._paths.log(name).exists() else []
        return StackError("\n".join([str(error), *(f"   |   {line}" for line in printed)]), 1)

    def _prepare(self) -> None:
        if self._up:
            raise StackError(f"{self.file} was started by this object already")
        self._remember_logs()
        self.borrowed = self._runs()

    def _starting(self) -> list[str]:
        how = ["-d", "--no-watch", f"--until-exit={self._owner}"]
        return ["up", f"--file={self.file}", *how, *self._shape]

    def _started(self) -> None:
        self._up = True
        self.borrowed = self.borrowed or not self._belongs_to(self._owner)

    def _give_up(self) -> None:
        """A start that came to nothing: the rest of it is not left running."""
        if not self.borrowed and self._belongs_to(self._owner):
            with contextlib.suppress(StackError):
                call(about(self.file, "down"))

    def _leaving(self) -> bool:
        """Whether the stack is to be stopped."""
        was, self._up = self._up, False
        return was and not self.borrowed and self._belongs_to(self._owner)

    def __enter__(self) -> Stack:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> AsyncStack:
        self._prepare()
        try:
            await call_async(self._starting())
        except BaseException:
            if not self.borrowed and self._belongs_to(self._owner):
                with contextlib.suppress(StackError):
                    await call_async(about(self.file, "down"))
            raise
        self._started()
        return AsyncStack(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leaving():
            await call_async(about(self.file, "down"))


class AsyncStack(_Opened):
    """What the block of `async with Stack(…)` is given: what takes its time is awaited."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack._paths)
        self._stack = stack
        self._log_starts, self.borrowed = stack._log_starts, stack.borrowed

    async def wait(self, job: str, timeout: float | str | None = None) -> None:
        """As `Stack.wait`."""
        await self._explained(job, "wait", timeout)

    async def restart(self, name: str, timeout: float | str | None = None) -> None:
        """As `Stack.restart`."""
        await self._explained(name, "restart", timeout)

    async def _explained(self, name: str, command: str, timeout: float | str | None) -> None:
        try:
            await call_async(about(self.file, command, name, timeout=timeout))
        except StackError as error:
            raise self._stack._with_last_lines(name, error) from None


def end_own(file: Path, owner: int) -> None:
    """Stop the stack of this file, if it runs and was started for this process."""
    paths = stack_paths(file)
    with contextlib.suppress(NotRunning, Refused, StackError):
        if Client(paths.socket).status().ends_with == owner:
            call(about(paths.file, "down"))


def _nearest() -> Path:
    found = find_stack(Path.cwd())
    if found is None:
        here = f"{Path.cwd()} or a folder above it"
        raise StackError(f"there is no {STACK_NAMES[0]} or {STACK_NAMES[2]} in {here}", 2)
    return found
