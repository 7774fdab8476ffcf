"""The reload transaction, without a watcher: what a save does, and what it must not do."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from launchpad.errors import Refused
from launchpad.runtime import reload
from launchpad.runtime.contents import is_being_written
from launchpad.runtime.draft import Draft, take
from launchpad.runtime.options import UpOptions
from launchpad.runtime.reload import Patience, Reloader
from tests.e2e.harness import free_ports
from tests.runtime.live import AT_ONCE, DEADLINE_S, SLEEPER, Live, live

Case = Callable[[Live], Awaitable[None]]


def play(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, case: Case, patience: Patience = AT_ONCE
) -> None:
    async def main() -> None:
        async with live(folder, text.replace("SLEEPER", SLEEPER), monkeypatch, patience) as one:
            await case(one)

    asyncio.run(main())


THREE = """\
# three of them
servers:
  a: {command: SLEEPER --name a}
  b: {command: SLEEPER --name b}
  c: {command: SLEEPER --name c}
"""

REALISTIC = """\
# the servers of an evaluation
name: prefixes
vars: {grace: 5s, greeting: "hello: world"}
env_file: [{path: .env, required: false}]
defaults:
  restart: on-failure
  stop_grace: ${vars.grace}

servers:
  llm:
    command: SLEEPER --name llm --show-env GREETING
    port: auto
    environment: {GREETING: "${vars.greeting}", LEVEL: "3"}
    ready: {http: /health, timeout: 1m}
  embed:
    command: [SPLIT, --name, embed]
    port: auto
    depends_on: {llm: started}
    ready: /health
  reward:
    command: SLEEPER --name reward
    port: auto
    ready:
      http: /health
      interval: 5s
    output:
      - console
      - file: logs/reward.log
        rotate: 5MB
        keep: 2

jobs:
  train:
    command: SLEEPER --name train --alive-for 1h
    depends_on: [llm, embed, reward]
    environment:
      STEPS: "100"
      RATE: "0.001"
    retries: 2

x-notes: |
  nothing below this line means anything
  to anybody
"""


def test_no_beginning_of_the_file_stops_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P7: whatever prefix of the file is saved over it, everything goes on; then the good file applies."""
    text = REALISTIC.replace("SPLIT", SLEEPER.replace(" ", ", "))
    first = text.replace("SLEEPER", SLEEPER).encode()
    patience = Patience(settle_s=0.0, broken_s=0.0, ending_s=0.3, cut_s=30.0)

    async def case(one: Live) -> None:
        before = one.pids()
        attempts = one.supervisor.engine.state.counter
        assert len(before) == 4
        for length in range(len(first)):
            one.write(first[:length])
            saving = asyncio.create_task(one.reloader.saved())
            await asyncio.wait([saving], timeout=0.05)
            if not saving.done():  # it waits for the rest: here it is, and it is the same as before
                one.write(first)
                await saving
            assert one.pids() == before, f"after {length} bytes: {first[:length][-60:]!r}"
        await one.save(first)
        assert one.supervisor.engine.state.counter == attempts
        assert not one.supervisor.notices.stale
        await one.save(first.replace(b'LEVEL: "3"', b'LEVEL: "4"'))
        await one.until(lambda s: s.phase == "up" and one.pids().get("llm") not in (None, before["llm"]))
        assert {**one.pids(), "llm": 0} == {**before, "llm": 0}

    play(tmp_path, monkeypatch, text, case, patience)


def test_bad_then_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(one: Live) -> None:
        before, good = one.pids(), one.file.read_text()
        bad = await one.save(good.replace("a: {comm", "a: {depends_on: [zzz], comm"))
        assert bad.stale
        assert [d.code for d in bad.diagnostics] == ["E202"]
        assert bad.diagnostics[0].labels[0].span.line == 3
        assert "nothing was changed" in bad.diagnostics[0].consequence
        assert one.pids() == before
        number = bad.notices[-1].number
        await one.reloader.saved()
        assert one.supervisor.snapshot().notices[-1].number == number, "the same content says nothing"
        back = await one.save(good)
        assert not back.stale
        assert not back.diagnostics
        assert one.pids() == before
        await one.save(good.replace("--name b", "--name bb"))
        await one.until(lambda s: one.pids().get("b") not in (None, before["b"]))
        assert one.pids()["a"] == before["a"]

    play(tmp_path, monkeypatch, THREE, case)


