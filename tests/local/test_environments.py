"""Environments with real installers, and with one that does what a test wants."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from launchpad.core.facts import Fact, Prepared, PrepareFailed, Preparing
from launchpad.core.model import Environment
from launchpad.core.wishes import Abandon, Prepare
from launchpad.hosts.local import environment_folder as disk
from launchpad.hosts.local.environments import Environments
from launchpad.paths import StackPaths
from launchpad.runtime import store
from launchpad.stack.environments import absolute
from launchpad.stack.interpreters import installer
from tests.local.real import until
from tests.wheels import lines, wheel

DEADLINE_S = 120.0
UV = installer(os.environ)
INSTALLERS = [pytest.param(True, id="uv", marks=pytest.mark.skipif(not UV, reason="there is no uv")), False]
pytestmark = pytest.mark.usefixtures("runtime")


def fake(folder: Path, body: str) -> str:
    """An installer: `venv` makes what looks like an environment, `pip install` is `body`."""
    program = folder / "fake-uv"
    log = folder / "installs"
    program.write_text(
        f'#!/bin/bash\nif [ "$1" = venv ]; then mkdir -p "${{@: -1}}/bin"; ln -s {sys.executable} "${{@: -1}}/bin/python"; '
        f"exit; fi\necho install >> {log}\n{body}\n"
    )
    program.chmod(0o755)
    return str(program)


def wanted(folder: Path, name: str, *requirements: str, uv: str = "") -> Environment:
    root = folder / ".launchpad"
    return Environment(
        str(root / "environments" / name),
        str(folder / ".venvs" / "link"),
        tuple(absolute(line, folder) for line in lines(*requirements)),
        (),
        sys.executable,
        str(folder),
        uv,
    )


class Asking:
    """Asks, and keeps what was told."""

    def __init__(self, paths: StackPaths) -> None:
        self.told: list[Fact] = []
        self.faults: list[BaseException] = []
        self.news = asyncio.Event()
        self.needed: list[str] = []
        self.environments = Environments(
            self._tell, paths, uuid.uuid4().hex, self.faults.append, lambda: self.needed
        )
        self.request = 0

    def _tell(self, fact: Fact) -> None:
        self.told.append(fact)
        self.news.set()

    def ask(self, environment: Environment) -> int:
        self.request += 1
        self.environments.prepare(Prepare(self.request, environment))
        return self.request

    async def until(self, what: Callable[[Fact], bool]) -> Fact:
        async with asyncio.timeout(DEADLINE_S):
            while not (found := [fact for fact in self.told if what(fact)]):
                self.news.clear()
                await self.news.wait()
        return found[0]

    async def answer(self, environment: Environment) -> Prepared | PrepareFailed:
        request = self.ask(environment)
        fact = await self.until(
            lambda one: isinstance(one, Prepared | PrepareFailed) and one.request == request
        )
        assert isinstance(fact, Prepared | PrepareFailed)
        return fact


@asynccontextmanager
async def asking(paths: StackPaths, *, over: bool = False) -> AsyncIterator[Asking]:
    store.prepare(paths)
    one = Asking(paths)
    try:
        yield one
    finally:
        await one.environments.close(over=over)
    assert one.faults == []


def version_in(environment: Environment) -> str:
    code = "import tiny; print(tiny.VERSION)"
    python = disk.python_of(environment.link)
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("with_uv", INSTALLERS)
def test_it_is_made_and_then_there(paths: StackPaths, tmp_path: Path, with_uv: bool) -> None:
    wheel(tmp_path / "wheels", "tiny", "1.0")
    one = wanted(tmp_path, "one", "tiny==1.0", uv=UV if with_uv else "")

    async def story() -> None:
        async with asking(paths) as host:
            assert isinstance(await host.answer(one), Prepared)
            assert any(isinstance(fact, Preparing) for fact in host.told)
            host.told.clear()
            assert isinstance(await host.answer(one), Prepared)
            assert not any(isinstance(fact, Preparing) for fact in host.told)

    asyncio.run(story())
    assert disk.leads_to(one.link, one.folder)
    assert version_in(one) == "1.0"
    assert not os.path.exists(f"{one.folder}.txt")


@pytest.mark.parametrize("with_uv", INSTALLERS)
def test_what_the_installer_says_last(paths: StackPaths, tmp_path: Path, with_uv: bool) -> None:
    (tmp_path / "wheels").mkdir()
    one = wanted(tmp_path, "one", "nonesuch==3", uv=UV if with_uv else "")

    async def story() -> Prepared | PrepareFailed:
        async with asking(paths) as host:
            return await host.answer(one)

    answer = asyncio.run(story())
    assert isinstance(answer, PrepareFailed)
    assert "nonesuch" in answer.detail
    assert "nonesuch" in Path(disk.log(one.folder)).read_text()
    assert not disk.is_whole(one.folder)
    assert not os.path.lexists(one.link)


def test_what_was_left_half_made_is_made_anew(paths: StackPaths, tmp_path: Path) -> None:
    one = wanted(tmp_path, "one", uv=fake(tmp_path, "exit 0"))
    half = Path(one.folder) / "bin"
    half.mkdir(parents=True)
    (half / "python").symlink_to(sys.executable)
    (half / "leftover").touch()

    async def story() -> None:
        async with asking(paths) as host:
            assert isinstance(await host.answer(one), Prepared)

    asyncio.run(story())
    assert disk.is_whole(one.folder)
    assert not (half / "leftover").exists()


def test_an_interpreter_that_went_away(paths: StackPaths, tmp_path: Path) -> None:
    one = wanted(tmp_path, "one", uv=fake(tmp_path, "exit 0"))

    async def story() -> None:
        async with asking(paths) as host:
            assert isinstance(await host.answer(one), Prepared)
            python = Path(one.folder, "bin", "python")
            python.unlink()
            python.symlink_to("/nowhere/python")
            assert isinstance(await host.answer(one), Prepared)

    asyncio.run(story())
    assert disk.is_whole(one.folder)


def test_two_ask_for_the_same_at_once(paths: StackPaths, tmp_path: Path) -> None:
    """As two supervisors would: the second waits for the first, and finds it made."""
    one = wanted(tmp_path, "one", uv=fake(tmp_path, "exit 0"))
    other = replace(one, link=str(tmp_path / ".venvs" / "other"))

    async def story() -> None:
        async with asking(paths) as first, asking(paths) as second:
            answers = await asyncio.gather(first.answer(one), second.answer(other))
            assert all(isinstance(answer, Prepared) for answer in answers)

    asyncio.run(story())
    assert disk.leads_to(one.link, one.folder)
    assert disk.leads_to(other.link, one.folder)
    assert (tmp_path / "installs").read_text().splitlines() == ["install"]


CLINGING = """
setsid bash -c 'trap "" TERM HUP INT; echo $$ > grandchild; while true; do read -t 1000 < /dev/zero; done' &
trap "" TERM
echo "Downloading much"
while true; do read -t 1000 < <(sleep 1000); done
"""
"""An installer that does not leave, with one below it in a session of its own that does not either."""


@pytest.mark.parametrize("how", ["abandon", "close", "kill"])
def test_nothing_of_an_installer_survives(paths: StackPaths, tmp_path: Path, how: str) -> None:
    one = wanted(tmp_path, "one", uv=fake(tmp_path, CLINGING))
    pids: list[int] = []

    async def story() -> list[Fact]:
        async with asking(paths) as host:
            request = host.ask(one)
            await host.until(lambda fact: isinstance(fact, Preparing) and "Downloading" in fact.text)
            await asyncio.to_thread(until, lambda: (tmp_path / "grandchild").exists())
            pids.extend(works_in(tmp_path))
            assert len(pids) >= 3
            if how == "abandon":
                host.environments.abandon(Abandon(request))
            elif how == "kill":
                os.kill(maker_of(pids), signal.SIGKILL)
                await host.until(lambda fact: isinstance(fact, PrepareFailed))
        return host.told

    told = asyncio.run(story())
    assert not any(isinstance(fact, Prepared) for fact in told)
    assert works_in(tmp_path) == []
    assert not disk.is_whole(one.folder)


def works_in(folder: Path) -> list[int]:
    """Living processes with their working folder there, but for this one; and makers, who only name it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                here = os.readlink(entry / "cwd") == str(folder)
                alive = entry.joinpath("stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            except OSError:
                continue
            found += [int(entry.name)] if here and alive else []
    return found


def maker_of(pids: list[int]) -> int:
    """The parent of the installer."""
    parents = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in pids}
    (maker,) = [pid for pid in parents if b"environment_maker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return maker


def test_requirements_that_change_meanwhile(paths: StackPaths, tmp_path: Path) -> None:
    """What is installed would not be what the folder is named after."""
    file = tmp_path / "requirements.txt"
    file.write_text("# one\n")
    import hashlib

    digest = hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
    one = wanted(tmp_path, "one", uv=fake(tmp_path, f"echo '# two' > {file}"))
    one = replace(one, files=((str(file), digest),))

    async def story() -> Prepared | PrepareFailed:
        async with asking(paths) as host:
            return await host.answer(one)

    answer = asyncio.run(story())
    assert isinstance(answer, PrepareFailed)
    assert "`requirements.txt` was changed meanwhile" in answer.text
    assert not disk.is_whole(one.folder)


@pytest.mark.parametrize("what", ["folder", "link", "file"])
def test_what_somebody_else_made_is_left_alone(paths: StackPaths, tmp_path: Path, what: str) -> None:
    one = wanted(tmp_path, "one", uv=fake(tmp_path, "exit 0"))
    link, theirs = Path(one.link), tmp_path / "theirs"
    link.parent.mkdir()
    theirs.mkdir()
    if what == "folder":
        (link / "bin").mkdir(parents=True)
    elif what == "link":
        link.symlink_to(theirs)
    else:
        link.write_text("mine")
    before = os.lstat(link).st_ino, os.lstat(link).st_mtime_ns

    async def story() -> Prepared | PrepareFailed:
        async with asking(paths, over=True) as host:
            return await host.answer(one)

    answer = asyncio.run(story())
    assert isinstance(answer, PrepareFailed)
    assert "launchpad did not make it" in answer.text
    assert (os.lstat(link).st_ino, os.lstat(link).st_mtime_ns) == before


def test_what_is_no_longer_led_to_is_taken_away_at_the_end(paths: StackPaths, tmp_path: Path) -> None:
    uv = fake(tmp_path, "exit 0")
    one, two, three = (wanted(tmp_path, name, uv=uv) for name in ("one", "two", "three"))
    foreign = replace(wanted(tmp_path, "foreign", uv=uv), link=str(tmp_path / ".venvs" / "foreign"))

    async def story() -> None:
        async with asking(paths, over=True) as host:
            for each in (foreign, one, two, three):
                assert isinstance(await host.answer(each), Prepared)
                assert disk.is_whole(one.folder) or each is foreign
            foreign_link = Path(foreign.link)
            foreign_link.unlink()  # nobody leads there, and it is not known to be ours to judge
            host.environments._links.pop(foreign.link)
            os.makedirs(f"{one.folder}-half/bin")

    with open(f"{tmp_path}/held", "w"):
        pass
    os.makedirs(os.path.dirname(two.folder), exist_ok=True)
    fd = os.open(disk.use(two.folder), os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_SH)  # another launchpad
    asyncio.run(story())
    os.close(fd)
    left = {name for name in os.listdir(os.path.dirname(one.folder)) if "." not in name}
    assert left == {"two", "three", "foreign"}


def test_what_a_process_still_uses_stays(paths: StackPaths, tmp_path: Path) -> None:
    uv = fake(tmp_path, "exit 0")
    one, two = (wanted(tmp_path, name, uv=uv) for name in ("one", "two"))

    async def story() -> None:
        async with asking(paths, over=True) as host:
            for each in (one, two):
                assert isinstance(await host.answer(each), Prepared)

    user = subprocess.Popen(["sleep", "1000"], env={**os.environ, "VIRTUAL_ENV": one.folder})
    try:
        asyncio.run(story())
        assert disk.is_whole(one.folder)
    finally:
        user.kill()
        user.wait()
    disk.tidy(os.path.dirname(one.folder), [one.link])
    assert not os.path.exists(one.folder)
    assert disk.is_whole(two.folder)


def is_gone(environment: Environment) -> bool:
    return not os.path.exists(environment.folder) and not os.path.exists(disk.use(environment.folder))


def test_of_many_changes_the_last_and_the_one_before_stay(paths: StackPaths, tmp_path: Path) -> None:
    """While the stack runs: what it is defined with, what runs, and what an edit that is taken back needs."""
    uv = fake(tmp_path, "exit 0")
    one, two, three, four = (wanted(tmp_path, name, uv=uv) for name in ("one", "two", "three", "four"))

    async def story() -> None:
        async with asking(paths) as host:
            host.needed = [one.folder]  # what waits for something else is not applied yet
            user = await asyncio.create_subprocess_exec(
                "sleep", "1000", env={**os.environ, "VIRTUAL_ENV": two.folder}
            )
            for each in (one, two, three, four):
                assert isinstance(await host.answer(each), Prepared)
            if (tidying := host.environments._tidying) is not None:
                await tidying
            assert disk.is_whole(one.folder)
            host.needed = [four.folder]
            host.environments.ended()
            await asyncio.to_thread(until, lambda: is_gone(one))
            assert not is_gone(two), "it runs"
            user.kill()
            await user.wait()
            host.environments.ended()
            await asyncio.to_thread(until, lambda: is_gone(two))
            assert isinstance(await host.answer(three), Prepared)
            assert (tmp_path / "installs").read_text().count("install") == 4, "it was there still"
        assert disk.is_whole(four.folder)

    asyncio.run(story())


def test_what_is_called_off_takes_no_room(paths: StackPaths, tmp_path: Path) -> None:
    one = wanted(tmp_path, "one", uv=fake(tmp_path, "echo began; read -t 1000 < <(sleep 1000)"))

    async def story() -> None:
        async with asking(paths) as host:
            request = host.ask(one)
            await host.until(lambda fact: isinstance(fact, Preparing) and "began" in fact.text)
            assert os.path.isdir(one.folder)
            host.environments.abandon(Abandon(request))
            await asyncio.to_thread(until, lambda: is_gone(one))

    asyncio.run(story())


def test_what_an_installer_said_can_be_read_until_the_next_run(paths: StackPaths, tmp_path: Path) -> None:
    """The message names its log, and the stack may be over with it."""
    one, two = (
        wanted(tmp_path, name, uv=fake(tmp_path, f"echo no {name}; exit 1")) for name in ("one", "two")
    )

    async def story(environment: Environment) -> None:
        async with asking(paths, over=True) as host:
            assert isinstance(await host.answer(environment), PrepareFailed)

    asyncio.run(story(one))
    assert not os.path.exists(one.folder)
    assert "no two" in Path(disk.log(one.folder)).read_text()
    asyncio.run(story(two))
    assert not os.path.exists(disk.log(one.folder))
    assert os.path.exists(disk.log(two.folder))


def test_both_layouts(tmp_path: Path) -> None:
    for name, program in (("posix", "bin/python"), ("windows", "Scripts/python.exe")):
        folder = tmp_path / name
        (folder / program).parent.mkdir(parents=True)
        (folder / program).touch()
        assert not disk.is_whole(str(folder))
        disk.mark(str(folder), "link", ())
        assert disk.is_whole(str(folder))
        assert disk.python_of(str(folder)) == str(folder / program)
