"""What tests with real processes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from launchpad.paths import StackPaths, stack_paths
from tests.local.real import nothing_left_in, short_folder


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of this test's own; what works in its folder afterwards is killed."""
    with short_folder() as folder, nothing_left_in(tmp_path):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        yield folder


@pytest.fixture
def paths(tmp_path: Path) -> StackPaths:
    return stack_paths(tmp_path / "stack.yaml")
