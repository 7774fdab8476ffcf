"""The arguments of `launchpad pretend`: reads and checks them, and refuses to know what they lead to."""

from __future__ import annotations

import argparse
import os
import re

NEVER = float("inf")
CRASHES = ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")

DESCRIPTION = """\
An actor for rehearsals: a server or a job that is slow, loud, deaf or broken exactly as you say. Put it into a
stack file in place of the real program and see what the stack does.

It serves HTTP when it has a port (--port, or PORT in its environment, or --fd), and it lives until it is stopped,
unless --exit, --crash-after or a request ends it. All options combine. Durations: 500ms, 2s, 5m. Sizes: 64KB, 100MB.
"""

EPILOG = """\
what it serves:
  /health               200, or 500 once unhealthy        /exit?code=3      ends with that exit code
  /                     name, pid, uptime                 /crash            ends as --crash-with says
  /v1/models            a list with one model             /unhealthy        from now on /health gives 500
  /env                  the names of --show-env           /freeze           from now on nothing is answered
  /spam?bytes=64KB      prints that much, then answers    /print?text=HELLO prints a line

examples:
  a server that takes 90 s to load, says 503 meanwhile, and ignores SIGTERM:
    launchpad pretend --port 8000 --ready-after 90s --loading 503 --ignore-term
  a server that blocks when nobody reads its output (ask for /spam?bytes=1MB):
    launchpad pretend --port 8000
  a job that works for 10 s, prints a line every second and fails:
    launchpad pretend --print "step {n}" --every 1s --exit 1 --after 10s
  a program that leaves a daemon behind:
    launchpad pretend --fork double --pids pids.txt --exit 0
"""


class Options(argparse.Namespace):
    """What was asked for. Durations are in seconds, sizes in bytes; None means not asked for."""

    name: str
    port: int | None
    bind: str
    fd: int | None
    reuse: bool
    reuse_port: bool
    show_env: list[str]
    ready_after: float
    ready_when: str | None
    loading: str
    busy: bool
    log_line: str | None
    touch: str | None
    notify: bool
    print: list[str]
    stderr: list[str]
    every: float | None
    flush: bool
    spam: int
    spam_rate: int | None
    exit: int | None
    after: float | None
    exit_when: str | None
    crash_after: float | None
    crash_with: str
    unhealthy_after: float | None
    freeze_after: float | None
    ignore_term: bool
    term_after: float | None
    term_exit: int | None
    survive: list[str]
    fork: list[str]
    fork_for: float
    pids: str | None
    mark: str | None


