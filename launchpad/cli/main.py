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
    try:
        from launchpad.cli.outcome import guarded

        code = guarded(arguments)
    except KeyboardInterrupt:  # before there was anything to guard
        code = 130
    sys.exit(code)
