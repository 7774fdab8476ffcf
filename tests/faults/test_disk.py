"""Disks that are full, folders that go away or cannot be written."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, eventually, get
from tests.faults.places import fill, read_only, small_disk
from tests.faults.table import TALKING, Drill, Row, fault, lines_lost

AREA = "disk"


def with_sink(output: str) -> str:
    return TALKING.replace("--spam-rate 200KB/s", "--spam-rate 200KB/s").replace(
        "/s}", f"/s, output: {output}}}"
    )


@fault(AREA, "full under a `file` sink", "a disk of 2 MB under the sink; room is made again")
def test_full_under_a_sink(make_stack: Make, row: Row) -> None:
    stack = make_stack(with_sink("{file: small/out.txt}"))
    with small_disk(stack.folder / "small", "2m") as disk:
        drill = Drill(stack, row).begin()
        ballast = fill(disk)
        stack.wait_for(lambda s: any(d.code == "E505" for d in s.diagnostics))
        drill.works()
        ballast.unlink()
        with row.recovers():
            stack.wait_for(lambda s: not any(d.code == "E505" for d in s.diagnostics))
        stack.cli("stop", "counts", check=0)
        stack.wait_state("counts", "idle")
        copy, log = disk / "out.txt", stack.log("counts")
        eventually(lambda: copy.stat().st_size == log.stat().st_size, "the sink has caught up", 30)
        assert copy.read_bytes() == log.read_bytes(), "nothing is lost or doubled"
        drill.pids.pop("counts")
        drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@fault(
    AREA,
    "full under a `jsonl` sink for longer than the log is kept",
    "a full disk of 1 MB under the sink; the log is emptied meanwhile",
)
def test_skipped_by_a_sink(make_stack: Make, row: Row) -> None:
    stack = make_stack(with_sink("{jsonl: small/out.jsonl}"))
    with small_disk(stack.folder / "small", "1m") as disk:
        ballast = fill(disk)
        drill = Drill(stack, row).begin()
        stack.wait_for(lambda s: any(d.code == "E505" for d in s.diagnostics))
        log = stack.log("counts")
        eventually(lambda: log.stat().st_size > 300_000, "it prints")
        with log.open("r+b") as file:
            file.truncate(0)
        ballast.unlink()
        with row.recovers():
            stack.wait_for(lambda s: not any(d.code == "E505" for d in s.diagnostics))
        eventually(lambda: (disk / "out.jsonl").stat().st_size, "it is written again")
        for line in (disk / "out.jsonl").read_text().splitlines()[:-1]:
            json.loads(line)
        drill.end(counts=False)
        row.processes_lost = 0
    assert row.survivors == 0


@fault(
    AREA, "full under the service's own log", "a disk of 3 MB under `.launchpad`, filled; room is made again"
)
def test_full_under_the_log(make_stack: Make, row: Row) -> None:
    stack = make_stack(TALKING)
    with small_disk(stack.folder / ".launchpad", "3m") as disk:
        drill = Drill(stack, row).begin()
        ballast = fill(disk)
        eventually(lambda: said(stack, "room"), "it is told")
        assert get(f"{drill.url}/health").status_code == 200, "who prints nothing notices nothing"
        stack.wait_for(lambda s: next(v for v in s.services if v.name == "other").state == "ready")
        ballast.unlink()
        with row.recovers():
            stack.wait_for(lambda s: all(v.state == "ready" for v in s.services))
            eventually(lambda: not said(stack, "room"), "it is told that there is room again")
        row.processes_lost = sum(
            view.pid != drill.pids[view.name]
            for view in stack.client.status().services
            if view.name != "counts"
        )
        row.outcome = "who prints gets ENOSPC from its own write; what it makes of that is its own"
        drill.end(counts=False)
    assert (row.processes_lost, row.survivors) == (0, 0)


def said(stack: Stack, word: str) -> bool:
    return any(word in f"{d.message} {d.notes}" for d in stack.client.status().diagnostics)


@fault(
    AREA,
    "full under the state folder during a start",
    "a full disk under `.launchpad`; `up`; room is made; `up`",
)
def test_full_before_the_start(make_stack: Make, row: Row) -> None:
    stack = make_stack("servers: {llm: {command: PRETEND, port: auto, ready: /health}}")
    with small_disk(stack.folder / ".launchpad", "64k") as disk:
        ballast = fill(disk)
        done = stack.up(check=None)
        assert done.returncode in (1, 2), (done.returncode, done.stderr)
        assert "Traceback" not in done.stderr
        assert "space" in done.stderr, done.stderr
        row.outcome = f"`up` exits {done.returncode}: {done.stderr.splitlines()[0]}"
        stack.cli("down")
        ballast.unlink()
        with row.recovers():
            stack.up()
        Drill(stack, row).look().end(counts=False)
    assert row.survivors == 0


@fault(
    AREA,
    "full under the state folder: a restart, then `down`",
    "a disk of 1 MB under `.launchpad`, filled; `restart`; `down`",
)
def test_full_then_restart(make_stack: Make, row: Row) -> None:
    stack = make_stack(
        "servers: {llm: {command: PRETEND, port: auto, ready: /health}, other: {command: PRETEND}}"
    )
    with small_disk(stack.folder / ".launchpad", "1m") as disk:
        stack.up()
        drill = Drill(stack, row).look()
        ballast = fill(disk)
        stack.cli("restart", "other")
        view = stack.wait_state("other", "ready", "failed", "backoff", timeout=20)
        row.outcome = f"`restart` of a service leads to {view.state}"
        assert get(f"{drill.url}/health").status_code == 200
        ballast.unlink()
        with row.recovers():
            stack.cli("start", "other", check=0)
            stack.wait_state("other", "ready")
        fill(disk)
        drill.pids.pop("other")
        row.processes_lost = sum(stack.ps()[name]["pid"] != pid for name, pid in drill.pids.items())
        drill.end(counts=False)
    assert (row.processes_lost, row.survivors) == (0, 0)


@fault(AREA, "the state folder is deleted", "`rm -r .launchpad` under a running stack; `restart`; `down`")
def test_state_deleted(make_stack: Make, row: Row) -> None:
    drill = Drill(make_stack(TALKING), row).begin()
    stack = drill.stack
    shutil.rmtree(stack.folder / ".launchpad")
    assert get(f"{drill.url}/health").status_code == 200
    row.processes_lost = sum(view.pid != drill.pids[view.name] for view in stack.client.status().services)
    with row.recovers():
        stack.cli("restart", "other", check=0)
        stack.wait_for(
            lambda s: any(
                v.name == "other" and v.pid != drill.pids["other"] and v.state == "ready" for v in s.services
            )
        )
    second = stack.cli("up", "-d")
    row.outcome = f"a second `up` exits {second.returncode}"
    assert len([1 for line in stack.survivors().values() if "--name llm" in line]) == 1, "not started twice"
    stack.cli("down", check=0)
    Drill(stack, row).over()
    assert (row.processes_lost, row.survivors) == (0, 0)


@fault(
    AREA, "the state folder is deleted, then SIGKILL", "`rm -r .launchpad`; SIGKILL to the supervisor; `down`"
)
def test_state_deleted_then_killed(make_stack: Make, row: Row) -> None:
    import os
    import signal

    from tests.faults.table import gone

    drill = Drill(make_stack(TALKING), row).begin()
    shutil.rmtree(drill.stack.folder / ".launchpad")
    os.kill(drill.supervisor, signal.SIGKILL)
    gone(drill.supervisor)
    drill.stack.cli("down", check=0)
    drill.over()
    assert row.survivors == 0


@fault(
    AREA,
    "the state folder is read-only",
    "mounted read-only under a running stack; a service is killed; made writable again",
)
def test_state_read_only(make_stack: Make, row: Row) -> None:
    drill = Drill(make_stack(TALKING), row).begin()
    stack = drill.stack
    with read_only(stack.folder / ".launchpad"):
        drill.works()
        begun = time.monotonic()
        stack.cli("restart", "other")
        view = stack.wait_state("other", "failed", "backoff", "ready", timeout=30)
        assert time.monotonic() - begun < 8, "its end is seen at once, not after the grace"
        row.outcome = f"`restart` of a service leads to {view.state}"
    with row.recovers():
        stack.cli("start", "other", check=0)
        stack.wait_state("other", "ready")
    drill.pids.pop("other")
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@fault(AREA, "the state folder is read-only at the start", "mounted read-only; `up`")
def test_read_only_at_start(make_stack: Make, row: Row) -> None:
    stack = make_stack("servers: {llm: {command: PRETEND}}")
    (stack.folder / ".launchpad").mkdir(mode=0o700)
    with read_only(stack.folder / ".launchpad"):
        done = stack.up(check=2)
        assert "error[E608]" in done.stderr, done.stderr
        row.outcome = "`up` exits 2: E608"
    with row.recovers():
        stack.up()
    Drill(stack, row).look().end(counts=False)
    assert row.survivors == 0


@fault(
    AREA,
    "the stack's folder is renamed",
    "`mv` of the whole folder under a running stack; `down` where it is now",
)
def test_folder_renamed(make_stack: Make, row: Row) -> None:
    drill = Drill(make_stack(TALKING), row).begin()
    stack = drill.stack
    old, new = stack.folder, stack.folder.with_name("renamed")
    old.rename(new)
    assert get(f"{drill.url}/health").status_code == 200
    there = stack.cli("down", cwd=new)
    row.outcome = (
        f"`down` at its new place exits {there.returncode}: {there.stderr.strip().splitlines()[-1]}".replace(
            str(new), "…"
        )
    )
    if stack.survivors():
        done = stack.cli("down", "-f", str(old / "stack.yaml"), cwd=new)
        row.outcome += f"; `down -f OLD` exits {done.returncode}"
    if stack.survivors():
        done = stack.cli("down", "--all", cwd=new)
    row.survivors = len(stack.survivors())
    assert lines_lost_at(new) == 0
    assert row.survivors == 0, row.outcome


def lines_lost_at(folder: Path) -> int:
    from launchpad.hosts.local.spool_reader import SpoolReader

    return lines_lost(SpoolReader(folder / ".launchpad/stack.yaml/logs/counts.log"))