def duration(text: str) -> float:
    """Seconds from `500ms`, `2s`, `5m`, `1h`, a bare number of seconds, or `never`."""
    if text == "never":
        return NEVER
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"not a duration: `{text}` (like 500ms, 2s, 5m)")
    return float(found[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}[found[2]]


def size(text: str) -> int:
    """Bytes from `64KB`, `100MB` (powers of 1000), `64KiB` (of 1024), or a bare number."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|KiB|MiB|GiB)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"not a size: `{text}` (like 64KB, 100MB)")
    factors = {"KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
    return int(float(found[1]) * factors.get(found[2], 1))


def rate(text: str) -> int:
    """Bytes per second from `1MB/s` or `1MB`."""
    bytes_per_second = size(text.removesuffix("/s"))
    if not bytes_per_second:
        raise argparse.ArgumentTypeError("the rate must be above zero")
    return bytes_per_second


def port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(
            f"not a port: `{text}` (1 to 65535; 0 for any, which is then printed)"
        )
    return int(text)


def loading(text: str) -> str:
    if text in ("refused", "bound", "silent") or re.fullmatch(r"[1-5]\d\d", text):
        return text
    raise argparse.ArgumentTypeError(
        f"`{text}` is none of refused, bound, silent, or a status such as 503, 400"
    )


def fork_kind(text: str) -> str:
    if text in ("plain", "setsid", "double", "leader-exits", "wrapper") or re.fullmatch(
        r"bomb:[1-9]\d{0,3}", text
    ):
        return text
    raise argparse.ArgumentTypeError(
        f"`{text}` is none of plain, setsid, double, leader-exits, wrapper, bomb:N"
    )


def signal_name(text: str) -> str:
    import signal

    name = text if text.startswith("SIG") else f"SIG{text}"
    if name not in signal.Signals.__members__ or name in ("SIGKILL", "SIGSTOP"):
        raise argparse.ArgumentTypeError(f"`{text}` is not a signal that can be survived, such as SIGHUP")
    return name


def parse(argv: list[str]) -> Options:
    """The options of this command line and of PORT. Exits with code 2 and a message when they make no sense."""
    parser = argparse.ArgumentParser(
        prog="launchpad pretend",
        usage="launchpad pretend [OPTION …]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=26, width=110
        ),
        allow_abbrev=False,
    )
    for add in (_add_serving, _add_readiness, _add_output, _add_ends, _add_signals, _add_processes):
        add(parser)
    options = parser.parse_args(argv, namespace=Options())
    if options.port is None and options.fd is None:
        options.port = _port_from_environment(parser)
    if options.after is not None and options.exit is None:
        parser.error("--after says when to exit; add --exit CODE")
    if sum(kind in ("leader-exits", "wrapper") for kind in options.fork) > 1:
        parser.error("--fork leader-exits and --fork wrapper exclude each other")
    return options


def _port_from_environment(parser: argparse.ArgumentParser) -> int | None:
    text = os.environ.get("PORT", "")
    try:
        return port(text) if text else None
    except argparse.ArgumentTypeError as error:
        parser.error(f"PORT in the environment: {error}")


def _add_serving(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("serving")
    group.add_argument(
        "--port", type=port, metavar="P", help="serve HTTP on this port (default: PORT, if set)"
    )
    group.add_argument(
        "--bind", default="127.0.0.1", metavar="ADDRESS", help="such as 127.0.0.1 (default), ::1, 0.0.0.0"
    )
    group.add_argument(
        "--fd", type=int, metavar="N", help="serve on this inherited listening socket; binds nothing"
    )
    group.add_argument("--no-reuse", dest="reuse", action="store_false", help="bind without SO_REUSEADDR")
    group.add_argument("--reuse-port", action="store_true", help="bind with SO_REUSEPORT")
    group.add_argument("--name", default="pretend", help="what it calls itself in answers, output and marks")
    group.add_argument(
        "--show-env", action="append", default=[], metavar="NAME", help="shown at /env; repeatable"
    )


def _add_readiness(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("becoming ready")
    group.add_argument(
        "--ready-after", type=duration, default=0.0, metavar="T", help="or `never`; default: at once"
    )
    group.add_argument(
        "--ready-when", metavar="FIFO", help="ready once somebody opens this named pipe for writing"
    )
    group.add_argument(
        "--loading",
        type=loading,
        default="refused",
        metavar="HOW",
        help="until ready: refused (default; not bound), bound (and not listening), silent (accepts, never answers), "
        "or a status: 503, 400",
    )
    group.add_argument("--busy", action="store_true", help="burn one core until ready")
    group.add_argument("--log-line", metavar="TEXT", help="print this when ready")
    group.add_argument("--touch", metavar="FILE", help="create this file when ready")
    group.add_argument("--notify", action="store_true", help="send READY=1 to NOTIFY_SOCKET when ready")


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output ({n}, {pid} and {name} are filled in)")
    group.add_argument(
        "--print", action="append", default=[], metavar="TEXT", help="a line on stdout; repeatable"
    )
    group.add_argument(
        "--stderr", action="append", default=[], metavar="TEXT", help="a line on stderr; repeatable"
    )
    group.add_argument("--every", type=duration, metavar="T", help="print those lines again and again")
    group.add_argument(
        "--no-flush",
        dest="flush",
        action="store_false",
        help="leave stdout buffered as Python does by itself",
    )
    group.add_argument(
        "--spam", type=size, default=0, metavar="SIZE", help="numbered lines, before it becomes ready"
    )
    group.add_argument(
        "--spam-rate",
        type=rate,
        metavar="SIZE/s",
        help="spread them out beside the rest; without --spam: for ever",
    )


def _add_ends(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("ending and failing")
    group.add_argument(
        "--exit", type=int, metavar="CODE", help="end with this exit code (once ready, or --after)"
    )
    group.add_argument("--after", type=duration, metavar="T", help="counted from the start")
    group.add_argument(
        "--exit-when", metavar="FIFO", help="end once somebody opens this named pipe for writing"
    )
    group.add_argument(
        "--crash-after", type=duration, metavar="T", help="die of a signal, counted from the start"
    )
    group.add_argument("--crash-with", choices=CRASHES, default="SIGKILL", help="by default SIGKILL")
    group.add_argument(
        "--unhealthy-after", type=duration, metavar="T", help="then /health gives 500; counted from readiness"
    )
    group.add_argument(  # Pythons differ in how they show two names of one option
        "--alive-for", dest="unhealthy_after", type=duration, default=None, help=argparse.SUPPRESS
    )
    group.add_argument(
        "--freeze-after", type=duration, metavar="T", help="then it accepts and never answers; likewise"
    )


def _add_signals(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("being told to stop (SIGTERM, SIGINT, SIGQUIT, SIGHUP)")
    group.add_argument("--ignore-term", action="store_true", help="ignore them all; only SIGKILL ends it")
    group.add_argument(
        "--term-after", type=duration, metavar="T", help="take this long, then exit with code 0"
    )
    group.add_argument(
        "--term-exit", type=int, metavar="CODE", help="exit with this code instead of dying of the signal"
    )
    group.add_argument(
        "--survive",
        type=signal_name,
        action="append",
        default=[],
        metavar="SIGNAL",
        help="print it, mark it, go on",
    )


def _add_processes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("other processes and evidence")
    group.add_argument(
        "--fork",
        type=fork_kind,
        action="append",
        default=[],
        metavar="KIND",
        help="leave a process behind: plain (a child), setsid (in a session of its own), double (a daemon), bomb:N (a "
        "tree of N, every other one in its own session), leader-exits (the program goes on in a child, the first "
        "process exits 0), wrapper (likewise, but the first process waits for it); repeatable",
    )
    group.add_argument(
        "--fork-for", type=duration, default=600.0, metavar="T", help="how long those live (default 10m)"
    )
    group.add_argument("--pids", metavar="FILE", help="each process left behind appends a line with its pid")
    group.add_argument(
        "--mark",
        metavar="FILE",
        help="append `time-ns name event pid` at start, ready, exit and for each signal",
    )
