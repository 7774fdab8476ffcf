"""`on_change: replace` from outside: nobody who asks the old address is refused before there is a new one."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

import pytest

from tests.e2e.conftest import Make
from tests.e2e.deaths import kill_supervisor
from tests.e2e.harness import Stack, alive, environ_of, eventually, fire, free_ports, get, is_free

STACK = """\
servers:
  llm:
    command: PRETEND --name llm FLAGS
    port: LOW-HIGH
    ready: {READY}
    on_change: replace
    stop_grace: 3s
  api: {command: "PRETEND --name api --mark marks", port: auto, depends_on: [llm], environment: {U: "${llm.url}"}}
  tool: {command: "PRETEND --name tool --mark marks", depends_on: {llm: {restart: true}}}
  alone: {command: PRETEND --name alone}
"""


def text(low: int, flags: str, ready: str = "http: /health", width: int = 5) -> str:
    found = STACK.replace("FLAGS", flags).replace("LOW-HIGH", f"{low}-{low + width - 1}")
    return found.replace("READY", ready)


def live(make_stack: Make, low: int, flags: str = "--mark marks", **more: str) -> Stack:
    stack = make_stack(text(low, flags, **more))
    stack.start("up", "--no-watch")
    stack.wait_up()
    return stack


def reload(stack: Stack, written: str, check: int = 0) -> str:
    stack.write(written)
    done = stack.cli("reload", check=check)
    return done.stdout + done.stderr


def pids(stack: Stack) -> dict[str, int | None]:
    return {view.name: view.pid for view in stack.client.status().services}


def services_of(stack: Stack) -> int:
    """How many processes live besides launchpad's own."""
    return sum("launchpad up" not in command for command in stack.survivors().values())


def replacement(stack: Stack, *words: str) -> str:
    """What `ps` says of it, once it says all of this."""

    def holds() -> str:
        views = {view.name: view for view in stack.client.status().services}
        found = next((hold.text for hold in views["llm"].holds if hold.kind == "replace"), "")
        return found if found and all(word in found for word in words) else ""

    return str(eventually(holds, f"a replacement {words}"))


def replaced(stack: Stack, old: int | None) -> int:
    """The pid of the new one, once the old one and all that was told of it is gone."""
    snapshot = stack.wait_for(
        lambda s: (
            s.phase == "up"
            and all(view.pid for view in s.services)
            and all((view.pid != old and not view.holds) for view in s.services if view.name == "llm")
        )
    )
    return next(view.pid for view in snapshot.services if view.name == "llm" and view.pid)


def ask_all_the_time(port: int, until: threading.Event, seen: list[tuple[int, str]]) -> None:
    """The moment before each question, and what came of it."""
    while not until.is_set():
        at = time.time_ns()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
                line.sendall(b"GET / HTTP/1.0\r\n\r\n")
                seen.append((at, "answer" if line.recv(1) else "nothing"))
        except OSError as error:
            seen.append((at, type(error).__name__))
        until.wait(0.002)


def test_nobody_is_refused_before_the_new_one_is_ready(make_stack: Make) -> None:
    low = free_ports(5)
    stack = live(make_stack, low)
    before, seen, over = pids(stack), list[tuple[int, str]](), threading.Event()
    client = threading.Thread(target=ask_all_the_time, args=(low, over, seen))
    client.start()
    try:
        go = stack.pipe("go")
        said = reload(stack, text(low, f"--mark marks --loading 503 --ready-when {go}"))
        held = replacement(stack, "503")
        meanwhile = pids(stack)
        shown = stack.ps()["llm"]
        asked = len(seen)
        eventually(lambda: len(seen) > asked + 20, "the old one answers while the new one loads")
        fire(go)
        new = replaced(stack, before["llm"])
        eventually(lambda: seen[-1][1] != "answer", "the old one is gone")
    finally:
        over.set()
        client.join(30)
    assert "replace llm: argument" in said
    assert "restart api: restarts once `llm`, whose address it was given, is replaced" in said
    assert "restart tool: restarts once `llm` is replaced" in said
    assert f"port {low + 1}" in held
    assert meanwhile == before
    assert shown["pid"] == before["llm"]
    assert shown["ports"] == {"main": low}
    ready = [mark for mark in stack.marks_of("llm", "ready") if mark.pid == new]
    assert [what for at, what in seen if at < ready[0].at and what != "answer"] == []
    now = stack.ps()
    assert now["llm"]["ports"] == {"main": low + 1}
    assert now["alone"]["pid"] == before["alone"]
    for name in ("api", "tool"):
        assert now[name]["pid"] != before[name]
        assert environ_of(now[name]["pid"])["LLM_URL"] == f"http://127.0.0.1:{low + 1}"
        ended = [mark.at for mark in stack.marks() if mark.pid == before[name] and mark.event == "SIGTERM"]
        assert ended
        assert ended[0] > ready[0].at, f"{name} was disturbed before the new one was ready"
    assert get(f"http://127.0.0.1:{low + 1}/").status_code == 200
    stack.down()


