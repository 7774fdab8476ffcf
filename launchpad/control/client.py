"""The asking side of the control socket: one short HTTP exchange per question.

Decides how a question is put and what a bad answer means. Refuses to know what is done with the
answer. No HTTP library: to import one takes longer than all the rest of `ps`, and what the supervisor speaks is known.
For the same reason `_socket`: what `socket` adds to it is for others, and takes a twentieth of `ps` to import.
"""

from __future__ import annotations

import _socket
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec.json

from launchpad.control.api import VERSION, Reply, Snapshot, from_json
from launchpad.errors import Diagnostic, Refused

T = TypeVar("T", Snapshot, Reply)

ANSWER_S = 30.0
"""How long a supervisor may take to answer, besides the time it was asked to wait."""
PART = 1 << 16
"""Bytes of an answer that are taken at once."""
LOOK_S = 0.5
"""After so long without an answer it is looked whether the supervisor is suspended: then none will come."""


class NotRunning(ConnectionError):
    """Nobody answers at the socket: no supervisor runs, or it went away in the middle of an answer."""


class Suspended(Refused):
    """There is a supervisor, and it was stopped by a signal."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        found = Diagnostic(
            "E603",
            f"the supervisor (pid {pid}) is suspended",
            notes=("its services go on; it was stopped by Ctrl-Z or SIGSTOP",),
            consequence="nothing was changed",
            hint=f"wake it: `kill -CONT {pid}`, or `fg` in its terminal; `launchpad down` ends the stack",
        )
        super().__init__([found])


class Client:
    """Asks the supervisor behind one control socket. Holds no connection between questions, so one
    client may be used from several threads and outlives a supervisor."""

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path

    def status(self, after: int | None = None, timeout_s: float = 0) -> Snapshot:
        """The stack now; with `after`, once it is newer than that revision or `timeout_s` is over."""
        query = "" if after is None else f"?after={after}&timeout={timeout_s:g}"
        return self._ask(Snapshot, "GET", f"/v1/status{query}", None, ANSWER_S + timeout_s)

    def wait(self, after_rev: int, timeout_s: float) -> Snapshot:
        """`status` as a feed for views."""
        return self.status(after_rev, timeout_s)

    def start(self, names: Sequence[str]) -> Reply:
        return self._post("start", {"names": list(names)})

    def stop(self, names: Sequence[str]) -> Reply:
        return self._post("stop", {"names": list(names)})

    def restart(self, names: Sequence[str]) -> Reply:
        return self._post("restart", {"names": list(names)})

    def down(self, kill: bool = False) -> Reply:
        """Ask for the end of the stack; answered at once. `kill`: no more grace."""
        return self._post("down", {"kill": kill})

    def apply(self, told: Callable[[str], None] = lambda text: None, **options: Any) -> Reply:
        """Read the stack file again and apply it, or refuse. `options`: names (or `all`, for whatever a plain `up` would
        start), profiles, set_vars, env_files, yes. `told` gets what it waits for."""
        return self._until_done("apply", options, told)

    def reload(self, *, yes: bool = False, told: Callable[[str], None] = lambda text: None) -> Reply:
        """Apply the file with the options that the stack has. `yes`: also what waits for a confirmation."""
        return self._until_done("reload", {"yes": yes}, told)

    def _until_done(self, action: str, body: dict[str, Any], told: Callable[[str], None]) -> Reply:
        """What takes minutes is asked again and again: so it is seen that the supervisor lives, and what it does."""
        reply, said = self._post(action, body), ""
        while reply.ok and reply.waits:
            if reply.waits != said:
                told(reply.waits)
                said = reply.waits
            reply = self._post(action, {**body, "again": True})
        return reply

    def scale(
        self,
        counts: Mapping[str, int],
        *,
        yes: bool = False,
        told: Callable[[str], None] = lambda text: None,
    ) -> Reply:
        """So many copies of each, and the file applied as with `reload`."""
        return self._until_done("scale", {"scale": dict(counts), "yes": yes}, told)

    def diff(self, **options: Any) -> Reply:
        """What `apply` with these options would do; nothing is done. `retry`: as `up` does it, which tries again
        what has failed."""
        return self._post("diff", options)

    def _post(self, action: str, body: dict[str, Any]) -> Reply:
        return self._ask(Reply, "POST", f"/v1/{action}", body, ANSWER_S)

    def _ask(self, cls: type[T], method: str, path: str, body: dict[str, Any] | None, wait_s: float) -> T:
        status, raw = self._exchange(method, path, body, wait_s)
        data = self._parse(status, raw)
        if status == 200 or "ok" in data or "rev" in data:
            try:
                return from_json(cls, data)
            except TypeError as error:
                raise self._unreadable(f"a part is missing in it ({error})") from None
        raise self._unreadable(f"it answered {status} to {method} {path}")

    def _exchange(
        self, method: str, path: str, body: dict[str, Any] | None, wait_s: float
    ) -> tuple[int, bytes]:
        try:
            raw = _converse(self.socket_path, _request(method, path, body), wait_s, look=wait_s <= ANSWER_S)
        except TimeoutError:
            raise _problem(
                "E603",
                f"the supervisor has not answered for {wait_s:.0f} s",
                f"it holds the socket {self.socket_path}, but is overloaded",
                "`launchpad down` ends the stack",
            ) from None
        except PermissionError:
            raise _problem(
                "E604",
                "the folder for control sockets belongs to another user",
                str(self.socket_path.parent),
                "name a folder of your own: `export XDG_RUNTIME_DIR=$HOME`",
            ) from None
        except OSError as error:
            raise NotRunning(str(error)) from None
        status, answer = _answer(raw)
        if status is None:
            raise self._unreadable("it is not HTTP")
        return status, answer

    def _parse(self, status: int, raw: bytes) -> dict[str, Any]:
        try:
            data = _decoded(raw)
        except ValueError:
            raise self._unreadable(f"it answered {status} and no JSON") from None
        if not isinstance(data, dict):
            raise self._unreadable("it is not a JSON object")
        version = data.get("version", VERSION)
        if version != VERSION:
            raise _problem(
                "E601",
                "the running supervisor belongs to another version of launchpad",
                f"it speaks version {version} of the control protocol, this one speaks {VERSION}",
                "use the launchpad that started it, or stop the stack with that one and start it again",
            )
        return data

    def _unreadable(self, why: str) -> Refused:
        return _problem(
            "E602", "the supervisor's answer cannot be read", why, "`launchpad --version` on both sides"
        )


def _request(method: str, path: str, body: dict[str, Any] | None) -> bytes:
    payload = b"" if body is None else _encoded(body)
    head = [f"{method} {path} HTTP/1.1", "Host: launchpad", "Connection: close"]
    if body is not None:
        head += ["Content-Type: application/json", f"Content-Length: {len(payload)}"]
    return "\r\n".join([*head, "", ""]).encode() + payload


def _encoded(body: dict[str, Any]) -> bytes:
    """In ASCII: paths may hold bytes that are no UTF-8, and `json` alone can spell them."""
    import json

    return json.dumps(body).encode()


def _decoded(raw: bytes) -> Any:
    """Raises ValueError for what is no JSON. Only for such paths `json` is imported."""
    try:
        return msgspec.json.decode(raw)
    except ValueError:
        import json

        return json.loads(raw)


def _converse(path: Path, request: bytes, wait_s: float, *, look: bool) -> bytes:
    """All that is answered until the other side hangs up. `look`: whether there is anybody who can answer."""
    with contextlib.closing(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)) as sock:
        sock.settimeout(wait_s)
        sock.connect(str(path))
        sock.sendall(request)
        parts = [_first_part(sock, wait_s) if look else sock.recv(PART)]
        while parts[-1]:
            parts.append(sock.recv(PART))
    return b"".join(parts)


def _first_part(sock: _socket.socket, wait_s: float) -> bytes:
    """Raises Suspended when none comes, because nobody there can answer."""
    sock.settimeout(min(LOOK_S, wait_s))
    try:
        return sock.recv(PART)
    except TimeoutError:
        _look_who_answers(sock)
    sock.settimeout(wait_s)
    return sock.recv(PART)


def _look_who_answers(sock: _socket.socket) -> None:
    """Raises Suspended."""
    import struct

    size = struct.calcsize("3i")
    pid = struct.unpack("3i", sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, size))[0]
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        state = file.read().rpartition(b")")[2].split()[:1]
        if state == [b"T"]:
            raise Suspended(pid)


def _answer(raw: bytes) -> tuple[int | None, bytes]:
    """Status and body; no status for what is not HTTP. The supervisor names the length of all that it says, so that
    an answer which was cut off is known as such. Raises NotRunning for one."""
    head, end, body = raw.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if not raw or (not end and raw.startswith(b"HTTP/")):
        raise NotRunning("it went away before it had answered")
    if not end or not version.startswith("HTTP/1.") or not status.isdigit():
        return None, b""
    headers = dict(field.lower().split(":", 1) for field in fields if ":" in field)
    length = headers.get("content-length", "").strip()
    if length.isdigit() and len(body) < int(length):
        raise NotRunning("it went away in the middle of its answer")
    return int(status), body


def _problem(code: str, message: str, note: str, hint: str) -> Refused:
    return Refused([Diagnostic(code, message, notes=(note,), consequence="nothing was changed", hint=hint)])
