"""What the actor answers to which request. Decides contents; refuses to know sockets and time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

from launchpad.pretend import processes
from launchpad.pretend.options import Options, size
from launchpad.pretend.output import Spam, Voice

Answer = tuple[int, dict[str, object]]
"""A status and what becomes the JSON body."""


class Answers:
    """The answers, and the three switches they depend on: ready, unhealthy, frozen."""

    def __init__(self, options: Options, voice: Voice, leave: Callable[[int], object]) -> None:
        self.options = options
        self.voice = voice
        self.leave = leave
        self.ready = threading.Event()
        self.unhealthy = threading.Event()
        self.frozen = threading.Event()
        self.started = time.monotonic()

    def __call__(self, target: str) -> Answer | None:
        """The answer to a request for this target; None: none, ever."""
        if self.frozen.is_set():
            return None
        if not self.ready.is_set():
            loading = self.options.loading
            return (int(loading), {"status": "loading"}) if loading.isdigit() else None
        path, _, query = target.partition("?")
        return self._tell(path) or self._obey(path, _parameters(query))

    def _tell(self, path: str) -> Answer | None:
        match path:
            case "/health":
                return (500, {"status": "unhealthy"}) if self.unhealthy.is_set() else (200, {"status": "ok"})
            case "/":
                uptime_s = round(time.monotonic() - self.started, 3)
                return 200, {"name": self.options.name, "pid": os.getpid(), "uptime_s": uptime_s}
            case "/v1/models":
                model = {"id": self.options.name, "object": "model", "created": 0, "owned_by": "launchpad"}
                return 200, {"object": "list", "data": [model]}
            case "/env":
                return 200, {name: os.environ.get(name) for name in self.options.show_env}
        return None

    def _obey(self, path: str, parameters: dict[str, str]) -> Answer:
        """The requests that make something happen."""
        match path:
            case "/spam":
                return self._spam(parameters.get("bytes", "64KB"))
            case "/print":
                self.voice.say(parameters.get("text", ""))
            case "/unhealthy":
                self.unhealthy.set()
            case "/freeze":
                self.frozen.set()
            case "/exit":
                code = parameters.get("code", "0")
                if not code.isdigit():
                    return 400, {"error": f"not an exit code: {code}"}
                self.leave(int(code))
            case "/crash":
                processes.die_of(signal.Signals[self.options.crash_with])
            case _:
                return 404, {"error": f"{self.options.name} has no {path}"}
        return 200, {"done": path}

    def _spam(self, text: str) -> Answer:
        try:
            amount = size(text)
        except Exception as error:
            return 400, {"error": str(error)}
        Spam().write(amount)
        return 200, {"printed": amount}


def _parameters(query: str) -> dict[str, str]:
    import urllib.parse  # late: most rehearsals never get here

    return dict(urllib.parse.parse_qsl(query))


def to_json(content: dict[str, object]) -> bytes:
    """One line of JSON."""
    import json

    return json.dumps(content).encode() + b"\n"
