"""Asks a server over the network: connects, speaks HTTP where that is wanted, and looks who it was.

The connection is tried first and by itself: as long as nobody listens that is all a probe costs. Decides what
an answer looks like in words, never whether it is time to give up.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from launchpad.core.model import Seen
from launchpad.core.wishes import Probe
from launchpad.hosts.local import descriptors
from launchpad.hosts.local.diagnose import Elsewhere, Ownership
from launchpad.hosts.local.probes_net import Knock, Names, Target, target_of
from launchpad.hosts.local.running import Running

if TYPE_CHECKING:
    from launchpad.hosts.local.probes_http import Exchange

_BLAME_EVERY_S = 1.0
_BODY_WAIT_S = 0.1
_MOST_AT_ONCE = 20
"""Probes of one check under way. One more, and the one in the middle is dropped without an answer: the
earliest are left to a slow server, the latest ask one that begins to answer just now."""
_QUOTED_CHARS = 60

Work = Callable[[], Coroutine[Any, Any, None]]
Answer = Callable[[Probe, bool, Seen], None]
Begin = Callable[[Probe, Work], "asyncio.Task[None]"]


class Asker:
    """http and tcp probes. `answer` gets one answer for each `ask`; `begin` starts a task of an attempt."""

    def __init__(self, pids: Callable[[Running], set[int]], answer: Answer, begin: Begin) -> None:
        self.names = Names()
        self._answer = answer
        self._begin = begin
        self._ownership = Ownership(pids, time.monotonic)
        self._elsewhere = Elsewhere(pids, time.monotonic)
        self._blamed: dict[tuple[int, str], tuple[float, str]] = {}
        self._loaded: dict[str, asyncio.Future[None]] = {}
        self._asking: dict[tuple[int, str], list[asyncio.Task[None]]] = {}

    async def is_loaded(self, scheme: str) -> None:
        """To import what speaks http or https takes some ten milliseconds, which a thread spends while servers are starting."""
        await asyncio.shield(self._loaded[scheme])

    def forget(self, attempt: int) -> None:
        """It has ended."""
        for key in [key for key in self._asking if key[0] == attempt]:
            del self._asking[key]
        for key in [key for key in self._blamed if key[0] == attempt]:
            del self._blamed[key]
        self._ownership.forget(attempt)
        self._elsewhere.forget(attempt)

    def ask(self, wish: Probe, running: Running) -> None:
        """Answers at once when nobody is there, else from a task."""
        try:
            target = target_of(wish.probing.target)
        except ValueError as error:
            self._answer(wish, False, Seen("error", f"cannot be asked: {error}", final=True))
            return
        if target.scheme and ((loaded := self._loaded.get(target.scheme)) is None or _has_failed(loaded)):
            self._loaded[target.scheme] = asyncio.ensure_future(asyncio.to_thread(_load, target.scheme))
        knock = Knock(target.host, target.port) if target.is_literal else None
        if knock is not None and knock.sock is not None and descriptors.are_scarce(knock.sock.fileno()):
            knock.close()
            self._answer(wish, False, Seen("error", "launchpad may not open more files at once (ulimit -n)"))
        elif knock is not None and knock.state == "refused":
            self.nobody(wish, running, knock)
        else:
            asking = _Asking(self, wish, running, target, knock)
            task = self._begin(wish, lambda: self._ask(wish, running, target, asking))
            task.add_done_callback(lambda _: asking.close())
            self._make_room(wish, task)

    def _make_room(self, wish: Probe, task: asyncio.Task[None]) -> None:
        under_way = self._asking.setdefault((wish.attempt, wish.check), [])
        under_way.append(task)
        task.add_done_callback(under_way.remove)
        if len(under_way) > _MOST_AT_ONCE:
            under_way[_MOST_AT_ONCE // 2].cancel()

    async def _ask(self, wish: Probe, running: Running, target: Target, asking: _Asking) -> None:
        try:
            async with asyncio.timeout(wish.probing.timeout_s):
                await asking.run()
        except TimeoutError:
            if not asking.answered:
                self._silent(wish, running, asking.knock or target)
        except OSError as error:
            if not asking.answered:
                self.bad(wish, running, asking.knock, Seen("error", _network_words(error)))

    def nobody(self, wish: Probe, running: Running, knock: Knock) -> None:
        seen = self._look(wish, running, knock) or Seen("refused", "refused", detail=str(knock))
        self._answer(wish, False, seen)

    def _silent(self, wish: Probe, running: Running, at: Knock | Target) -> None:
        if isinstance(at, Target):
            self._answer(wish, False, Seen("error", f"the name `{at.host}` is not resolved in time"))
            return
        opened = at.state == "open"
        text = "accepts the connection, but does not answer" if opened else "does not accept the connection"
        seen = None if opened else self._look(wish, running, at)
        self.bad(wish, running, at, seen or Seen("silent", text, detail=str(at)), answers=False)

    def _look(self, wish: Probe, running: Running, knock: Knock) -> Seen | None:
        if not wish.look:
            return None
        refused = knock.state == "refused"
        return self._elsewhere.look(running, knock.address, knock.port, refused=refused)

    def good(self, wish: Probe, running: Running, knock: Knock, seen: Seen) -> None:
        """An answer as it should be: it counts if it is the service's own, or if anybody's does; then it is said whose."""
        who = self._ownership.stranger(running, knock.address, knock.port)
        if not wish.probing.ours:
            self._answer(wish, True, replace(seen, text=f"{seen.text}: {who}") if who else seen)
            return
        self._answer(wish, not who, Seen("stranger", who) if who else seen)

    def bad(
        self, wish: Probe, running: Running, knock: Knock | None, seen: Seen, *, answers: bool = True
    ) -> None:
        """An answer as it should not be, which may be a stranger's; to look whose takes a while, so that is
        done once a second at most."""
        if knock is None or not wish.probing.ours or seen.kind == "elsewhere":
            self._answer(wish, False, seen)
            return
        key, now = (wish.attempt, str(knock)), time.monotonic()
        until, who = self._blamed.get(key, (0.0, ""))
        if now >= until:
            who = ""
            if knock.state == "open":
                who = self._ownership.stranger(running, knock.address, knock.port, answers=answers)
            self._blamed[key] = (now + _BLAME_EVERY_S, who)
        self._answer(wish, False, Seen("stranger", who, detail=seen.text) if who else seen)


class _Asking:
    """One http or tcp probe under way."""

    def __init__(
        self, asker: Asker, wish: Probe, running: Running, target: Target, knock: Knock | None
    ) -> None:
        self.answered = False
        self.knock = knock
        self._asker = asker
        self._wish = wish
        self._running = running
        self._target = target
        self._exchange: Exchange | None = None

    async def run(self) -> None:
        """Connect, to the first of a name's addresses that lets us, then ask."""
        if self.knock is None:
            for address in await self._asker.names.addresses(self._target.host):
                self.close()
                self.knock = Knock(address, self._target.port)
                await self.knock.wait()
                if self.knock.state == "open":
                    break
        assert self.knock is not None
        await self.knock.wait()
        if self.knock.state == "refused":
            self.answered = True
            self._asker.nobody(self._wish, self._running, self.knock)
        elif self.knock.state == "failed":
            self._bad(Seen("error", f"cannot be reached: {self.knock.error}", detail=str(self.knock)))
        elif not self._target.scheme:
            self._good(Seen("ok", "accepts connections"))
        else:
            await self._converse()

    def close(self) -> None:
        if self._exchange is not None:
            self._exchange.hang_up()
        if self.knock is not None:
            self.knock.close()

    async def _converse(self) -> None:
        await self._asker.is_loaded(self._target.scheme)
        from launchpad.hosts.local import probes_http

        assert self.knock is not None
        probing = self._wish.probing
        try:
            sock = self.knock.take()
            exchange = self._exchange = await probes_http.begin(sock, self._target, self.knock.address)
            status = await exchange.head(self._target, probing.headers, probing.content)
            if not any(low <= status <= high for low, high in probing.status):
                self._bad(_status_seen(status, await exchange.beginning(_BODY_WAIT_S)))
            elif probing.body and re.search(probing.body, body := await exchange.body()) is None:
                text = f'answers {status}, but "{_quoted(body)}" does not match `{probing.body}`'
                self._bad(Seen("body", text))
            else:
                self._good(Seen("ok", f"answers {status}"))
                await probes_http.linger(exchange)
        except probes_http.HttpTrouble as trouble:
            if not self.answered:
                self._bad(Seen("error", str(trouble)))
        except re.error as error:
            text = f"the pattern `{probing.body}` is not a regular expression: {error.msg}"
            self._bad(Seen("error", text, final=True))

    def _good(self, seen: Seen) -> None:
        assert self.knock is not None
        self.answered = True
        self._asker.good(self._wish, self._running, self.knock, seen)

    def _bad(self, seen: Seen) -> None:
        self.answered = True
        self._asker.bad(self._wish, self._running, self.knock, seen)


def _has_failed(future: asyncio.Future[None]) -> bool:
    """It is tried again: what was lacking may be there by now."""
    return future.done() and (future.cancelled() or future.exception() is not None)


def _load(scheme: str) -> None:
    import h11  # noqa: F401

    from launchpad.hosts.local import probes_http  # noqa: F401

    if scheme == "https":
        from launchpad.hosts.local import probes_tls  # noqa: F401


def _status_seen(status: int, body: str) -> Seen:
    quoted = _quoted(body)
    return Seen("status", f'answers {status} "{quoted}"' if quoted else f"answers {status}")


def _quoted(body: str) -> str:
    """The beginning of an answer on one line; pages are not quoted, their markup says nothing."""
    text = " ".join("".join(c if c.isprintable() else " " for c in body[:1000]).split())
    if text.lower().startswith(("<!doctype", "<html")):
        return ""
    return text if len(text) <= _QUOTED_CHARS else text[: _QUOTED_CHARS - 1] + "…"


def _network_words(error: OSError) -> str:
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return "closes the connection without an answer"
    return error.strerror or str(error)