def test_a_comment_says_and_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(one: Live) -> None:
        before, rev = one.pids(), one.supervisor.engine.state.rev
        after = await one.save("# another\n" + one.file.read_text())
        assert not after.notices
        assert (one.pids(), one.supervisor.engine.state.rev) == (before, rev)
        label = one.supervisor.reading.label("a", "command")
        assert label is not None
        assert label.span.line == 4, "places are those of the file as it is now"

    play(tmp_path, monkeypatch, THREE, case)


def test_news_come_after_what_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a picture takes to make; but the end is told at once."""

    async def case(one: Live) -> None:
        supervisor = one.supervisor
        supervisor.picture_s = 3600.0
        rev = supervisor.rev
        waits = asyncio.create_task(supervisor.status(rev, 3600.0))
        await asyncio.sleep(0)
        supervisor.ask_restart(("a",))
        for _ in range(10):  # turns of the loop: more than it takes to be told
            await asyncio.sleep(0)
        assert supervisor.rev > rev
        assert not waits.done()
        supervisor.ask_down(kill=True)
        assert (await asyncio.wait_for(waits, DEADLINE_S)).phase == "finished"

    play(tmp_path, monkeypatch, THREE, case)


def test_what_is_as_it_was_judged_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most programs write in several steps, each of which is a save."""
    reads: list[Draft] = []

    def noted(*given: Any) -> Draft:
        reads.append(take(*given))
        return reads[-1]

    async def case(one: Live) -> None:
        monkeypatch.setattr(reload, "take", noted)
        text = one.file.read_text()
        for saved in (text, text.replace("three", "all"), text.replace("three", "all"), text):
            one.write(saved)
            await one.reloader.saved()

    play(tmp_path, monkeypatch, THREE, case)
    assert len(reads) == 2


@pytest.mark.parametrize("what", ["stack.yaml", "stack.local.yaml", "own.env", "nothing"])
def test_saved_between_the_reading_and_the_first_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """What was read at the start is not read again, unless it is not that any more."""
    (tmp_path / "own.env").write_text("X=1\n")
    reads: list[Draft] = []

    def noted(*given: Any) -> Draft:
        reads.append(take(*given))
        return reads[-1]

    async def case(one: Live) -> None:
        before = one.pids()
        monkeypatch.setattr(reload, "take", noted)
        if what == "stack.yaml":
            one.write(one.file.read_text().replace("--name c", "--name d"))
        elif what == "own.env":
            (tmp_path / "own.env").write_text("X=2\n")
        elif what != "nothing":
            (one.file.parent / what).write_text("servers: {c: {environment: {X: y}}}\n")
        await Reloader(one.supervisor, UpOptions(file=one.file), AT_ONCE).saved()
        if what == "nothing":
            assert one.pids() == before
        else:
            await one.until(lambda _: one.pids().get("c") not in (None, before["c"]))
        assert bool(reads) == (what != "nothing")

    play(tmp_path, monkeypatch, THREE.replace("--name c", "--name c, env_file: [own.env]"), case)


def test_gone_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(one: Live) -> None:
        before, text = one.pids(), one.file.read_text()
        one.file.unlink()
        await one.reloader.saved()
        assert "gone" in one.supervisor.snapshot().stale
        assert one.pids() == before
        one.file.write_text(text)
        await one.reloader.saved()
        assert not one.supervisor.snapshot().stale
        assert one.pids() == before

    play(tmp_path, monkeypatch, THREE, case)


