"""What launchpads leave for each other on disk: registrations, records, and the end of a stack by them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from launchpad.core.model import Handle, Identity, Launch, Lease
from launchpad.hosts.local import process, records, spawn
from launchpad.hosts.local.orphans import end_stack, left_of
from launchpad.hosts.local.records import (
    Book,
    intent,
    read_private,
    read_records,
    remove_records,
    write_private,
)
from launchpad.hosts.local.registry import private_runtime_dir, register, registrations, unregister
from launchpad.paths import StackPaths
from tests.local.real import PATIENCE_S, killed_after, launch, until

WHO = Identity("digest", 2, (("llm", 4),), (Lease("a", "main", 8000, "127.0.0.1"),))
LAUNCH = Launch(("serve", "--port", "1"), (("TOKEN", "secret"),), True, "/work")


pytestmark = pytest.mark.usefixtures("runtime")


# -- registrations -------------------------------------------------------------------------------------


def test_a_registration_is_read_by_others_until_it_is_withdrawn(paths: StackPaths) -> None:
    lease = Lease("llm", "main", 8030, "127.0.0.1")
    register(paths, "rag", "run-1", [(lease, 1000.0)])
    (one,) = registrations()
    assert (one.stack, one.file, one.run_id) == ("rag", str(paths.file), "run-1")
    assert one.supervisor == process.handle_of(os.getpid())
    assert [(held.service, held.number, held.since) for held in one.ports] == [("llm", 8030, 1000.0)]
    unregister(paths)
    assert registrations() == []


def test_a_registration_of_a_dead_supervisor_is_no_news_and_is_removed(paths: StackPaths) -> None:
    register(paths, "rag", "run-1", [])
    raw = json.loads(paths.registration.read_text())
    paths.registration.write_text(json.dumps({**raw, "start": raw["start"] - 1}))
    assert registrations() == []
    assert not paths.registration.exists()


def test_a_dead_supervisor_is_remembered_while_there_are_records(paths: StackPaths) -> None:
    register(paths, "rag", "run-1", [])
    Book(paths).begin(intent("a", 7, "run-1", WHO, LAUNCH))
    raw = json.loads(paths.registration.read_text())
    paths.registration.write_text(json.dumps({**raw, "start": raw["start"] - 1}))
    assert registrations() == []
    assert paths.registration.exists()


def test_nonsense_and_files_of_others_are_passed_over(paths: StackPaths, tmp_path: Path) -> None:
    folder = private_runtime_dir()
    (folder / "a.json").write_text("{")
    (folder / "b.json").write_text('{"stack": 1}')
    (folder / "c.json").write_text("[]")
    (tmp_path / "elsewhere.json").write_text("{}")
    (folder / "d.json").symlink_to(tmp_path / "elsewhere.json")
    os.mkfifo(folder / "e.json")
    assert registrations() == []


def test_withdrawing_leaves_another_supervisor_s_file(paths: StackPaths) -> None:
    register(paths, "rag", "run-1", [])
    raw = json.loads(paths.registration.read_text())
    paths.registration.write_text(json.dumps({**raw, "pid": 1}))
    unregister(paths)
    assert paths.registration.exists()


def test_a_runtime_folder_open_to_others_is_closed(runtime: Path) -> None:
    (runtime / "launchpad").mkdir(mode=0o777)
    (runtime / "launchpad").chmod(0o777)
    assert private_runtime_dir().stat().st_mode & 0o777 == 0o700


def test_a_runtime_folder_that_is_a_link_is_refused(runtime: Path, tmp_path: Path) -> None:
    (tmp_path / "trap").mkdir()
    (runtime / "launchpad").symlink_to(tmp_path / "trap")
    with pytest.raises(OSError, match="belongs to another"):
        private_runtime_dir()


# -- records -------------------------------------------------------------------------------------------


def test_a_record_survives_the_way_to_disk_and_back(paths: StackPaths) -> None:
    bare = intent("a", 7, "run-1", WHO, LAUNCH)
    book = Book(paths)
    book.begin(bare)
    assert read_records(paths) == [bare]
    full = msgspec.structs.replace(
        bare, handle=Handle(5, 6, "boot"), started_at=12.5, log_start=300, boot="boot"
    )
    book.complete(full)
    assert read_records(paths) == [full]
    book.begin(full)
    assert read_records(paths) == [full]
    assert paths.records.stat().st_mode & 0o777 == 0o600
    assert "secret" not in paths.records.read_text()
    book.drop(7)
    book.drop(7)
    assert read_records(paths) == []
    book.close()
    assert not paths.records.exists(), "there is nothing to be told"


def test_a_path_need_not_be_text(paths: StackPaths) -> None:
    record = intent("a", 7, "run-1", WHO, msgspec.structs.replace(LAUNCH, working_dir="/caf\udce9"))
    Book(paths).begin(record)
    assert read_records(paths) == [record]


def written(paths: StackPaths, *attempts: int) -> Book:
    book = Book(paths)
    for attempt in attempts:
        book.begin(intent("a", attempt, "run-1", WHO, LAUNCH))
    return book


def attempts(paths: StackPaths) -> list[int]:
    return [record.attempt for record in read_records(paths)]


def test_a_later_supervisor_writes_on_without_what_is_gone(paths: StackPaths) -> None:
    written(paths, 7, 8).drop(7)
    written(paths, 9).note(8, leaving=True)
    assert attempts(paths) == [8, 9]
    assert [record.leaving for record in read_records(paths)] == [True, False]
    assert paths.records.read_text().count('"version"') == 2


def test_what_others_remove_takes_the_file_with_the_last(paths: StackPaths) -> None:
    remove_records(paths, [7])
    written(paths, 7, 8)
    remove_records(paths, [7])
    assert attempts(paths) == [8]
    remove_records(paths, [8])
    assert not paths.records.exists()


def test_a_deleted_file_is_written_again_with_all_that_lives(paths: StackPaths) -> None:
    book = written(paths, 7, 8)
    book.drop(7)
    shutil.rmtree(paths.state_dir)
    book.begin(intent("a", 9, "run-1", WHO, LAUNCH))
    assert attempts(paths) == [8, 9]


def test_many_that_are_gone_do_not_stay_in_it(paths: StackPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_GONE", 3)
    book = written(paths, 1, 2, 3, 4)
    sizes = []
    for attempt in range(5, 20):
        book.begin(intent("a", attempt, "run-1", WHO, LAUNCH))
        book.drop(attempt - 1)
        sizes.append(paths.records.stat().st_size)
    assert attempts(paths) == [1, 2, 3, 19]
    assert max(sizes) < 2 * sizes[0]


def test_what_finds_no_room_is_written_later(paths: StackPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what cannot be written down is not started: that raises."""
    book = written(paths, 7, 8)
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(records.os, "write", lambda fd, data: write(fd, data[:9]))
        book.drop(7)
        with pytest.raises(OSError, match="No space left"):
            book.begin(intent("a", 9, "run-1", WHO, LAUNCH))
    assert attempts(paths) == [7, 8]
    book.note(8, leaving=True)
    assert attempts(paths) == [8]


