"""`launchpad pretend`: one actor that behaves as badly, or as slowly, as a real server or job can.

It decides how a rehearsed program behaves: when it becomes ready, what it answers until then, how it ends, what it
leaves behind. It refuses to know launchpad: nothing here is imported from the rest of the package, and it runs as well
under any other supervisor. Standard library only and little of it, because tests start it hundreds of times.
"""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Run the actor with these arguments and return its exit code.

    Errors in the arguments exit with code 2, a port that cannot be taken with code 1. Ends that do not come from the
    main thread (a timer, a request to `/exit`, a signal) leave the process directly and do not return here.
    """
    from launchpad.pretend.options import parse

    options = parse(argv)
    from launchpad.pretend.actor import Actor

    return Actor(options).play()
