"""The entry of the program: what has to be answered before anything is imported, and the last word on
whatever went wrong. Decides exit codes; refuses to know any command.
"""

from __future__ import annotations

import gc
import io
import sys

GARBAGE = 100_000
"""New objects until garbage is looked for: what is imported and read before anything runs is none."""


def main() -> None:
    """Run the command line of this process and exit with its code (`errors.ExitCode`)."""
    gc.set_threshold(GARBAGE)
    _leave_when_interrupted()
    _have_streams()
    arguments = sys.argv[1:]
    if arguments[:1] in (["--version"], ["-V"]):
        from launchpad import __version__

        print(f"launchpad {__version__}")
        sys.exit(0)
    from launchpad.cli.outcome import guarded

    code = guarded(arguments)
    gc.freeze()  # what is left goes with the process; Python shall not look through it for garbage once more
    sys.exit(code)


def _have_streams() -> None:
    """A stream that was closed by whoever started us leads nowhere: else the next file that is opened would take
    its number, and be written to. What a locale cannot spell is escaped; it never ends a command."""
    import os

    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 (as long as the process)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave_when_interrupted() -> None:
    """Ctrl-C ends launchpad at once until a command that has something to end says otherwise. Python's own way,
    an exception out of nowhere, gets lost or turns into another one in the middle of an import; so the part of
    `signal` that needs no import is used."""
    import _signal  # type: ignore[import-not-found]
    import os

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, lambda *_: os._exit(130))