def test_half_a_record_and_one_of_a_later_version_are_left_out(paths: StackPaths) -> None:
    book = written(paths, 7)
    with paths.records.open("a") as file:
        file.write('{"attempt": 7, "pid": 12, "sta\n')
        file.write('{"version": 99, "attempt": 9}\n[]\n{}\n')
        file.write('{"version": 1, "attempt": 8, "service": ')
    book.note(7, leaving=True)
    assert [(record.attempt, record.leaving) for record in read_records(paths)] == [(7, True)]


def test_private_files_are_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("{}")
    (tmp_path / "file").symlink_to(tmp_path / "target")
    assert read_private(tmp_path / "file") is None
    write_private(tmp_path / "file", {"a": 1})
    assert (tmp_path / "target").read_text() == "{}"
    assert read_private(tmp_path / "file") == {"a": 1}
    assert sorted(os.listdir(tmp_path)) == ["file", "target"]


# -- the end of a stack --------------------------------------------------------------------------------

SUPERVISOR = """
import asyncio, os, signal, sys
from launchpad.core.facts import Spawned
from launchpad.core.model import Identity, Launch
from launchpad.core.wishes import Spawn
from launchpad.hosts.local.host import LocalHost
from launchpad.paths import stack_paths

async def main():
    paths = stack_paths('stack.yaml')
    host = LocalHost(lambda fact: None, paths, 'demo', run_id=sys.argv[1])
    for n, code in enumerate(sys.argv[2:]):
        argv = (sys.executable, '-S', '-c', code)
        host.submit([Spawn(f's{n}', n + 1, Identity('d'), Launch(argv, (), True, os.getcwd()))])
    while len([n for n in os.listdir('.') if n.startswith('up.')]) < len(sys.argv) - 2:
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
POLITE = "open('up.polite', 'w'); import signal; signal.signal(15, lambda *_: exit(0)); signal.pause()"
DEAF = """
import os, signal
signal.signal(15, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0: os.setsid()
open('up.deaf', 'w')
while True: signal.pause()
"""
DAEMON = """
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open('up.daemon', 'w')
        while True: signal.pause()
    os._exit(0)
"""


def orphaned(folder: Path, run_id: str, *codes: str) -> None:
    """A stack whose supervisor was killed; its processes live."""
    done = subprocess.run(
        [sys.executable, "-c", SUPERVISOR, run_id, *codes], cwd=folder, timeout=PATIENCE_S * 2
    )
    assert done.returncode == -signal.SIGKILL


def test_everything_of_a_dead_supervisor_is_ended(tmp_path: Path, paths: StackPaths) -> None:
    run_id = f"run-{os.getpid()}-end"
    orphaned(tmp_path, run_id, POLITE, DEAF, DAEMON)
    until(lambda: len(process.find_by_run(run_id)) == 6)
    assert len(read_records(paths)) == 3
    left = left_of(paths)
    assert (sorted(left.mains), len(left.all)) == (["s0", "s1"], 6)
    assert end_stack(paths, 0.3) == []
    assert process.find_by_run(run_id) == []
    assert read_records(paths) == []
    assert not paths.registration.exists()
    assert end_stack(paths, 0.3) == []


STRIPPED = """
import os, signal, subprocess, sys
code = "import os, signal, sys; signal.signal(15, signal.SIG_IGN); print(os.getpid()); sys.stdout.flush(); "
code += "open('up.' + sys.argv[1], 'w').write(str(os.getpid())); signal.pause()"
out = subprocess.DEVNULL if sys.argv[1] == 'child' else None
subprocess.Popen([sys.executable, '-S', '-c', code, sys.argv[1]], env={}, stdout=out, stderr=out,
                 start_new_session=True)
if sys.argv[1] == 'orphan': sys.exit()
signal.pause()
"""


@pytest.mark.parametrize("how", ["child", "orphan"])
def test_what_wiped_its_environment_and_left_its_session_is_ended(
    how: str, tmp_path: Path, paths: StackPaths
) -> None:
    """A child of a live main process is remembered when that has gone; an orphan is known by its log."""
    run_id = f"run-{os.getpid()}-{how}"
    orphaned(tmp_path, run_id, f"import sys; sys.argv[1:] = [{how!r}]" + STRIPPED)
    pid = int(until(lambda: (tmp_path / f"up.{how}").read_text()))
    found = process.handle_of(pid)
    assert found is not None
    assert process.marks(pid) is None
    with killed_after(found):
        assert end_stack(paths, 0.3) == []
        assert not process.alive(found)


def test_who_only_reads_a_log_is_none_of_the_stack(tmp_path: Path, paths: StackPaths) -> None:
    run_id = f"run-{os.getpid()}-reader"
    orphaned(tmp_path, run_id, POLITE)
    with killed_after(launch(["tail", "-f", str(paths.log("s0"))], tmp_path)) as reader:
        assert end_stack(paths, 5) == []
        assert process.alive(reader)


def test_an_intent_is_enough_to_find_the_process(tmp_path: Path, paths: StackPaths) -> None:
    """The supervisor died between the start and the record of its pid."""
    run_id = f"run-{os.getpid()}-intent"
    orphaned(tmp_path, run_id, POLITE)
    paths.registration.unlink()
    (record,) = read_records(paths)
    Book(paths).begin(intent(record.service, record.attempt, run_id, record.identity, LAUNCH))
    assert end_stack(paths, 5) == []
    assert process.find_by_run(run_id) == []


def test_a_record_whose_pid_is_another_program_now_is_never_signalled(
    tmp_path: Path, paths: StackPaths
) -> None:
    with killed_after(launch(["sleep", "600"], tmp_path)) as stranger:
        for attempt, handle in enumerate(
            [
                Handle(stranger.pid, stranger.start - 1, stranger.boot),
                Handle(stranger.pid, stranger.start, "old"),
            ]
        ):
            bare = intent("a", attempt, "run-x", WHO, LAUNCH)
            Book(paths).begin(msgspec.structs.replace(bare, handle=handle))
        assert end_stack(paths, 0.1) == []
        assert process.alive(stranger)
        assert spawn.wait(stranger.pid) is None
        assert read_records(paths) == []


def test_a_service_s_own_stop_signal_is_used(tmp_path: Path, paths: StackPaths) -> None:
    run_id = f"run-{os.getpid()}-sig"
    code = """
import signal
signal.signal(signal.SIGINT, lambda *_: (open('got.int', 'w'), exit(0)))
open('up.1', 'w')
signal.pause()
"""
    orphaned(tmp_path, run_id, code)
    assert end_stack(paths, 10, {"s0": signal.SIGINT}) == []
    assert (tmp_path / "got.int").exists()
