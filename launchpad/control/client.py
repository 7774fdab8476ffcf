"""The asking side of the control socket: one short HTTP exchange per question.

Decides how a question is put and what a bad answer means. Refuses to know what is done with the
answer. Standard library only, because `ps` has to be quick.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from launchpad.control.api import VERSION, Reply, Snapshot, from_json
from launchpad.errors import Diagnostic, Refused

T = TypeVar("T", Snapshot, Reply)

ANSWER_S = 30.0
"""How long a supervisor may take to answer, besides the time it was asked to wait."""


class NotRunning(ConnectionError):
    """Nobody answers at the socket: no supervisor runs, or it went away in the middle of an answer."""


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

    def apply(self, **options: Any) -> Reply:
        """Read the stack file again and apply it, or refuse. `options`: names, all, profiles, set_vars, env_files."""
        return self._post("apply", options)

    def diff(self) -> Reply:
        """What `apply` would change; refused as that would be, but for ports, which are not tried."""
        return self._post("diff", {})

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
        connection = _UnixConnection(self.socket_path, wait_s)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        except TimeoutError:
            raise _problem(
                "E603",
                f"the supervisor has not answered for {wait_s:.0f} s",
                f"it holds the socket {self.socket_path}, but is stopped or overloaded",
                "if it was suspended, `kill -CONT` it; `launchpad down` ends the stack",
            ) from None
        except PermissionError:
            raise _problem(
                "E604", "the control socket belongs to another user", str(self.socket_path), ""
            ) from None
        except (OSError, http.client.IncompleteRead) as error:
            raise NotRunning(str(error)) from None
        except http.client.HTTPException as error:
            raise self._unreadable(f"it is not HTTP ({type(error).__name__})") from None
        finally:
            connection.close()

    def _parse(self, status: int, raw: bytes) -> dict[str, Any]:
        try:
            data = json.loads(raw)
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


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("launchpad", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _problem(code: str, message: str, note: str, hint: str) -> Refused:
    return Refused([Diagnostic(code, message, notes=(note,), consequence="nothing was changed", hint=hint)])
