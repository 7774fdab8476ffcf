"""What becomes of a command that does not return: refused, interrupted, broken pipe, or our own bug.

Decides the exit code and what is said on stderr. Refuses to know any command.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launchpad.errors import Diagnostic, ExitCode, Refused

if TYPE_CHECKING:
    import click


def guarded(arguments: Sequence[str]) -> int:
    """Run the command line `arguments`; whatever happens, the exit code."""
    import click

    from launchpad.cli.group import group

    try:
        with group.make_context("launchpad", list(arguments)) as context:
            code = group.invoke(context)
        sys.stdout.flush()
        return int(code) if isinstance(code, int) else ExitCode.OK
    except Refused as refused:
        return _refused(refused)
    except BrokenPipeError:
        return _quiet_pipe()
    except (KeyboardInterrupt, click.exceptions.Abort):
        return ExitCode.INTERRUPTED
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.ClickException as error:
        return _usage(error)
    except OSError as error:
        return _of_the_system(error)
    except Exception as error:
        return _our_bug(error)


def _refused(refused: Refused) -> int:
    from launchpad.cli.screen import complain

    complain(refused.diagnostics)
    return ExitCode.REFUSED


def _of_the_system(error: OSError) -> int:
    """Some are nobody's bug, whatever the command was."""
    from launchpad.ownership import of_another_user

    if _is_of_stdout(error):
        return _unwritable(error)
    if isinstance(error, FileNotFoundError) and error.filename is None and _is_nowhere():
        return _refused(_nowhere())
    if isinstance(error, PermissionError) and (theirs := of_another_user(error.filename)) is not None:
        return _refused(theirs)
    return _our_bug(error)


def _is_nowhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _nowhere() -> Refused:
    hint = 'if there is one of its name again: `cd "$PWD"`'
    text = "the folder that you are in was deleted"
    return Refused([Diagnostic("E194", text, consequence="nothing was done", hint=hint)])


def _usage(error: click.ClickException) -> int:
    error.show()
    return ExitCode.REFUSED


def _quiet_pipe() -> int:
    """The reader went away: nothing more can be said to it, and nothing is wrong with us."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return ExitCode.OK


def _is_of_stdout(error: OSError) -> bool:
    """Errors of files have the file's name."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _unwritable(error: OSError) -> int:
    _quiet_pipe()
    print(f"launchpad: the output cannot be written: {error.strerror}", file=sys.stderr)
    return ExitCode.BROKEN


def _our_bug(error: Exception) -> int:
    """Said without the help of any view: it may be the one that failed."""
    lines = str(error).splitlines() or ["it gave no reason"]
    print(
        f"error[E901]: launchpad itself failed: {lines[0]}; the traceback is in {_keep_traceback(error)}",
        file=sys.stderr,
    )
    return ExitCode.BROKEN


def _keep_traceback(error: Exception) -> str:
    import tempfile
    import traceback

    from launchpad import __version__

    text = "".join(traceback.format_exception(error))
    descriptor, name = tempfile.mkstemp(prefix="launchpad-crash-", suffix=".txt")
    with open(descriptor, "w") as file:
        file.write(f"launchpad {__version__}, Python {sys.version}\n{' '.join(sys.argv)}\n\n{text}")
    return name
