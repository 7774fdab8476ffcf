"""The HTTP side of the actor: a small threaded HTTP/1.1 server over plain sockets.

Decides how requests are read and answers framed; what the answer is, it asks of a function. Written here rather than
taken from `http.server` because the actor must also be able to answer nothing at all, and to start in a few
milliseconds.
"""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Callable

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
NONSENSE = (400, b'{"error": "this is not HTTP/1"}\n')
MAX_HEAD = 64 * 1024
MAX_BODY = 16 * 1024 * 1024


class Server:
    """One listening socket, a thread for each connection.

    `answer(target)` gives a status and a JSON body, or None for "never answer this".
    """

    def __init__(self, answer: Callable[[str], tuple[int, bytes] | None]) -> None:
        self.answer = answer
        self.socket: socket.socket | None = None
        self.accepting = False

    def bind(self, address: str, port: int, *, reuse: bool, reuse_port: bool) -> None:
        """Take the port without listening yet. OSError when it cannot be had."""
        family, _, _, _, where = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if reuse:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.bind(where)

    def adopt(self, descriptor: int) -> None:
        """Serve on a listening socket that was passed to this process. OSError when it is none."""
        inherited = socket.socket(fileno=descriptor)
        os.set_inheritable(descriptor, False)
        if not inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            inherited.detach()
            raise OSError(f"descriptor {descriptor} does not listen")
        inherited.setblocking(True)
        self.socket = inherited

    @property
    def port(self) -> int | None:
        return int(self.socket.getsockname()[1]) if self.socket else None

    def start(self) -> None:
        """Listen, unless the socket does already, and accept connections from now on. OSError when it cannot listen."""
        assert self.socket is not None
        if not self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            self.socket.listen(512)
        self.accepting = True
        threading.Thread(target=self._accept, args=(self.socket,), name="accept", daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except ConnectionError:
                continue
            threading.Thread(target=self._serve, args=(connection,), name="connection", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while self._exchange(connection, stream):
                    pass
        except OSError:
            pass  # the client went away: nothing to tell anybody

    def _exchange(self, connection: socket.socket, stream: io.BufferedReader) -> bool:
        """Answer one request. False when the connection is finished."""
        request = read_request(stream)
        if request is None:
            return False
        method, target, keep = request
        answer = self.answer(target) if method else NONSENSE
        if answer is None:
            while connection.recv(65536):
                pass  # held open, unanswered, until the client gives up
            return False
        connection.sendall(frame(*answer, body=method != "HEAD", keep=keep))
        return keep


def read_request(stream: io.BufferedReader) -> tuple[str, str, bool] | None:
    """Method, target and whether the connection stays open; an empty method for nonsense; None at the end."""
    line = stream.readline(MAX_HEAD)
    if not line:
        return None
    parts = line.decode("latin-1").split()
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        return "", "", False
    headers: dict[str, str] = {}
    while (header := stream.readline(MAX_HEAD)) not in (b"\r\n", b"\n", b""):
        name, _, value = header.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return parts[0], parts[1], _skip_body(stream, headers) and _stays_open(parts[2], headers)


def _stays_open(version: str, headers: dict[str, str]) -> bool:
    wish = headers.get("connection", "").lower()
    return wish == "keep-alive" if version == "HTTP/1.0" else wish != "close"


def _skip_body(stream: io.BufferedReader, headers: dict[str, str]) -> bool:
    """Read past the body. False when its end is not known, so that the connection must be closed."""
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_BODY:
        return False
    stream.read(int(length))
    return True


def frame(status: int, content: bytes, *, body: bool, keep: bool) -> bytes:
    """The bytes of a response. `body` is false for HEAD."""
    head = (
        f"HTTP/1.1 {status} {REASONS.get(status, 'Pretended')}\r\n"
        "Server: launchpad-pretend\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    return head.encode("latin-1") + (content if body else b"")
