"""Snapshots and spools for the tests of views: made by hand, the same at every run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from launchpad.control.api import HoldView, ServiceView, Snapshot

NOW = 1_800_000_000.0


def view(name: str, state: str = "idle", **fields: Any) -> ServiceView:
    values: dict[str, Any] = {"kind": "server", "goal": "up", "since": NOW, **fields}
    return ServiceView(name=name, state=state, **values)


def ready(name: str, port: int = 8030, **fields: Any) -> ServiceView:
    values: dict[str, Any] = {
        "pid": 5120,
        "ports": {"main": port},
        "url": f"http://127.0.0.1:{port}",
        "started_at": NOW - 10,
        "ready_at": NOW - 7.7,
        "attempt": 1,
        **fields,
    }
    return view(name, "ready", **values)


def waiting(name: str, on: str, **fields: Any) -> ServiceView:
    hold = HoldView("need", on, f"waits for `{on}` to be ready")
    return view(name, "idle", **{"kind": "job", "holds": (hold,), "needs": (on,), **fields})


def snapshot(*services: ServiceView, **fields: Any) -> Snapshot:
    values: dict[str, Any] = {
        "rev": 1,
        "stack": "grpo",
        "file": "/srv/grpo/stack.yaml",
        "pid": 4711,
        "started_at": NOW - 93,
        "phase": "starting",
        **fields,
    }
    return Snapshot(services=services, **values)


class FakeFeed:
    """A feed whose snapshots the test puts in."""

    def __init__(self, first: Snapshot) -> None:
        self._current = first
        self._gone = False
        self._changed = threading.Condition()

    def put(self, **fields: Any) -> None:
        with self._changed:
            self._current = replace(self._current, rev=self._current.rev + 1, **fields)
            self._changed.notify_all()

    def change(self, name: str, **fields: Any) -> None:
        services = self._current.services
        self.put(services=tuple(replace(v, **fields) if v.name == name else v for v in services))

    def leave(self) -> None:
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def wait(self, after_rev: int, timeout_s: float) -> Snapshot:
        with self._changed:
            self._changed.wait_for(lambda: self._gone or self._current.rev > after_rev, timeout_s)
            if self._gone:
                raise ConnectionError("gone")
            return self._current


class FileSpool:
    """The simplest spool: one file that is never cut. `kept_from`: bytes before it are gone."""

    def __init__(self, path: Path, kept_from: int = 0) -> None:
        self.path = path
        self.kept_from = kept_from

    def read_from(self, offset: int, limit: int) -> tuple[bytes, int]:
        offset = max(offset, self.kept_from)
        with open(self.path, "rb") as file:
            file.seek(offset)
            data = file.read(limit)
        return data, offset + len(data)

    def end(self) -> int:
        return self.path.stat().st_size

    def tail_offset(self, lines: int) -> int:
        data = self.path.read_bytes()
        kept = data.splitlines(keepends=True)[-lines:] if lines else []
        return len(data) - sum(len(line) for line in kept)
