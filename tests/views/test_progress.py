"""The live block and the summary."""

from __future__ import annotations

from launchpad.control.api import HoldView, Snapshot
from launchpad.views.progress import block, farewell, summary
from launchpad.views.words import duration
from tests.views.samples import NOW, ready, snapshot, view, waiting

START = snapshot(
    view("llm", "starting", pid=5120, ports={"main": 8030}, started_at=NOW - 12.4, seen="answers 503"),
    ready("reward", 8100),
    waiting("train", "llm"),
)


def lines(stack: Snapshot, width: int = 100, height: int = 24, last: str = "") -> list[str]:
    text = block(stack, lambda name: last, width=width, height=height, now=NOW, since=NOW - 12.4)
    return text.plain.split("\n")


def test_one_line_for_the_whole_and_one_for_each() -> None:
    assert lines(START, last="Loading shards: 71 %") == [
        "grpo is starting, 1 of 3  12.4 s",
        "  ◐ llm     starting     12.4 s  :8030  answers 503  Loading shards: 71 %",
        "  ● reward  ready         2.3 s  :8100  ",
        "  ◌ train   waiting              waits for llm to be ready",
    ]


def test_lines_are_cut_to_the_width() -> None:
    assert max(map(len, lines(START, width=40, last="x" * 500))) <= 40


def test_a_large_stack_leaves_room_and_shows_who_is_on_the_way() -> None:
    many = snapshot(
        *(ready(f"s{i}", 8000 + i) for i in range(100)), view("late", "starting", pid=1, started_at=NOW)
    )
    shown = lines(many, height=20)
    assert len(shown) < 20
    assert any("late" in line for line in shown)
    assert shown[-1] == "  … and 85 more"


def test_a_stop_shows_who_is_still_there() -> None:
    stop = snapshot(
        view("llm", "stopping", goal="down", pid=1, started_at=NOW),
        view("reward", "idle", goal="down"),
        phase="stopping",
    )
    shown = lines(stop)
    assert shown[0] == "grpo is stopping, 1 still there  12.4 s"
    assert len(shown) == 2
    text = block(stop, lambda name: "", width=100, height=24, now=NOW, since=NOW - 12.4, ours=True)
    assert text.plain.split("\n")[0] == "grpo is stopping, 1 still there  12.4 s  Ctrl-C again kills"


def test_nobody_is_told_three_hundred_names() -> None:
    failed = [view(f"s{number}", "failed", outcome="exit 1") for number in range(300)]
    last = farewell(snapshot(*failed, phase="finished", failed=tuple(one.name for one in failed)))
    assert last.endswith("s9 (exit 1) and 290 more")


def test_the_summary_has_every_address() -> None:
    up = snapshot(
        ready("llm"),
        ready("reward", ports={"main": 8100, "metrics": 8101}, url="http://127.0.0.1:8100"),
        view("train", "ready", kind="job"),
        view("off", "idle", goal="down"),
        phase="up",
    )
    assert summary(up, 12.44) == [
        "grpo is up in 12.4 s",
        "  llm     http://127.0.0.1:8030",
        "  reward  http://127.0.0.1:8100 metrics:8101",
        "  train   running",
    ]
    assert summary(up, None)[0] == "grpo is up"


def test_a_stack_that_is_up_as_far_as_it_gets_says_what_is_missing() -> None:
    held = (HoldView("failed-need", "llm", "`llm` failed"),)
    stack = snapshot(
        view("llm", "failed", outcome="exit 1 after 3.0 s"),
        waiting("train", "llm", holds=held),
        ready("reward", 8100),
        phase="degraded",
        failed=("llm",),
    )
    assert summary(stack, 12.4) == [
        "grpo is up as far as it gets; failed: llm",
        "  llm     failed: exit 1 after 3.0 s",
        "  train   waiting: llm failed",
        "  reward  http://127.0.0.1:8100",
    ]


def test_the_last_line_says_how_it_ended() -> None:
    failed = view("train", "failed", kind="job", outcome="exit 1 after 3.0 s")
    assert farewell(snapshot(failed, failed=("train",))) == "grpo failed: train (exit 1 after 3.0 s)"
    done = view("train", "done", kind="job")
    assert farewell(snapshot(done, code=0)) == "grpo is done"
    assert farewell(snapshot(done, view("llm", "idle", goal="down"), code=0)) == (
        "grpo is stopped; nothing of it runs any more"
    )


def test_durations() -> None:
    seconds = (0, 0.04, 12.44, 59.94, 59.96, 185, 3599.6, 8040, 90_000, 400_000, -3)
    assert [duration(s) for s in seconds] == [
        "0.0 s", "0.0 s", "12.4 s", "59.9 s", "1 min 00 s", "3 min 05 s", "1 h 00 min", "2 h 14 min",
        "1 d 1 h", "4 d 15 h", "0.0 s",
    ]  # fmt: skip