def test_most_of_it_gone_waits_for_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(one: Live) -> None:
        before, text = one.pids(), one.file.read_text()
        small = "# rest\n" + "".join(
            line for line in text.splitlines(True) if "  a:" in line or "serv" in line
        )
        held = await one.save(small)
        assert held.stale
        assert [d.code for d in held.diagnostics] == ["E612"]
        assert one.pids() == before
        with pytest.raises(Refused) as refused:
            await one.reloader.asked({}, (), retry=False)
        assert [d.code for d in refused.value.diagnostics] == ["E612"]
        reply = await one.reloader.asked({"yes": True}, (), retry=False)
        assert reply.ok
        await one.until(lambda s: set(one.pids()) == {"a"})
        assert one.pids()["a"] == before["a"]
        assert not one.supervisor.snapshot().stale

    play(tmp_path, monkeypatch, THREE, case)


def test_one_of_three_goes_by_a_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(one: Live) -> None:
        before, text = one.pids(), one.file.read_text()
        await one.save("".join(line for line in text.splitlines(True) if "  c:" not in line))
        await one.until(lambda s: {v.name for v in s.services} == {"a", "b"})
        assert one.pids() == {name: before[name] for name in "ab"}

    play(tmp_path, monkeypatch, THREE, case)


def test_the_tail_taken_out_applies_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole lines gone from the end: a half-written file looks like that, but only for a moment."""

    async def case(one: Live) -> None:
        text = one.file.read_text()
        one.write(text[: text.index("  c:")])
        saving = asyncio.create_task(one.reloader.saved())
        done, _ = await asyncio.wait([saving], timeout=0.3)
        assert not done
        assert set(one.pids()) == {"a", "b", "c"}
        await saving
        await one.until(lambda s: {v.name for v in s.services} == {"a", "b"})

    play(tmp_path, monkeypatch, THREE, case, Patience(cut_s=1.5))


def test_fixed_ports_change_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that this very save frees is not refused: renamed, and swapped."""
    first = free_ports(2)
    text = f"""\
servers:
  a: {{command: SLEEPER --name a, port: {first}}}
  b: {{command: SLEEPER --name b, port: {first + 1}}}
"""

    def swapped(text: str) -> str:
        return text.replace(f"{first}", "X").replace(f"{first + 1}", f"{first}").replace("X", f"{first + 1}")

    async def case(one: Live) -> None:
        text = one.file.read_text()
        snapshot = await one.save(swapped(text))
        assert not snapshot.stale, snapshot.diagnostics
        ports = {"a": first + 1, "b": first}
        await one.until(lambda s: s.phase == "up" and {v.name: v.ports["main"] for v in s.services} == ports)
        snapshot = await one.save(swapped(text).replace("  b:", "  c:"))
        assert not snapshot.stale, snapshot.diagnostics
        ports = {"a": first + 1, "c": first}
        await one.until(
            lambda s: s.phase == "up" and {v.name: v.ports.get("main") for v in s.services} == ports
        )

    play(tmp_path, monkeypatch, text, case)


def test_a_port_that_is_not_free_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(one: Live) -> None:
        before, text = one.pids(), one.file.read_text()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            snapshot = await one.save(text.replace("--name b}", f"--name bb, port: {port}}}"))
            (told,) = snapshot.diagnostics
            assert (told.code, told.message) == ("E301", f"port {port} for `b` is not free")
            assert told.consequence == "nothing was changed, the stack runs as before"
            assert told.labels[0].span.line == 4
            assert one.pids() == before
        await one.save(text)
        assert not one.supervisor.notices.stale

    play(tmp_path, monkeypatch, THREE, case)


