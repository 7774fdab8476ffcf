"""The actor's life: start, loading, ready, end. Decides what happens when; how it is done is in the modules beside."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

from launchpad.pretend import processes
from launchpad.pretend.answers import Answers, to_json
from launchpad.pretend.options import NEVER, Options
from launchpad.pretend.output import Spam, Voice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launchpad.pretend.server import Server

STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP")
CONTINUING_FORKS = ("leader-exits", "wrapper")


class Actor:
    """One rehearsal in one process."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.voice = Voice(options.name, flush=options.flush)
        self.answers = Answers(options, self.voice, self.leave)
        self.server: Server | None = None
        self.stopping = False

    def play(self) -> int:
        """Live the whole life. It ends by leaving the process, from whatever thread; it does not return."""
        self._mark("start")
        self._fork()
        self._listen_to_signals()
        self._plan_ends()
        self._open(loading=True)
        self._speak()
        self._load()
        self._become_ready()
        self._plan_troubles()
        return self._go_on()

    def leave(self, code: int) -> None:
        """End the process with this exit code, from any thread."""
        self._mark("exit")
        self.voice.finish()
        os._exit(code & 0xFF)

    # --- start -----------------------------------------------------------------------------------------------------

    def _fork(self) -> None:
        """Before any thread and any handler, so that those left behind are plain: deaf, or with default signals."""
        asked = self.options
        for name in STOP_SIGNALS:
            signal.signal(signal.Signals[name], signal.SIG_IGN if asked.ignore_term else signal.SIG_DFL)
        for kind in asked.fork:
            if kind not in CONTINUING_FORKS:
                processes.leave_behind(kind, asked.pids, asked.fork_for)
        for kind in CONTINUING_FORKS:
            if kind in asked.fork:
                processes.go_on_in_child(wait=kind == "wrapper")
                self._mark("child")
                if asked.pids:
                    processes.append_line(asked.pids, str(os.getpid()))

    def _open(self, *, loading: bool) -> None:
        """Do with the port what is due in this phase. An inherited socket listens already, whatever the phase."""
        asked = self.options
        if asked.port is None and asked.fd is None:
            return
        from launchpad.pretend.server import Server  # late: a job needs no sockets

        self.server = self.server or Server(self._answer)
        try:
            if asked.fd is not None or asked.loading != "refused" or not loading:
                self._take_port(self.server)
            if asked.loading not in ("refused", "bound") or not loading:
                self._accept(self.server)
        except OSError as error:
            where = f"descriptor {asked.fd}" if asked.fd is not None else f"{asked.bind} port {asked.port}"
            self.voice.complain(f"{asked.name}: cannot serve on {where}: {error.strerror or error}")
            self.leave(1)

    def _take_port(self, server: Server) -> None:
        asked = self.options
        if server.socket:
            return
        if asked.fd is not None:
            server.adopt(asked.fd)
        else:
            server.bind(asked.bind, asked.port or 0, reuse=asked.reuse, reuse_port=asked.reuse_port)

    def _accept(self, server: Server) -> None:
        if server.accepting:
            return
        server.start()
        if self.options.port == 0:
            self.voice.say(f"{self.options.name}: serving on {self.options.bind} port {server.port}")

    def _answer(self, target: str) -> tuple[int, bytes] | None:
        answer = self.answers(target)
        return (answer[0], to_json(answer[1])) if answer else None

    def _speak(self) -> None:
        self._print_round()
        rate = self.options.spam_rate
        if rate:
            amount = self.options.spam or NEVER
            _in_thread(lambda: Spam().drip(amount, rate))
        else:
            Spam().write(self.options.spam)

    def _load(self) -> None:
        if self.options.busy:
            _in_thread(self._burn)
        if self.options.ready_when:
            _wait_for_pipe(self.options.ready_when)
        _sleep(self.options.ready_after)

    def _burn(self) -> None:
        while not self.answers.ready.is_set():
            sum(range(10_000))

    def _become_ready(self) -> None:
        self.answers.ready.set()  # before the port opens: whoever can connect is answered
        self._open(loading=False)
        self._mark("ready")
        if self.options.log_line is not None:
            self.voice.say(self.options.log_line)
        if self.options.touch:
            with open(self.options.touch, "a", encoding="utf-8"):
                os.utime(self.options.touch)
        if self.options.notify:
            self._notify()

    def _notify(self) -> None:
        """systemd's protocol: a datagram to NOTIFY_SOCKET; a leading @ is an abstract address."""
        import socket

        address = os.environ.get("NOTIFY_SOCKET")
        if not address:
            self.voice.complain(f"{self.options.name}: NOTIFY_SOCKET is not set, nobody was notified")
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)

    # --- what comes later ------------------------------------------------------------------------------------------

    def _plan_ends(self) -> None:
        asked = self.options
        code = asked.exit or 0
        if asked.after is not None:
            _later(asked.after, lambda: self.leave(code))
        if asked.exit_when:
            path = asked.exit_when
            _in_thread(lambda: self._leave_when(path, code))
        if asked.crash_after is not None:
            _later(asked.crash_after, lambda: processes.die_of(signal.Signals[asked.crash_with]))

    def _leave_when(self, pipe: str, code: int) -> None:
        _wait_for_pipe(pipe)
        self.leave(code)

    def _plan_troubles(self) -> None:
        if self.options.unhealthy_after is not None:
            _later(self.options.unhealthy_after, self.answers.unhealthy.set)
        if self.options.freeze_after is not None:
            _later(self.options.freeze_after, self.answers.frozen.set)

    def _go_on(self) -> int:
        """The main thread's part once ready. Python handles signals in this thread; all its waits let them in."""
        asked = self.options
        if asked.exit is not None and asked.after is None and not asked.exit_when:
            self.leave(asked.exit)
        while True:
            _sleep(NEVER if asked.every is None else asked.every)
            self._print_round()

    def _print_round(self) -> None:
        asked = self.options
        self.voice.round += 1
        for text in asked.print or (["tick {n}"] if asked.every is not None and not asked.stderr else []):
            self.voice.say(text)
        for text in asked.stderr:
            self.voice.complain(text)

    def _mark(self, event: str) -> None:
        if self.options.mark:
            processes.append_line(
                self.options.mark, f"{time.time_ns()} {self.options.name} {event} {os.getpid()}"
            )

    # --- signals ---------------------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        for name in {*STOP_SIGNALS, *self.options.survive}:
            signal.signal(signal.Signals[name], self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        name = signal.Signals(number).name
        self._mark(name)
        if name in self.options.survive:
            self.voice.say(f"{self.options.name}: got {name}")
        elif not self.options.ignore_term:
            self._stop(number)

    def _stop(self, number: int) -> None:
        asked = self.options
        if asked.term_after is not None:
            if not self.stopping:
                self.stopping = True
                _later(asked.term_after, lambda: self.leave(asked.term_exit or 0))
        elif asked.term_exit is not None:
            self.leave(asked.term_exit)
        else:
            self._mark("exit")
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _sleep(duration_s: float) -> None:
    time.sleep(min(duration_s, 10**8))


def _later(delay_s: float, action: Callable[[], object]) -> None:
    def wait_and_act() -> None:
        _sleep(delay_s)
        action()

    _in_thread(wait_and_act)


def _in_thread(action: Callable[[], object]) -> None:
    threading.Thread(target=action, daemon=True).start()


def _wait_for_pipe(path: str) -> None:
    """Until somebody opens this named pipe for writing: an event that a test can fire without any clock."""
    with open(path, "rb"):
        pass
