"""What is imported without the parts that nobody needs; pydantic without plugins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

READS = """
import sys
from pathlib import Path
from launchpad.cli.light import unplug_pydantic
if sys.argv[1] == "unplugged":
    unplug_pydantic()
from launchpad.plan.read import read_stack
Path("stack.yaml").write_text("servers: {web: {command: x, port: auto, ready: /}}")
assert [one.name for one in read_stack(Path("stack.yaml").absolute()).plan.services] == ["web"]
print("importlib.metadata" in sys.modules)
"""
WANTS_MORE = """
import sys
from launchpad.cli.light import LOADER, unplug_pydantic
unplug_pydantic()
from pydantic.plugin._loader import PYDANTIC_ENTRY_POINT_GROUP
print(PYDANTIC_ENTRY_POINT_GROUP, "importlib.metadata" in sys.modules)
"""


def said(code: str, folder: Path, *arguments: str) -> str:
    words = [sys.executable, "-c", code, *arguments]
    return subprocess.run(words, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.mark.parametrize(("how", "looks"), [("unplugged", "False"), ("whole", "True")])
def test_a_stack_is_read_without_looking_for_plugins(tmp_path: Path, how: str, looks: str) -> None:
    """Where `whole` is False as well, pydantic does without by itself, and `unplug_pydantic` can go."""
    assert said(READS, tmp_path, how) == looks


def test_whoever_wants_more_of_the_loader_has_it(tmp_path: Path) -> None:
    assert said(WANTS_MORE, tmp_path) == "pydantic True"


def test_what_others_do_without_is_not_imported_until_it_is_asked_for() -> None:
    code = """
import sys
from launchpad.cli.light import SPARED, import_light
import_light(*SPARED)
assert all(name in sys.modules for name in SPARED)
print([part for part in SPARED.values() if part in sys.modules])
import ssl, hashlib, typing_extensions, asyncio
assert ssl.create_default_context() and hashlib.sha256(b"").hexdigest().startswith("e3b0")
import_light(*SPARED)
assert sys.modules["ssl"] is ssl
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")  # a hash that is missing would be complained of
