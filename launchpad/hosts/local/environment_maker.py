"""The program that makes one environment: a process of its own, since it takes minutes and runs what strangers wrote.

Reads on stdin what to make, says on stdout, a JSON object a line, how far it is and how it ended. Its installer's
output is read here and goes to the log, so nobody is ever blocked by it. If its supervisor goes, or it is told to,
it ends everything that it started and leaves: what is half made counts for nothing. Decides nothing about who needs
an environment.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any, NoReturn

from launchpad.hosts.local import environment_folder as disk
from launchpad.hosts.local import process
from launchpad.hosts.local.process_children import become_subreaper

PR_SET_PDEATHSIG = 1
TAIL_LINES = 12
SAY_EVERY_S = 0.25
"""What an installer says is passed on this long after it said it, if it says nothing newer by then."""
LONGEST = 400
NOT_PASSED = (
    "VIRTUAL_ENV",
    "PYTHONHOME",
    "PYTHONPATH",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_USER",
    "UV_PROJECT_ENVIRONMENT",
)
"""Would lead an installer elsewhere."""


class Failed(Exception):
    """It cannot be made; in words for people."""


def main() -> None:
    _end_with_supervisor(int(sys.argv[1]))
    become_subreaper()
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = json.load(sys.stdin)
    maker = Maker(asked)
    try:
        maker.make()
    except (Failed, OSError) as error:
        what = str(error) if isinstance(error, Failed) else f"{error.strerror or error}"
        _end_all()
        say({"failed": what, "tail": list(maker.tail)})
    else:
        say({"made": True})


def _end_with_supervisor(supervisor: int) -> None:
    _prctl_death(signal.SIGTERM)
    if os.getppid() != supervisor:
        sys.exit(1)  # it went before it could be asked


def _prctl_death(number: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def _leave(*_: object) -> NoReturn:
    _end_all()
    os._exit(143)


def _end_all() -> None:
    """Everything below, in whatever session: orphans come here, since this is a subreaper."""
    while True:
        below = [os.getpid()]
        for pid in below:
            below += (
                process.children(pid) if process.children_are_listed() else process.parents().get(pid, [])
            )
        for pid in below[1:]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def say(what: Mapping[str, Any]) -> None:
    """Progress is dropped where nobody reads; how it ended is not."""
    data = json.dumps(what).encode() + b"\n"
    os.set_blocking(1, "text" not in what)
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        os.write(1, data)


class Maker:
    def __init__(self, asked: Mapping[str, Any]) -> None:
        self.folder, self.link = str(asked["folder"]), str(asked["link"])
        self.lines: list[str] = asked["requirements"]
        self.files: list[tuple[str, str]] = asked["files"]
        self.python, self.uv, self.cwd = str(asked["python"]), str(asked["uv"]), str(asked["working_dir"])
        self.tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self.environment = {k: v for k, v in os.environ.items() if k not in NOT_PASSED}
        self.environment.update(PYTHONUNBUFFERED="1", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")

    def make(self) -> None:
        """Raises Failed or OSError."""
        os.makedirs(os.path.dirname(self.folder), mode=0o700, exist_ok=True)
        with disk.locked(disk.making(self.folder), fcntl.LOCK_EX | fcntl.LOCK_NB) as mine:
            if mine:
                self._make()
        if not mine:
            say({"text": "another launchpad is making it"})
            with disk.locked(disk.making(self.folder), fcntl.LOCK_EX):
                self._make()

    def _make(self) -> None:
        if not disk.is_whole(self.folder):
            disk.wipe(self.folder)
            with open(disk.log(self.folder), "wb") as log:
                os.chmod(log.fileno(), 0o600)
                self._install(log)
            disk.mark(self.folder, self.link, self.lines)
        disk.lead(self.link, self.folder)

    def _install(self, log: IO[bytes]) -> None:
        self._unchanged()
        given = f"{self.folder}.txt"
        with open(os.open(given, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.writelines(f"{line}\n" for line in self.lines)
        try:
            for name, command in self._commands(given):
                self._run(name, command, log)
        finally:
            os.unlink(given)
        self._unchanged()

    def _commands(self, given: str) -> list[tuple[str, list[str]]]:
        python = os.path.join(self.folder, "bin", "python")
        if self.uv:
            make = [self.uv, "venv", "--no-project", "--python", self.python, self.folder]
            install = [self.uv, "pip", "install", "--python", python, "-r", given]
            names = ("uv venv", "uv pip install")
        else:
            make = [self.python, "-m", "venv", self.folder]
            install = [python, "-m", "pip", "install", "--progress-bar", "off", "-r", given]
            names = ("python -m venv", "pip install")
        commands = [(names[0], make)]
        return [*commands, (names[1], install)] if self.lines else commands

    def _unchanged(self) -> None:
        """What is installed has to be what the folder is named after."""
        for path, digest in self.files:
            try:
                with open(path, "rb") as file:
                    now = hashlib.blake2b(file.read(), digest_size=16).hexdigest()
            except OSError:
                now = ""
            if now != digest:
                raise Failed(f"`{os.path.relpath(path, self.cwd)}` was changed meanwhile")

    def _run(self, name: str, command: Sequence[str], log: IO[bytes]) -> None:
        say({"text": name})
        self.tail.clear()
        log.write(f"$ {' '.join(command)}\n".encode())
        log.flush()
        try:
            child = subprocess.Popen(
                command,
                cwd=self.cwd,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: _prctl_death(signal.SIGKILL),
            )
        except OSError as error:
            raise Failed(f"`{command[0]}` could not be started: {error.strerror}") from None
        assert child.stdout is not None
        self._follow(child.stdout, log)
        code = child.wait()
        if code:
            how = f"exit {code}" if code > 0 else f"signal {-code}"
            raise Failed(f"`{name}` ended with {how}")

    def _follow(self, output: IO[bytes], log: IO[bytes]) -> None:
        """Until it is closed. The newest line is passed on when it has stood for a moment."""
        rest, newest, fd = b"", "", output.fileno()
        with selectors.DefaultSelector() as waiting:
            waiting.register(fd, selectors.EVENT_READ)
            while True:
                if not waiting.select(SAY_EVERY_S if newest else None):
                    say({"text": newest})
                    newest = ""
                    continue
                data = os.read(fd, 65536)
                with contextlib.suppress(OSError):  # a full disk shows where it matters
                    log.write(data)
                    log.flush()
                *lines, rest = (rest + data).replace(b"\r", b"\n").split(b"\n") if data else (rest, b"")
                for line in lines:
                    if text := "".join(c for c in line.decode(errors="replace") if c.isprintable()).strip():
                        newest = text[:LONGEST]
                        self.tail.append(newest)
                if not data:
                    return


if __name__ == "__main__":
    main()
