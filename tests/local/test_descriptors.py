"""Many services, few descriptors: the limit is raised for launchpad alone, and what can wait leaves some free."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from launchpad.core.model import CheckKind
from launchpad.hosts.local import descriptors, probes_ask
from tests.local.probing import bench, http, server
from tests.local.real import PATIENCE_S

CODE = """
import json, os, resource, sys
from launchpad.hosts.local import descriptors, spawn
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
descriptors.raise_limit()
many = [os.open('/dev/null', os.O_RDONLY) for _ in range(int(sys.argv[1]))]
out = os.open('out', os.O_WRONLY | os.O_CREAT)
child = [sys.executable, '-c', 'import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])']
handle = spawn.spawn(child, {}, '.', out)
os.waitpid(handle.pid, 0)
print(json.dumps([resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard, int(open('out').read())]))
"""


@pytest.mark.parametrize("open_already", [0, 100])
def test_launchpad_s_limit_is_raised_and_a_child_gets_the_one_that_was_given(
    open_already: int, tmp_path: Path
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard <= 256:
        pytest.skip("nothing to raise here")
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(open_already)],
        cwd=tmp_path,
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert json.loads(done.stdout) == [True, 64]


def test_a_probe_leaves_the_last_descriptors_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with bench(tmp_path) as one, server(http()) as (port, _):
            with monkeypatch.context() as patch:
                patch.setattr(descriptors, "RESERVED", 1 << 40)
                fact = await one.ask(CheckKind.HTTP, f"http://127.0.0.1:{port}/")
                assert not fact.ok
                assert "ulimit -n" in fact.seen.text
            assert (await one.ask(CheckKind.HTTP, f"http://127.0.0.1:{port}/")).ok

    asyncio.run(scene())


def test_what_could_not_be_loaded_for_want_of_descriptors_is_loaded_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(scheme: str) -> None:
        raise OSError(24, "Too many open files")

    async def scene() -> None:
        async with bench(tmp_path) as one, server(http()) as (port, _):
            with monkeypatch.context() as patch:
                patch.setattr(probes_ask, "_load", too_many)
                fact = await one.ask(CheckKind.HTTP, f"http://127.0.0.1:{port}/")
                assert (fact.ok, fact.seen.text) == (False, "Too many open files")
            assert (await one.ask(CheckKind.HTTP, f"http://127.0.0.1:{port}/")).ok

    asyncio.run(scene())
