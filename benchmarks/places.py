"""Where things lie: the repository, what was installed for the benchmark, what is compiled for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = Path(os.environ.get("BENCH_PEERS", ROOT / ".bench"))
"""Peers, in a folder of their own; git knows nothing of it."""
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
IMAGES = ROOT / "docs" / "images"
CHILDREN = ROOT / "benchmarks" / "children"


def compiled(name: str) -> str:
    """The path of a program made from `children/NAME.c`; compiled when that is newer. Static: nothing to look up."""
    source, program = CHILDREN / f"{name}.c", INSTALLED / "children" / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        part = program.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", "-O2", "-static", "-pthread", "-o", part, source], check=True)
        part.replace(program)
    return str(program)
