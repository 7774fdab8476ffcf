"""What happened between two snapshots, in words."""

from __future__ import annotations

from typing import Any

from launchpad.control.api import HoldView, ServiceView
from launchpad.views.changes import LOUD, NORMAL, QUIET, changes
from tests.views.samples import NOW, ready, snapshot, view, waiting


def told(old: ServiceView | None, new: ServiceView) -> list[tuple[str, int]]:
    before = snapshot(*([old] if old else []))
    return [(change.text, change.weight) for change in changes(before, snapshot(new), NOW)]


STARTING = view("llm", "starting", pid=7, attempt=1, started_at=NOW)


def test_nothing_new_says_nothing() -> None:
    assert told(STARTING, STARTING) == []
    assert told(ready("llm"), ready("llm", seen="200")) == []


def test_a_server_starts_and_becomes_ready() -> None:
    assert told(view("llm"), STARTING) == [("started, pid 7", QUIET)]
    assert told(STARTING, ready("llm")) == [("ready (2.3 s) http://127.0.0.1:8030", NORMAL)]


def test_a_restart_between_two_looks_is_seen() -> None:
    assert told(ready("llm"), ready("llm", attempt=2))[0][1] == NORMAL


def test_a_job_runs_and_is_done() -> None:
    runs = view("train", "ready", kind="job", pid=9, attempt=1, started_at=NOW - 65)
    assert told(waiting("train", "llm"), runs) == [("started, pid 9", QUIET)]
    assert told(runs, view("train", "done", kind="job", attempt=1, started_at=NOW - 65)) == [
        ("done (1 min 05 s)", NORMAL)
    ]


def test_trouble_is_loud() -> None:
    backoff = view("llm", "backoff", outcome="exit 1 after 3.0 s", attempt=1,
                   holds=(HoldView("backoff", "llm", "starts again in 0.5 s (restart 1)"),))  # fmt: skip
    assert told(STARTING, backoff) == [("ended: exit 1 after 3.0 s; starts again in 0.5 s (restart 1)", LOUD)]
    assert told(backoff, view("llm", "failed", outcome="exit 1 after 3.0 s", attempt=2)) == [
        ("failed: exit 1 after 3.0 s", LOUD)
    ]
    assert told(ready("llm"), view("llm", "unready", seen="answers 503", attempt=1)) == [
        ("no longer ready: answers 503", LOUD)
    ]


def test_waiting_is_told_once_for_each_reason() -> None:
    assert told(None, waiting("train", "llm")) == [("waits for llm to be ready", QUIET)]
    assert told(waiting("train", "llm"), waiting("train", "llm")) == []
    failed: dict[str, Any] = {"holds": (HoldView("failed-need", "llm", "`llm` failed"),)}
    assert told(waiting("train", "llm"), waiting("train", "llm", **failed)) == [("llm failed", LOUD)]


def test_stopping_and_stopped() -> None:
    stopping = view("llm", "stopping", goal="down", attempt=1)
    assert told(ready("llm"), stopping) == [("stopping", QUIET)]
    assert told(stopping, view("llm", "idle", goal="down", attempt=1)) == [("stopped", NORMAL)]
    assert told(None, view("llm", "idle", goal="down")) == []


def test_what_left_the_stack_is_told() -> None:
    news = changes(snapshot(ready("llm"), ready("reward")), snapshot(ready("llm")), NOW)
    assert [(change.name, change.text) for change in news] == [("reward", "is no longer part of the stack")]


def test_another_reason_for_the_same_state_is_news_of_this_moment() -> None:
    """The time of a state is reckoned anew for each picture, and differs by a hair."""
    made = HoldView("environment", "train", "making .venv: pip install")
    old = waiting("train", "llm", since=NOW - 60)
    (change,) = changes(
        snapshot(old), snapshot(waiting("train", "llm", holds=(made,), since=NOW - 60.0001)), NOW
    )
    assert change.at == NOW


def test_in_the_order_in_which_it_happened() -> None:
    after = snapshot(ready("b", since=NOW + 2), ready("a", since=NOW + 1))
    assert [change.name for change in changes(snapshot(), after, NOW)] == ["a", "b"]


def test_what_follows_from_something_is_told_after_it() -> None:
    """Both of one moment, and named in the other order by the stack."""
    before = snapshot(ready("llm", attempt=1), view("train", "ready", kind="job", attempt=2, pid=9))
    after = snapshot(
        view("llm", "stopping", attempt=1, pid=7, since=NOW - 1),
        view("train", "done", kind="job", attempt=2, since=NOW - 1),
    )
    assert [change.name for change in changes(before, after, NOW)] == ["train", "llm"]


def test_a_failure_is_told_before_what_cannot_start_for_it() -> None:
    cannot = waiting(
        "eval", "train", since=NOW - 5, holds=(HoldView("failed-need", "train", "`train` failed"),)
    )
    failed = view("train", "failed", kind="job", attempt=1, outcome="exit 7 after 0.1 s", since=NOW - 1)
    assert [change.name for change in changes(None, snapshot(cannot, failed), NOW)] == ["train", "eval"]


def test_why_one_is_stopping_is_not_how_the_one_before_it_ended() -> None:
    stopping = view("llm", "stopping", goal="up", attempt=2, pid=7, outcome="stopped")
    assert told(ready("llm", attempt=2), stopping) == [("stopping", QUIET)]
