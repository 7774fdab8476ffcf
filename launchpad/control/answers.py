"""What the control socket answers: which questions there are, and how each is put to the supervisor.

Decides the status of every answer. Whatever goes wrong in carrying one out is an answer, too, and is told to the loop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

from launchpad.control.api import VERSION, Reply, Snapshot, to_json
from launchpad.control.conversation import Answer, Question
from launchpad.control.pace import Pace
from launchpad.control.requests import FIELDS, Malformed, body_of
from launchpad.errors import Diagnostic, Refused

MAX_WAIT_S = 60.0
ROOT = f"/v{VERSION}/"
READ = ("status", "openapi.json")


class Control(Protocol):
    """What carries out what is asked. Raises Refused."""

    async def status(self, after: int | None, timeout_s: float) -> Snapshot: ...

    async def ask(self, verb: str, body: dict[str, Any]) -> Reply: ...


class Answers:
    def __init__(self, control: Control, pace: Pace) -> None:
        self._control, self._pace = control, pace

    async def answer(self, question: Question) -> Answer:
        """Never raises."""
        try:
            return await self._answer(question)
        except Refused as refused:
            return _said(Reply(False, diagnostics=refused.diagnostics), 409)
        except Malformed as why:
            return _bad(str(why), 400)
        except Exception as error:
            context = {"message": f"{question.method} {question.target}", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            what = Diagnostic("E901", "launchpad itself failed", notes=("see `supervisor.log`",))
            return _said(Reply(False, diagnostics=(what,)), 500)

    async def _answer(self, question: Question) -> Answer:
        if question.problem:
            raise Malformed(question.problem)
        path, _, query = question.target.partition("?")
        what = path.removeprefix(ROOT) if path.startswith(ROOT) else ""
        if what not in FIELDS and what not in READ:
            return _unknown(question, path, 404)
        allowed = ("GET", "HEAD") if what in READ else ("POST",)
        if question.method not in allowed:
            return _unknown(question, path, 405, {"allow": ", ".join(allowed)})
        await self._pace.turn()
        if what == "status":
            return _said(await self._control.status(*_moment(dict(parse_qsl(query, keep_blank_values=True)))))
        if what in READ:
            from launchpad.control.openapi import document

            return _json(document(), 200)
        return _said(await self._control.ask(what, body_of(what, bytes(question.body))))


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


def _said(value: Reply | Snapshot, status: int = 200, headers: Mapping[str, str] = {}) -> Answer:
    return _json(to_json(value), status, headers)


def _json(data: Any, status: int, headers: Mapping[str, str] = {}) -> Answer:
    """ASCII: paths may hold bytes that are no UTF-8."""
    return Answer(status, json.dumps(data).encode("ascii"), headers)


def _unknown(question: Question, path: str, status: int, headers: Mapping[str, str] = {}) -> Answer:
    return _bad(f"there is no request {question.method} {path}", status, headers)


def _bad(text: str, status: int, headers: Mapping[str, str] = {}) -> Answer:
    what = Diagnostic("E602", text, consequence="nothing was done")
    return _said(Reply(False, diagnostics=(what,)), status, headers)
