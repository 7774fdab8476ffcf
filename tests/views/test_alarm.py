"""Waking up: for files, for a ring, and not without a reason."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from launchpad.views import alarm as module
from launchpad.views.alarm import Alarm

LIMIT_S = 30.0


def waits(alarm: Alarm, then: object) -> float:
    """Seconds that a wait took during which `then` was called."""
    begun = time.monotonic()
    thread = threading.Thread(target=then)  # type: ignore[arg-type]
    thread.start()
    alarm.wait(LIMIT_S)
    thread.join()
    return time.monotonic() - begun


def test_a_file_that_grows_wakes(tmp_path: Path) -> None:
    alarm = Alarm()
    alarm.watch(tmp_path)
    assert waits(alarm, lambda: (tmp_path / "a.log").write_text("x")) < LIMIT_S / 2


def test_a_ring_wakes_also_when_it_came_before(tmp_path: Path) -> None:
    alarm = Alarm()
    alarm.ring()
    assert waits(alarm, lambda: None) < LIMIT_S / 2
    assert waits(alarm, alarm.ring) < LIMIT_S / 2


def test_ringing_often_does_not_block() -> None:
    alarm = Alarm()
    for _ in range(100_000):
        alarm.ring()
    alarm.close()
    alarm.ring()
    alarm.close()


def test_without_file_events_it_looks_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(24, "too many inotify instances")

    monkeypatch.setattr("launchpad.hosts.local.inotify.Inotify", refuse)
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    alarm = Alarm()
    alarm.watch(tmp_path)
    assert waits(alarm, lambda: None) < LIMIT_S / 2
