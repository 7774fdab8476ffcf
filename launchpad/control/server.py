"""The control socket: HTTP over a unix socket that only this user can reach.

Starlette and uvicorn's protocol do the work; they are imported after the first processes run. uvicorn's
own `Server` is not used: it wakes up ten times a second and installs signal handlers.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launchpad.control.api import Reply, Snapshot, to_json
from launchpad.control.guests import Guests
from launchpad.control.pace import Pace
from launchpad.control.requests import FIELDS, MAX_BODY, Malformed, body_of
from launchpad.errors import Diagnostic, Refused

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from launchpad.runtime.control import Control

MAX_WAIT_S = 60.0
LAST_ANSWERS_S = 0.5


def app(control: Control, pace: Pace) -> Starlette:
    """The ASGI application over what a supervisor offers."""
    from starlette.applications import Starlette
    from starlette.requests import ClientDisconnect
    from starlette.routing import Route

    async def status(request: Request) -> Response:
        await pace.turn()
        try:
            revision, wait = _moment(request.query_params)
        except Malformed as why:
            return _answer(_bad(str(why)), 400)
        return _answer(await control.status(revision, wait))

    async def ask(request: Request) -> Response:
        await pace.turn()
        verb = request.url.path.rpartition("/")[2]
        try:
            reply = await control.ask(verb, body_of(verb, await _content(request)))
        except Refused as refused:
            return _answer(Reply(False, diagnostics=refused.diagnostics), 409)
        except Malformed as why:
            return _answer(_bad(str(why)), 400)
        except ClientDisconnect:
            return _answer(_bad("the request was cut short"), 400)
        return _answer(reply)

    async def described(request: Request) -> Response:
        from launchpad.control.openapi import document

        return _json(document())

    async def unknown(request: Request, error: Any) -> Response:
        where = f"{request.method} {request.url.path}"
        return _answer(_bad(f"there is no request {where}"), error.status_code, error.headers)

    routes = [Route(f"/v1/{verb}", ask, methods=["POST"]) for verb in FIELDS]
    routes += [Route("/v1/status", status), Route("/v1/openapi.json", described)]
    return Starlette(routes=routes, exception_handlers={404: unknown, 405: unknown})


def _moment(query: Mapping[str, str]) -> tuple[int | None, float]:
    """After which revision, and for how many seconds at most."""
    after, timeout = query.get("after"), query.get("timeout", "0")
    try:
        revision, wait = None if after is None else int(after), float(timeout)
    except ValueError:
        raise Malformed("`after` and `timeout` are numbers") from None
    if not wait >= 0:  # nor is it when it is not a number at all
        raise Malformed("`timeout` is 0 or more")
    return revision, min(MAX_WAIT_S, wait)


def _answer(value: Reply | Snapshot, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return _json(to_json(value), status, headers)


def _json(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """ASCII: paths may hold bytes that are no UTF-8. One question for each connection: what is left of a request that
    was refused is not waited for."""
    from starlette.responses import Response

    content = json.dumps(data)
    return Response(
        content, status, {**(headers or {}), "Connection": "close"}, media_type="application/json"
    )


async def _content(request: Request) -> bytes:
    size = 0
    parts = []
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise Malformed("the request is larger than 1 MB")
        parts.append(part)
    return b"".join(parts)


def _bad(text: str) -> Reply:
    return Reply(False, diagnostics=(Diagnostic("E602", text, consequence="nothing was done"),))


def bind(path: Path) -> socket.socket:
    """A listening socket at `path`, mode 0600, in a folder that only this user may enter. The caller
    holds the stack's lock, so whatever is at that path is left over from a supervisor that is gone."""
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = os.lstat(folder)
    if info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a private folder of this user")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(old)
    listener.listen(128)
    listener.setblocking(False)
    return listener


def is_own(peer: socket.socket) -> bool:
    """Whether the process at the other end runs as this user, or as root, from whom nothing is kept anyway."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid in (os.getuid(), 0)


def _hand_on_errors(loop: asyncio.AbstractEventLoop) -> None:
    """uvicorn would print them where the stack's output is shown. What a client did wrong is no news at all."""
    import logging

    class ToLoop(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1] is not None:
                context = {"message": record.getMessage(), "exception": record.exc_info[1]}
                loop.call_exception_handler(context)

    logger = logging.getLogger("uvicorn.error")
    logger.handlers, logger.propagate = [ToLoop()], False


class ControlServer:
    """A running server; `close` lets requests that are under way end first."""

    def __init__(self, server: asyncio.Server, tasks: set[asyncio.Task[None]]) -> None:
        self._server = server
        self._tasks = tasks

    async def close(self) -> None:
        self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_ANSWERS_S)


async def serve(control: Control, path: Path) -> ControlServer:
    """Listen at `path`."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.server import ServerState

    config = uvicorn.Config(
        app(control, Pace()), log_config=None, access_log=False, lifespan="off", ws="none"
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    _hand_on_errors(loop)

    guests = Guests()

    class OwnOnly(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if is_own(transport.get_extra_info("socket")):
                guests.came(self)
            else:
                transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            guests.left(self)
            super().connection_lost(exc)

    def protocol() -> OwnOnly:
        return OwnOnly(config=config, server_state=state, app_state={}, _loop=loop)

    return ControlServer(await loop.create_unix_server(protocol, sock=bind(path)), state.tasks)
