from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Stack

Make = Callable[..., Stack]


@pytest.fixture
def make_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes stacks in folders of their own; at the end nothing of them lives."""
    runtime = tempfile.mkdtemp(prefix="lp", dir="/tmp")  # the path of a socket has to be short
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    made: list[Stack] = []

    def make(text: str, *, name: str = "stack.yaml", folder: str | None = None) -> Stack:
        home = tmp_path / (folder or f"s{len(made)}")
        home.mkdir(exist_ok=True)
        stack = Stack(home, text, name=name)
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.end()
    shutil.rmtree(runtime, ignore_errors=True)
