"""`ps` as a table: what it says, and what gives way when there is little room."""

from __future__ import annotations

import io

import pytest

from launchpad.control.api import HoldView, Snapshot
from launchpad.views.table import plain_table, print_table
from tests.views.samples import NOW, ready, snapshot, view, waiting

STACK = snapshot(
    view("llm", "starting", pid=5120, ports={"main": 8030}, url="http://127.0.0.1:8030", started_at=NOW - 92,
         seen="answers 503"),
    ready("reward", 8100, ports={"main": 8100, "metrics": 8101}, restarts=2, started_at=NOW - 92),
    view("tensorboard", "backoff", restarts=3, outcome="exit 1 after 3.0 s",
         holds=(HoldView("backoff", "tensorboard", "starts again in 2.1 s (restart 3)"),)),
    waiting("train", "llm", ports={"master": 29500}),
    view("prepare", "ready", kind="job", pid=6000, started_at=NOW - 8000),
    view("eval", "failed", kind="job", outcome="killed by SIGKILL after 41 min 07 s; out of memory", exit_code=-9),
    view("old", "done", kind="job", exit_code=0, outcome="exit 0 after 3.0 s"),
    view("off", "idle", goal="down", holds=(HoldView("goal", "off", "stopped"),)),
)  # fmt: skip


def drawn(stack: Snapshot, width: int, color: bool = False) -> str:
    out = io.StringIO()
    print_table(stack, out, width=width, color=color, now=NOW)
    return out.getvalue()


def test_plain_columns_are_aligned_and_nothing_is_cut_off() -> None:
    assert plain_table(STACK, NOW) == (
        "NAME         KIND    STATE     PID   PORTS/URL                           UP          RESTARTS  WHY\n"
        "llm          server  starting  5120  http://127.0.0.1:8030               1 min 32 s  -         answers 503\n"
        "reward       server  ready     5121  http://127.0.0.1:8100 metrics:8101  1 min 32 s  2\n"
        "tensorboard  server  backoff   -     -                                   -           3         "
        "exit 1 after 3.0 s; starts again in 2.1 s (restart 3)\n"
        "train        job     waiting   -     master:29500                        -           -         "
        "waits for llm to be ready\n"
        "prepare      job     running   6000  -                                   2 h 13 min  -\n"
        "eval         job     failed    -     -                                   -           -         "
        "killed by SIGKILL after 41 min 07 s; out of memory\n"
        "old          job     done      -     -                                   -           -\n"
        "off          server  stopped   -     -                                   -           -\n"
    ).replace("5121", "5120")


def test_wide_terminals_show_the_reason_beside() -> None:
    text = drawn(STACK, 150)
    assert "NAME         KIND      STATE     PID" in text
    assert "◌ waiting   -     master:29500" in text
    assert "waits for llm to be ready\n" in text
    assert "└" not in text


def test_at_80_columns_the_reason_goes_below() -> None:
    assert drawn(STACK, 80) == (
        "grpo  starting  supervisor 4711, for 1 min 33 s  /srv/grpo/stack.yaml\n"
        "NAME           STATE     PID   PORTS/URL                           UP\n"
        "llm          ◐ starting  5120  http://127.0.0.1:8030               1 min 32 s\n"
        "  └ answers 503\n"
        "reward       ● ready     5120  http://127.0.0.1:8100 metrics:8101  1 min 32 s\n"
        "tensorboard  ↻ backoff   -     -                                   -\n"
        "  └ exit 1 after 3.0 s; starts again in 2.1 s (restart 3)\n"
        "train        ◌ waiting   -     master:29500                        -\n"
        "  └ waits for llm to be ready\n"
        "prepare      ● running   6000  -                                   2 h 13 min\n"
        "eval         ✘ failed    -     -                                   -\n"
        "  └ killed by SIGKILL after 41 min 07 s; out of memory\n"
        "old          ✔ done      -     -                                   -\n"
        "off          ○ stopped   -     -                                   -\n"
    )


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = drawn(STACK, width).splitlines()
    assert max(map(len, lines)) <= width
    for service in STACK.services:
        assert sum(line.startswith(f"{service.name} ") for line in lines) == 1


def test_the_head_names_stack_and_supervisor() -> None:
    assert drawn(STACK, 120).startswith(
        "grpo  starting  supervisor 4711, for 1 min 33 s  /srv/grpo/stack.yaml\n"
    )


def test_colours_only_where_wanted() -> None:
    assert "\x1b[" in drawn(STACK, 120, color=True)
    assert "\x1b[" not in drawn(STACK, 120)


def test_a_stack_without_services() -> None:
    assert plain_table(snapshot(), NOW) == "NAME  KIND  STATE  PID  PORTS/URL  UP  RESTARTS  WHY\n"
    assert "grpo" in drawn(snapshot(), 80)