WRONG = {
    "it ends": ("--exit 3", "http: /health", "exit 3"),
    "it is never ready": (
        "--ready-after never --loading 503",
        "http: /health, timeout: 300ms",
        "not ready within",
    ),
    "it hangs without a sign": (
        "--ready-after never",
        "http: /health, stall: 500ms",
        "no output and no CPU use",
    ),
    "it cannot be started": ("", "http: /health", "could not be started"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_fails_leaves_the_old_one_as_it_was(make_stack: Make, what: str) -> None:
    flags, ready, words = WRONG[what]
    low = free_ports(5)
    stack = live(make_stack, low, "--mark marks --print chatter --every 20ms")
    before = stack.ps()
    wrong = text(low, flags, ready)
    if not flags:
        wrong = wrong.replace("PRETEND --name llm", "./not-there")
    reload(stack, wrong)
    snapshot = stack.wait_for(lambda s: any(d.code == "E506" for d in s.diagnostics))
    problem = next(d for d in snapshot.diagnostics if d.code == "E506")
    if flags:
        assert words in problem.message
    now = stack.ps()
    for name in before:
        assert (now[name]["pid"], now[name]["ports"], now[name]["state"]) == (
            before[name]["pid"], before[name]["ports"], before[name]["state"],
        )  # fmt: skip
    assert any(hold["kind"] == "stale" for hold in now["llm"]["holds"])
    eventually(lambda: services_of(stack) == 4, "nothing of the new one lives")
    eventually(lambda: is_free(low + 1), "its port is let go")
    assert "E506" in stack.cli("ps", check=0).stderr
    eventually(lambda: "E506" in stack.output(), "the console tells it")
    reload(stack, text(low, "--mark marks --show-env A"))  # the next change is tried
    replaced(stack, before["llm"]["pid"])
    assert "E506" not in stack.cli("ps", check=0).stderr
    stack.down()


def test_the_old_one_dies_meanwhile(make_stack: Make) -> None:
    low = free_ports(5)
    stack = live(make_stack, low)
    old, go = pids(stack)["llm"], stack.pipe("go")
    reload(stack, text(low, f"--mark marks --loading 503 --ready-when {go}"))
    replacement(stack, "503")
    assert old is not None
    os.kill(old, signal.SIGKILL)
    stack.wait_for(lambda s: any(v.name == "llm" and v.state == "starting" and v.pid for v in s.services))
    fire(go)
    new = replaced(stack, old)
    assert {mark.pid for mark in stack.marks_of("llm", "start")} == {old, new}
    stack.down()


def test_a_newer_change_ends_the_replacement(make_stack: Make) -> None:
    """Also where the range has two numbers only."""
    low = free_ports(2)
    stack = make_stack(text(low, "--mark marks", width=2))
    stack.start("up", "--no-watch")
    stack.wait_up()
    before = pids(stack)
    reload(stack, text(low, "--mark marks --ready-after never --loading 503", width=2))
    first = replacement(stack, "503")
    reload(stack, text(low, "--mark marks --show-env A", width=2))
    new = replaced(stack, before["llm"])
    assert f"pid {new}," not in first
    assert stack.ps()["llm"]["ports"] == {"main": low + 1}
    starts = [mark.pid for mark in stack.marks_of("llm", "start")]
    assert len(starts) == 3
    assert not alive(starts[1])
    stack.down()


@pytest.mark.parametrize("how", ["down", "stop", "removed", "kill"])
def test_both_are_ended(make_stack: Make, how: str) -> None:
    low = free_ports(5)
    stack = live(make_stack, low)
    deaf = "--mark marks --ready-after never --loading 503 --ignore-term --fork setsid"
    reload(stack, text(low, deaf).replace("stop_grace: 3s", "stop_grace: 300ms"))
    replacement(stack, "503")
    if how == "stop":
        stack.cli("stop", "llm", check=0)
    elif how == "removed":
        stack.write("servers: {alone: {command: PRETEND --name alone}, api: {command: PRETEND, port: auto}}")
        stack.cli("reload", "--yes", check=0)
    elif how == "kill":
        stack.started[-1].send_signal(signal.SIGINT)
        stack.started[-1].send_signal(signal.SIGINT)
        stack.started[-1].wait(30)
    if how in ("stop", "removed"):
        mine = lambda: [c for c in stack.survivors().values() if "--name llm" in c]  # noqa: E731
        eventually(lambda: not mine(), "both are gone")
        for number in (low, low + 1):
            if how == "removed":
                eventually(lambda number=number: is_free(number), f"{number} is let go")
    if how != "kill":
        stack.down()
    eventually(lambda: not stack.survivors(), "nothing is left")


def test_a_save_that_gets_no_second_port_changes_nothing(make_stack: Make) -> None:
    low = free_ports(2)
    stack = make_stack(text(low, "--mark marks", width=2))
    with socket.create_server(("127.0.0.1", low + 1)):
        stack.start("up", "--no-watch")
        stack.wait_up()
        before = pids(stack)
        said = reload(stack, text(low, "--show-env A", width=2), check=2)
        assert "E301" in said
        assert f"no free port for the replacement of `llm` in {low}-{low + 1}" in said
        assert "nothing was changed" in said
        assert pids(stack) == before
        assert stack.ps()["llm"]["holds"] == []
    stack.down()


def test_a_watched_file_and_what_is_inherited(make_stack: Make) -> None:
    low = free_ports(5)
    stack = make_stack(
        text(low, "--fd 3").replace(
            "    stop_grace", "    handover: inherit\n    watch: [code]\n    stop_grace"
        )
    )
    (stack.folder / "code").write_text("1")
    stack.start("up")
    stack.wait_up()
    before = pids(stack)
    (stack.folder / "code").write_text("2")
    replaced(stack, before["llm"])
    texts = [event["text"] for event in stack.events() if event["service"] == "llm"]
    story = ["to be started beside the one that runs", "takes over: it is ready", "stopped"]
    found = [t for t in texts if t in story]
    assert found[-3:] == story
    assert get(f"http://127.0.0.1:{low + 1}/").status_code == 200
    assert stack.ps()["alone"]["pid"] == before["alone"]
    stack.down()


def test_in_place_is_in_place(make_stack: Make) -> None:
    stack = live(make_stack, free_ports(5))
    before = pids(stack)
    stack.write(stack.file.read_text().replace("stop_grace: 3s", "stop_grace: 4s"))
    assert "update llm" in stack.cli("reload", check=0).stderr
    assert pids(stack) == before
    stack.down()


def test_p8_the_supervisor_dies_while_the_new_one_loads(make_stack: Make) -> None:
    """The one that serves is taken over; the one that was loading is ended, and another one takes its place."""
    low = free_ports(5)
    stack = live(make_stack, low)
    before = pids(stack)
    reload(stack, text(low, "--mark marks --loading 503 --ready-after never"))
    replacement(stack, "503")
    loading = [mark for mark in stack.marks_of("llm", "start") if mark.pid != before["llm"]]
    kill_supervisor(stack)
    stack.start("up", "--no-watch")
    stack.wait_up()
    held = replacement(stack, "503")
    assert pids(stack) == before, held
    assert not any(alive(mark.pid) for mark in loading), "what nobody knows any more"
    assert get(f"http://127.0.0.1:{low}/health").status_code == 200
    stack.write(text(low, "--mark marks"))
    stack.cli("reload", check=0)
    stack.wait_for(lambda s: all(not view.holds for view in s.services))
    assert pids(stack) == before, "the old definition again"
    stack.down()
