"""What reads a stack file looks for no plugins of pydantic."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

READS = """
import sys
from pathlib import Path
from launchpad.cli.unplugged import unplug_pydantic
if sys.argv[1] == "unplugged":
    unplug_pydantic()
from launchpad.plan.read import read_stack
Path("stack.yaml").write_text("servers: {web: {command: x, port: auto, ready: /}}")
assert [one.name for one in read_stack(Path("stack.yaml").absolute()).plan.services] == ["web"]
print("importlib.metadata" in sys.modules)
"""
WANTS_MORE = """
import sys
from launchpad.cli.unplugged import LOADER, unplug_pydantic
unplug_pydantic()
from pydantic.plugin._loader import PYDANTIC_ENTRY_POINT_GROUP
print(PYDANTIC_ENTRY_POINT_GROUP, "importlib.metadata" in sys.modules)
"""


def said(code: str, folder: Path, *arguments: str) -> str:
    words = [sys.executable, "-c", code, *arguments]
    return subprocess.run(words, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.mark.parametrize(("how", "looks"), [("unplugged", "False"), ("whole", "True")])
def test_a_stack_is_read_without_looking_for_plugins(tmp_path: Path, how: str, looks: str) -> None:
    """Where `whole` is False as well, pydantic does without by itself, and `cli.unplugged` can go."""
    assert said(READS, tmp_path, how) == looks


def test_whoever_wants_more_of_the_loader_has_it(tmp_path: Path) -> None:
    assert said(WANTS_MORE, tmp_path) == "pydantic True"
