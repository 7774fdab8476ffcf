"""The entry of the program: what has to be answered before anything is imported, and the last word on
whatever went wrong. Decides exit codes; refuses to know any command.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process and exit with its code (`errors.ExitCode`)."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["--version"], ["-V"]):
        from launchpad import __version__

        print(f"launchpad {__version__}")
        sys.exit(0)
    _leave_when_interrupted()
    from launchpad.cli.outcome import guarded

    sys.exit(guarded(arguments))


def _leave_when_interrupted() -> None:
    """Ctrl-C ends launchpad at once until a command that has something to end says otherwise. Python's own way,
    an exception out of nowhere, gets lost or turns into another one in the middle of an import."""
    import os
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
