"""How what nobody's parent is here ended, and who writes it down when the supervisor is dead."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launchpad.core.model import Handle
from launchpad.hosts.local import keeper, process, process_end, records
from launchpad.hosts.local.process_end import End, end_of, open_pidfd
from launchpad.hosts.local.records import Record, read_records
from launchpad.hosts.local.survey import survey
from launchpad.paths import StackPaths
from tests.local.real import PATIENCE_S, python, until

pytestmark = pytest.mark.usefixtures("runtime")


# -- how it ended ---------------------------------------------------------------------------------------

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, '-S', '-c', sys.argv[1]], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.readline()
child.stdin.close()
sys.stdin.readline()
child.wait()
print('buried', flush=True)
sys.stdin.readline()
"""


def kernel_tells() -> bool:
    """Whether this kernel says how a process ended to those who are not its parent."""
    major, minor, *_ = os.uname().release.split(".")
    return (int(major), int(minor)) >= (6, 15)


@pytest.mark.parametrize(
    ("code", "expected"), [("sys.exit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -9)]
)
def test_the_code_of_somebody_else_s_child(code: str, expected: int, tmp_path: Path) -> None:
    """Before its parent has waited for it, and after."""
    script = python(PARENT, f"import sys; sys.stdin.read(); {code}")
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        handle = process.handle_of(int(parent.stdout.readline()))
        assert handle is not None
        fd = open_pidfd(handle)
        assert fd is not None
        assert end_of(handle, fd) is None, "it lives"
        parent.stdin.write("end\n")
        parent.stdin.flush()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(PATIENCE_S * 1000)
        assert until(lambda: end_of(handle, fd)) == End(expected)
        parent.stdin.write("bury\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "buried\n"
        assert end_of(handle, None) == End(None), "without a descriptor nobody can say"
        if kernel_tells():
            assert end_of(handle, fd) == End(expected)
        parent.stdin.write("leave\n")
        parent.stdin.flush()
        os.close(fd)


def test_how_it_ended_in_words() -> None:
    assert [End(code).text for code in (0, 3, -9, None)] == [
        "exit 0",
        "exit 3",
        "killed by SIGKILL",
        "it is not known how",
    ]


def test_an_old_kernel_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr(process_end.fcntl, "ioctl", refuse)
    with subprocess.Popen(python("import sys; sys.exit(3)")) as child:
        handle = process.handle_of(child.pid)
        assert handle is not None
        fd = open_pidfd(handle)
        child.wait()
    assert end_of(handle, fd) == End(None)
    assert fd is not None
    os.close(fd)


def test_a_descriptor_is_of_this_very_process() -> None:
    me = process.handle_of(os.getpid())
    assert me is not None
    assert open_pidfd(Handle(me.pid, me.start - 1, me.boot)) is None
    assert open_pidfd(Handle(me.pid, me.start, "another boot")) is None
    assert end_of(Handle(me.pid, me.start - 1, me.boot), None) == End(None)


# -- who writes it down ---------------------------------------------------------------------------------

SUPERVISOR = """
import os, signal, subprocess, sys
from launchpad.core.model import Identity, Launch
from launchpad.hosts.local import process, records
from launchpad.hosts.local.keeper import Keeper
from launchpad.hosts.local.records import intent
from launchpad.paths import stack_paths
import msgspec

paths = stack_paths('stack.yaml')
paths.state_dir.mkdir(parents=True, exist_ok=True)
keeper = Keeper(paths)
if sys.argv[2] != 'nobody':
    keeper.become(ends_all=False)
marks = {'LAUNCHPAD_RUN': sys.argv[1], 'LAUNCHPAD_ATTEMPT': '7', 'LAUNCHPAD_SERVICE': 'job'}
launch = Launch(('x',), (), True, '/', job=True)
record = intent('job', 7, sys.argv[1], Identity('d'), launch)
book = records.Book(paths)
book.begin(record)
child = subprocess.Popen([sys.executable, '-S', '-c', sys.argv[3]], env={**os.environ, **marks},
                         stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
handle = process.handle_of(child.pid)
how = sys.argv[2]
if how != 'intent':
    fd = os.pidfd_open(child.pid)
    keeper.watch('job', 7, handle, fd, None)
    keeper.flush()
    book.complete(msgspec.structs.replace(record, handle=handle, started_at=1.0))
if how in ('buried', 'dealt with', 'restarted'):
    child.stdin.close()
    child.wait()
if how == 'dealt with':
    book.note(7, **records.end(5))
if how == 'restarted':
    book.drop(7)
if how == 'dismissed':
    child.kill()
    child.wait()
    keeper.dismiss()
if how == 'dying':
    child.stdin.close()
if how == 'nobody':
    records.write_private(paths.keeper, msgspec.to_builtins(process.handle_of(keeper.pid)))
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
WAITS = "import sys; sys.stdin.read(); sys.exit(3)"
WAITS_TO_BE_FOUND = """
import os, sys, time
sys.stdin.read()
while f'"pid":{os.getpid()}' not in open('.launchpad/stack.yaml/records.jsonl').read(): time.sleep(0.01)
sys.exit(3)
"""


def orphaned(folder: Path, how: str, code: str = WAITS) -> int:
    """The pid of a job whose supervisor was killed, in that state of things."""
    run_id = f"run-{os.getpid()}-{how.replace(' ', '-')}"
    words = [sys.executable, "-c", SUPERVISOR, run_id, how, code]
    done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S * 2)
    assert done.returncode == -signal.SIGKILL
    return int(done.stdout)


def keeper_pid(paths: StackPaths) -> Handle | None:
    raw = records.read_private(paths.keeper)
    assert raw is not None
    handle = Handle(raw["pid"], raw["start"], raw["boot"])
    return handle if process.alive(handle) else None


def ended(paths: StackPaths) -> Record:
    (record,) = until(lambda: [one for one in read_records(paths) if one.ended], "it is written down")
    return record


@pytest.mark.parametrize("how", ["living", "intent", "dying"])
def test_it_ends_after_its_supervisor(how: str, tmp_path: Path, paths: StackPaths) -> None:
    """Also if its pid was never written down, and if it was just about to end. Its stdin ends with the supervisor."""
    pid = orphaned(tmp_path, how, WAITS_TO_BE_FOUND if how == "intent" else WAITS)
    record = ended(paths)
    assert (record.code, record.handle and record.handle.pid) == (3, pid)
    assert record.ended_at > 1.0
    until(lambda: keeper_pid(paths) is None, "the keeper to leave")


def test_it_ended_and_the_supervisor_had_buried_it(tmp_path: Path, paths: StackPaths) -> None:
    if not kernel_tells():
        pytest.skip("this kernel does not say how somebody else's child ended")
    orphaned(tmp_path, "buried")
    assert ended(paths).code == 3


def test_what_the_supervisor_wrote_holds(tmp_path: Path, paths: StackPaths) -> None:
    orphaned(tmp_path, "dealt with")
    until(lambda: keeper_pid(paths) is None, "the keeper to leave")
    assert ended(paths).code == 5


def test_what_the_supervisor_has_removed_stays_so(tmp_path: Path, paths: StackPaths) -> None:
    orphaned(tmp_path, "restarted")
    until(lambda: keeper_pid(paths) is None, "the keeper to leave")
    assert read_records(paths) == []


def test_dismissed_it_leaves_at_once(tmp_path: Path, paths: StackPaths) -> None:
    orphaned(tmp_path, "dismissed")
    assert keeper_pid(paths) is None


def test_it_is_made_of_little(tmp_path: Path) -> None:
    """Each page that it shares with the supervisor will be there twice."""
    code = "import sys, launchpad.hosts.local.keeper; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE_S
    )
    assert not {"asyncio", "click", "pydantic", "yaml"} & set(done.stdout.split())


def test_who_was_never_told_what_to_do_leaves(tmp_path: Path, paths: StackPaths) -> None:
    """It was made for a start that came to nothing: whatever lives is somebody else's."""
    pid = orphaned(tmp_path, "nobody", "import signal; signal.pause()")
    try:
        until(lambda: keeper_pid(paths) is None, "the keeper to leave")
        assert [record.ended for record in read_records(paths)] == [False]
    finally:
        os.kill(pid, signal.SIGKILL)


FORKED = """
import os, sys
from launchpad.hosts.local import process
from launchpad.hosts.local.keeper import Keeper
from launchpad.hosts.local.process_children import orphans
from launchpad.paths import stack_paths

paths = stack_paths('stack.yaml')
paths.state_dir.mkdir(parents=True, exist_ok=True)
keeper = Keeper(paths)
supervisor = os.fork()
if supervisor:
    keeper.abandon()
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(supervisor, 0)[1]))
keeper.become(ends_all=False)
handle = process.handle_of(keeper.pid)
assert handle is not None and process.alive(handle), "it goes on without the one that made it"
keeper.dismiss()
assert not process.alive(handle), "it has left"
"""


def test_the_supervisor_may_be_another_child_of_who_made_it(tmp_path: Path, paths: StackPaths) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED], cwd=tmp_path, timeout=PATIENCE_S, text=True, stderr=subprocess.PIPE
    )
    assert (done.returncode, done.stderr) == (0, "")
    raw = records.read_private(paths.keeper)
    assert raw is not None, "the next supervisor would have found it"


def test_the_next_supervisor_sends_it_away(tmp_path: Path, paths: StackPaths) -> None:
    """It has written down all it knows by then, and what lives is found."""
    pid = orphaned(tmp_path, "living", "import signal; signal.pause()")
    found = process.handle_of(pid)
    assert found is not None
    alone = keeper_pid(paths)
    assert alone is not None
    (one,) = survey(paths).found
    assert not process.alive(alone)
    assert (one.record.service, one.record.handle, one.lives) == ("job", found, True)
    assert one.pidfd is not None
    assert [member.pid for member in one.members] == [pid]
    process.send(found.pid, found.start, signal.SIGKILL)
    assert until(lambda: end_of(found, one.pidfd)) == End(-9)
    os.close(one.pidfd)


def test_a_stranger_is_not_sent_away(paths: StackPaths) -> None:
    paths.state_dir.mkdir(parents=True)
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            handle = process.handle_of(other.pid)
            assert handle is not None
            content = {"pid": handle.pid, "start": handle.start - 1, "boot": handle.boot}
            records.write_private(paths.keeper, content)
            keeper.send_away(paths)
            records.write_private(paths.keeper, {"pid": "nonsense"})
            keeper.send_away(paths)
            assert other.poll() is None
        finally:
            other.kill()


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path, paths: StackPaths) -> None:
    orphaned(tmp_path, "dealt with")
    with paths.records.open("a") as file:
        file.write('{"ended": tr')
    records.note(paths, 7, notified=True)
    (record,) = read_records(paths)
    assert (record.notified, record.ended, record.code) == (True, True, 5)
