"""A supervisor that is not one: answers on a control socket what the test tells it to."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from msgspec.structs import replace

from launchpad.control.api import Reply, Snapshot, to_json

Action = Callable[["FakeSupervisor", dict[str, Any]], Reply]


class FakeSupervisor:
    """`asked` are the requests as (verb, body). What an action does is set in `actions`."""

    def __init__(self, path: Path, first: Snapshot) -> None:
        self.path = path
        self.snapshot = first
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.actions: dict[str, Action] = {}
        self.raw: bytes | None = None
        """If set, what is sent instead of any answer."""
        self._changed = threading.Condition()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._server = _Server(str(path), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def put(self, **fields: Any) -> None:
        with self._changed:
            self.snapshot = replace(self.snapshot, rev=self.snapshot.rev + 1, **fields)
            self._changed.notify_all()

    def change(self, name: str, **fields: Any) -> None:
        services = self.snapshot.services
        self.put(services=tuple(replace(v, **fields) if v.name == name else v for v in services))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.path.unlink(missing_ok=True)

    def status(self, query: dict[str, list[str]]) -> Snapshot:
        after = int(query.get("after", ["-1"])[0])
        timeout = float(query.get("timeout", ["0"])[0])
        with self._changed:
            self._changed.wait_for(lambda: self.snapshot.rev > after, timeout)
            return self.snapshot

    def ask(self, verb: str, body: dict[str, Any]) -> Reply:
        self.asked.append((verb, body))
        action = self.actions.get(verb)
        return action(self, body) if action else Reply(True)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


def _handler(fake: FakeSupervisor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(fake.status(parse_qs(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = fake.ask(self.path.rpartition("/")[2], body)
            self._answer(reply, 200 if reply.ok else 409)

        def _answer(self, value: Snapshot | Reply, status: int = 200) -> None:
            if fake.raw is not None:
                self.wfile.write(fake.raw)
                return
            content = json.dumps(to_json(value)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing to say."""

    return Handler
