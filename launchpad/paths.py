"""Where things lie: the state of a stack beside its file, its control socket in the user's runtime folder.

Decides names only; creates nothing.
"""

from __future__ import annotations

import os
import stat
from functools import cached_property
from pathlib import Path

from msgspec import Struct

MAX_SOCKET_PATH = 100
"""What every kernel takes as the path of a unix socket (Linux: 107 bytes, macOS: 103)."""
OTHER_NAMES = 9
STACK_NAMES = ("stack.yaml", "stack.yml", "launchpad.yaml", "launchpad.yml")


class StackPaths(Struct, frozen=True, dict=True):
    """All paths of one stack file. Two stack files in one folder do not share anything."""

    file: Path

    @cached_property
    def state_dir(self) -> Path:
        return self.file.parent / ".launchpad" / self.file.name

    @cached_property
    def logs_dir(self) -> Path:
        return self.state_dir / "logs"

    @cached_property
    def records(self) -> Path:
        """Of the processes that run, or may."""
        return self.state_dir / "records.jsonl"

    @property
    def keeper(self) -> Path:
        """Names the process that watches over the stack should its supervisor die."""
        return self.state_dir / "keeper.json"

    @property
    def lock(self) -> Path:
        return self.state_dir / "lock"

    @property
    def state(self) -> Path:
        return self.state_dir / "state.json"

    @property
    def kept(self) -> Path:
        """What came of the last reading of the stack file."""
        return self.state_dir / "plan.kept"

    @property
    def journal(self) -> Path:
        return self.state_dir / "events.jsonl"

    @property
    def supervisor_log(self) -> Path:
        return self.state_dir / "supervisor.log"

    @property
    def key(self) -> str:
        import hashlib  # loads a library for cryptography; who finds the socket by its signpost does without

        return hashlib.blake2b(os.fsencode(self.file), digest_size=8).hexdigest()

    @property
    def new_socket(self) -> Path:
        """Where a supervisor that is started now listens."""
        return runtime_dir() / f"{self.key}.sock"

    @property
    def signpost(self) -> Path:
        """Holds the path of the socket of the supervisor that runs."""
        return self.state_dir / "socket"

    @property
    def socket(self) -> Path:
        """Where the supervisor that runs listens: the runtime folder of whoever started it may be another one than
        that of whoever asks (another login, cron, sudo)."""
        try:
            fd = os.open(self.signpost, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(fd, "rb") as file:
                found = Path(os.fsdecode(file.read(4096)))
            return found if found.exists() else self.new_socket
        except (OSError, ValueError):
            return self.new_socket

    @property
    def registration(self) -> Path:
        """Tells this user's other launchpads which ports this stack holds."""
        return runtime_dir() / f"{self.key}.json"

    def log(self, service: str) -> Path:
        return self.logs_dir / f"{service}.log"


def stack_paths(file: str | os.PathLike[str]) -> StackPaths:
    """A symbolic link to a stack file is that stack, wherever it leads: it may be led elsewhere while it runs."""
    folder, name = os.path.split(os.path.abspath(file))
    return StackPaths(Path(os.path.realpath(folder)) / name)


def runtime_dir() -> Path:
    """This user's folder for sockets: $XDG_RUNTIME_DIR/launchpad, else /tmp/launchpad-UID. Anybody may make that one; where
    another user has, the next name that nobody has."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    fits = base and len(base) + len("/launchpad/0123456789abcdef.sock") < MAX_SOCKET_PATH
    if base and fits and os.path.isdir(base) and os.access(base, os.W_OK):
        return Path(base) / "launchpad"
    usual = f"/tmp/launchpad-{os.getuid()}"
    names = [usual, *(f"{usual}.{number}" for number in range(1, OTHER_NAMES + 1))]
    return Path(next((name for name in names if _may_be_ours(name)), usual))


def _may_be_ours(folder: str) -> bool:
    try:
        seen = os.lstat(folder)
    except OSError:
        return True
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.getuid()


def find_stack(start: Path) -> Path | None:
    """The nearest stack.yaml or launchpad.yaml in `start` or a folder above it; where there is none, the nearest that
    runs, or has left processes: its file is gone for a moment, or for good."""
    files = [folder / name for folder in (start, *start.parents) for name in STACK_NAMES]
    there = next((file for file in files if os.path.isfile(file)), None)
    return there or next((file for file in files if _has_run(stack_paths(file))), None)


def _has_run(paths: StackPaths) -> bool:
    return paths.state_dir.is_dir() and (paths.socket.exists() or paths.records.exists())


ENVIRONMENTS = "environments"
"""Within `.launchpad`: Python environments that launchpad made, each in a folder of its own."""


def local_file(file: Path) -> Path:
    """The personal file beside a stack file."""
    return file.with_name(f"{file.stem}.local{file.suffix}")


def may_lead(link: str) -> bool:
    """Whether launchpad may make this the link to an environment: nothing is there, or such a link is."""
    if not os.path.lexists(link):
        return True
    if not os.path.islink(link):
        return False
    above = os.path.dirname(os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link))))
    return (
        os.path.basename(above) == ENVIRONMENTS and os.path.basename(os.path.dirname(above)) == ".launchpad"
    )
