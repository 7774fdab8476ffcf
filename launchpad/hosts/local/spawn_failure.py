"""Why a process could not be started, in the user's words.

Looks at the file system after the fact; decides which failures a second try cannot mend.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SCARCE = {
    errno.EAGAIN: "the system allows no more processes (`ulimit -u`, or the container's limit)",
    errno.ENOMEM: "there is not enough memory to start a process",
    errno.EMFILE: "launchpad has too many open files (`ulimit -n`)",
    errno.ENFILE: "the system has too many open files",
    errno.ETXTBSY: "the program is being written at this moment",
}
PASSING = {*SCARCE, errno.ENOSPC, errno.EDQUOT}
"""What may pass by itself."""


class NotStarted(Exception):
    """`stage`: chdir, exec, fork, output, ports, notify. `final`: trying again cannot help. `detail` is
    evidence that is too long for a title. `lost`: names of ports that somebody else has."""

    def __init__(
        self, stage: str, text: str, final: bool, detail: str = "", lost: tuple[str, ...] = ()
    ) -> None:
        super().__init__(text)
        self.stage, self.text, self.final, self.detail, self.lost = stage, text, final, detail, lost


def explain(
    error: Exception, argv: Sequence[str], environment: Mapping[str, str], working_dir: str
) -> NotStarted:
    if not isinstance(error, OSError):
        return NotStarted("exec", f"its command or environment cannot be passed on: {error}", True)
    if error.errno in SCARCE:
        return NotStarted("fork", SCARCE[error.errno], False)
    if (wrong := wrong_directory(working_dir)) is not None:
        return NotStarted("chdir", wrong, True)
    if error.errno == errno.E2BIG:
        return NotStarted("exec", "its command and environment together are too long for the system", True)
    try:
        program = find_program(argv[0], environment, working_dir)
    except NotStarted as found:
        return found
    if error.errno == errno.ENOENT:
        return NotStarted("exec", _missing_interpreter(program), True)
    if error.errno == errno.ENOEXEC:
        return NotStarted("exec", f"`{program}` is not a program: it has no `#!` line", True)
    return NotStarted("exec", f"`{program}` could not be started: {error.strerror}", True)


def wrong_directory(path: str) -> str | None:
    """What is wrong with a working directory, or None."""
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        return f"its working_dir `{path}` may not be entered by this user"
    except OSError:
        return f"its working_dir `{path}` does not exist"
    if not stat.S_ISDIR(mode):
        return f"its working_dir `{path}` is not a directory"
    if not os.access(path, os.X_OK):
        return f"its working_dir `{path}` may not be entered by this user"
    return None


def find_program(name: str, environment: Mapping[str, str], working_dir: str) -> str:
    """The path of the file that would be run. Raises NotStarted when there is none that can be."""
    if not name:
        raise NotStarted("exec", "its command is empty", True)
    if "/" in name:
        path = os.path.join(working_dir, name)
        return _checked(path, f"no such file `{path}`")
    folders = [folder or "." for folder in environment.get("PATH", os.defpath).split(":")]
    places = [os.path.join(working_dir, folder) for folder in folders]
    import shutil  # looks for compressors, which is slow, and most programs are found

    found = shutil.which(name, path=":".join(places))
    if found is not None:
        return found
    for place in places:
        if os.path.isfile(os.path.join(place, name)):
            return _checked(os.path.join(place, name), "")
    shown = ":".join(dict.fromkeys(folders))
    raise NotStarted("exec", f"no such file `{name}` on its PATH", True, f"PATH is {shown}")


def _checked(path: str, missing: str) -> str:
    if os.path.isdir(path):
        raise NotStarted("exec", f"`{path}` is a directory, not a program", True)
    if not os.path.lexists(path):
        if (closed := _closed_above(path)) is not None:
            raise NotStarted("exec", f"`{path}` cannot be reached: `{closed}` may not be entered", True)
        raise NotStarted("exec", missing, True)
    if not os.path.exists(path):
        raise NotStarted("exec", f"`{path}` is a link to `{os.readlink(path)}`, which does not exist", True)
    if not os.access(path, os.X_OK):
        raise NotStarted("exec", f"`{path}` is not executable (`chmod +x {path}`)", True)
    return path


def _closed_above(path: str) -> str | None:
    folder = os.path.dirname(path)
    while folder not in ("", "/"):
        if os.path.isdir(folder):
            return None if os.access(folder, os.X_OK) else folder
        folder = os.path.dirname(folder)
    return None


def _missing_interpreter(program: str) -> str:
    try:
        with open(program, "rb") as file:
            head = file.read(256)
    except OSError:
        head = b""
    if head.startswith(b"#!"):
        line = head[2:].split(b"\n")[0].decode(errors="replace")
        interpreter = line.split()[0] if line.split() else ""
        returns = " (its first line ends in a carriage return: the file has Windows line ends)"
        return (
            f"`{program}` wants to be run by `{interpreter}`, and there is no such file"
            f"{returns if line.endswith(chr(13)) else ''}"
        )
    if head.startswith(b"\x7fELF"):
        return f"`{program}` was built for another system: its loader is not there"
    return f"`{program}` or what it is run by is not there any more"


def staged(stage: str, do: Callable[[], Any]) -> Any:
    """What `do` gives; what goes wrong at this stage of a start in the user's words. Raises NotStarted."""
    try:
        return do()
    except OSError as error:
        final = stage != "ports" and error.errno not in PASSING
        where = f" `{error.filename}`" if error.filename else ""
        raise NotStarted(
            stage, f"launchpad could not open its {stage}{where}: {error.strerror}", final
        ) from None
