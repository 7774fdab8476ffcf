"""exec and file probes: real programs, real files."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from launchpad.core.model import CheckKind
from launchpad.hosts.local import probes_exec
from tests.local.probing import Bench, bench
from tests.local.real import until

EXEC, FILE = CheckKind.EXEC, CheckKind.FILE


async def run_sh(b: Bench, script: str, **more: object) -> tuple[bool, str, str]:
    fact = await b.ask(EXEC, argv=("sh", "-c", script), **more)
    return fact.ok, fact.seen.kind, fact.seen.text


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("exit 0", (True, "ok", "exits 0")),
        ("echo no server; exit 3", (False, "exit", "exits 3: no server")),
        ("echo one; echo two >&2; echo; exit 1", (False, "exit", "exits 1: two")),
        ("printf 'a\\rb\\033[1mc'; exit 1", (False, "exit", "exits 1: b [1mc")),
        ("kill -9 $$", (False, "exit", "is killed by signal 9")),
        ("test $WHO = llm && test -z $HOME", (True, "ok", "exits 0")),
        ("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo end; exit 1", (False, "exit", "exits 1: end")),
    ],
)
def test_how_a_program_ends(tmp_path: Path, script: str, answer: tuple[bool, str, str]) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b:
            assert await run_sh(b, script, timeout_s=25.0) == answer

    asyncio.run(run())


def test_it_runs_in_the_working_dir_of_the_service(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()

    async def run() -> None:
        async with bench(tmp_path) as b:
            assert (await run_sh(b, "test -e mark"))[0]
            fact = await b.ask(EXEC, argv=("./no-such-program",))
            assert fact.seen.kind == "error"
            assert fact.seen.text == "`./no-such-program` cannot be run: No such file or directory"

    asyncio.run(run())


def test_the_timeout_kills_the_whole_group(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b:
            script = (
                "trap '' TERM; sh -c 'echo $$ > inner; exec sleep 600' & echo $$ > outer; echo waits; wait"
            )
            ok, kind, text = await run_sh(b, script, timeout_s=1.5)
            assert (ok, kind, text) == (False, "exit", "does not end within 1.5 s")
            for name in ("inner", "outer"):
                pid = int((tmp_path / name).read_text())
                until(lambda pid=pid: gone(pid), "the group to be gone")

    asyncio.run(run())


def test_what_a_check_leaves_behind_is_killed_and_its_pipe_holds_nothing_up(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b:
            assert await run_sh(b, "sleep 600 & echo $! > left; exit 0", timeout_s=25.0) == (
                True,
                "ok",
                "exits 0",
            )
            pid = int((tmp_path / "left").read_text())
            until(lambda: gone(pid), "what it left to be gone")

    asyncio.run(run())


def test_a_program_that_prints_for_ever_ends_by_the_timeout(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b:
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    await asyncio.sleep(0)  # gives the loop a turn: this counts them
                    turns += 1

            counter = asyncio.create_task(count())
            assert (await run_sh(b, "exec yes", timeout_s=1.0))[2] == "does not end within 1 s"
            counter.cancel()
            assert turns > 100

    asyncio.run(run())


def test_closing_kills_a_running_check_and_takes_its_corpse(tmp_path: Path) -> None:
    async def run() -> int:
        async with bench(tmp_path) as b:
            b.send(EXEC, argv=("sh", "-c", "echo $$ > pid; exec sleep 600"), timeout_s=600.0)
            while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):
                await asyncio.sleep(0.01)  # the file appears when the shell gets that far
            return int((tmp_path / "pid").read_text())

    pid = asyncio.run(run())
    until(lambda: not Path(f"/proc/{pid}").exists(), "the corpse to be taken")


def test_an_exit_that_somebody_else_took_is_not_good(tmp_path: Path) -> None:
    async def run() -> None:
        made = probes_exec.Run(("sh", "-c", "exit 0"), {"PATH": os.environ["PATH"]}, str(tmp_path))
        os.waitpid(made._process.pid, 0)
        code, _ = await asyncio.wait_for(made.wait(), 20)
        made.close()
        assert code is None

    asyncio.run(run())


def test_a_file_is_ready_when_it_is_from_this_start(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b:
            fact = await b.ask(FILE, "out/model.bin")
            path = tmp_path / "out" / "model.bin"
            assert (fact.ok, fact.seen.kind) == (False, "missing")
            assert fact.seen.text == f"`{path}` does not exist"
            path.parent.mkdir()
            path.touch()
            assert (await b.ask(FILE, "out/model.bin")).ok
            assert (await b.ask(FILE, str(path))).ok

    asyncio.run(run())


def test_a_stale_file_is_not_ready_and_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.touch()

    async def run() -> None:
        async with bench(tmp_path) as b:
            b.running.started_at = time.time() + 60
            first, second = await b.ask(FILE, "model.bin"), await b.ask(FILE, "model.bin")
            assert (first.ok, first.seen.kind) == (False, "missing")
            assert first.seen.text.startswith(f"`{path}` is left from before this start (changed 20")
            assert first.seen == second.seen
            b.running.started_at = path.stat().st_ctime
            os.utime(path, (1, 1))
            assert (await b.ask(FILE, "model.bin")).ok, "moved here just now, though written long ago"

    asyncio.run(run())


def test_signals_are_as_a_program_expects_them(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b:
            script = f"kill -{int(signal.SIGPIPE)} $$; exit 0"
            assert await run_sh(b, script) == (False, "exit", f"is killed by signal {int(signal.SIGPIPE)}")

    asyncio.run(run())