def test_what_failed_or_was_stopped_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save does not try again what has failed and did not change, nor start what somebody stopped."""

    async def case(one: Live) -> None:
        one.supervisor.ask_stop(("a",))
        await one.until(lambda s: s.services[0].state == "idle")
        text = one.file.read_text().replace("--name b}", "--name b --exit 3, restart: never}")
        await one.save(text)
        failed = await one.until(lambda s: s.services[1].state == "failed")
        attempts = [view.attempt for view in failed.services]
        await one.save(text.replace("--name c", "--name cc"))
        now = await one.until(
            lambda s: s.services[2].attempt != attempts[2] and s.services[2].state == "ready"
        )
        assert [view.attempt for view in now.services][:2] == attempts[:2]
        assert [view.state for view in now.services] == ["idle", "failed", "ready"]
        await one.reloader.asked({}, (), retry=True)
        tried = await one.until(lambda s: s.services[1].attempt != attempts[1])
        assert tried.services[0].state == "idle", "`up` tries again what failed; what is stopped stays so"

    play(tmp_path, monkeypatch, THREE, case)


def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece is a valid stack; only the whole is applied."""

    async def case(one: Live) -> None:
        before, text = one.pids(), one.file.read_text()
        whole = "# new\n" + text.replace("--name a", "--name aa")
        with one.file.open("w") as stream:
            stream.write(whole[: whole.index("  b:")])
            stream.flush()
            assert is_being_written(one.file)
            saving = asyncio.create_task(one.reloader.saved())
            done, _ = await asyncio.wait([saving], timeout=0.3)
            assert not done
            stream.write(whole[whole.index("  b:") :])
        assert not is_being_written(one.file)
        await saving
        await one.until(lambda s: s.phase == "up" and one.pids().get("a") not in (None, before["a"]))
        assert {**one.pids(), "a": 0} == {**before, "a": 0}

    endless = replace(
        AT_ONCE, writing_s=DEADLINE_S, most_s=DEADLINE_S
    )  # this machine may be slow, the writer is not
    play(tmp_path, monkeypatch, THREE, case, endless)


def test_a_writer_that_finishes_just_before_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the file was read, the rest written and the file closed, and only then somebody asked who writes."""

    async def case(one: Live) -> None:
        before, text = one.pids(), one.file.read_text()
        whole = text.replace("--name a", "--name aa")

        def finishes(file: Path) -> bool:
            one.write(whole)
            return False

        monkeypatch.setattr("launchpad.runtime.reload.is_being_written", finishes)
        one.write(whole[: whole.index("  c:")])
        await one.reloader.saved()
        await one.until(lambda s: s.phase == "up" and one.pids().get("a") not in (None, before["a"]))
        assert {**one.pids(), "a": 0} == {**before, "a": 0}

    play(tmp_path, monkeypatch, THREE, case)


def test_saves_during_a_reload_come_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(one: Live) -> None:
        text = one.file.read_text()
        saves = []
        for number in range(8):
            one.write(text.replace("--name c", f"--name c{number}"))
            saves.append(asyncio.create_task(one.reloader.saved()))
            await asyncio.sleep(0)
        await asyncio.gather(*saves)
        assert one.supervisor.reading.plan.services[2].command[-1] == ("c7",)
        assert len(one.supervisor.snapshot().notices) < 8
        await one.up()

    play(tmp_path, monkeypatch, THREE, case, Patience())


def test_a_read_lease_harms_nobody(tmp_path: Path) -> None:
    """Somebody opens the file for writing in the very moment in which it is asked about: the kernel's signal for
    that does not end the one who asks."""
    file = tmp_path / "x"
    file.write_text("")
    script = f"""
import fcntl, os, pathlib, subprocess, sys
from launchpad.runtime import contents
real, code = fcntl.fcntl, "import os; os.open({str(file)!r}, os.O_WRONLY | os.O_NONBLOCK)"
def slow(fd, command, argument):
    done = real(fd, command, argument)
    if (command, argument) == (fcntl.F_SETLEASE, fcntl.F_RDLCK):
        found = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE)
        print("blocked" if b"BlockingIOError" in found.stderr else "let in")
    return done
fcntl.fcntl = slow
print(contents.is_being_written(pathlib.Path({str(file)!r})))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["blocked", "False"]), done.stderr
