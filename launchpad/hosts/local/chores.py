"""Work of a host that takes a while, and that nobody waits for: what goes wrong in it is told, and not lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Chores:
    """`fault` is told of what nobody foresaw: else a stack would wait for an answer for ever."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fault: Callable[[BaseException], None]) -> None:
        self._loop, self._fault = loop, fault
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fault(error)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
