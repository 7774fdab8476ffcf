"""The examples that run real software: what each is started with, and what tells that it went well.

All of them are checked by the test suite, and what is played is run by it; `scripts/examples` runs all, with what they install.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct, field

from tests.e2e.harness import Stack

ROOT = Path(__file__).resolve().parent.parent


class Example(Struct, frozen=True):
    """`job` is run; it exits with 0, prints `says`, and what is in `writes` exists afterwards, relative to the stack file."""

    file: str
    job: str
    says: str
    writes: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


EXAMPLES = {
    "quickstart": Example(
        "quickstart.yaml", "evaluate", "fewer bits than counting characters", ("quickstart/checkpoint.bin",)
    ),
    "tracking-light": Example("tracking/light.yaml", "report", "tracked", ("weights.npz",)),
    "tracking": Example("tracking/stack.yaml", "report", "tracked", ("mlflow.db", "weights.npz")),
    "finetune-then-serve": Example(
        "finetune-then-serve/stack.yaml",
        "evaluate",
        "20 of 20 right",
        ("checkpoints/tuned/model.safetensors",),
    ),
    "rag": Example("rag/stack.yaml", "query", "6 of 6 answered", ("index.json",)),
    "llama": Example("llama/stack.yaml", "ask", "the same", ("tiny.gguf",)),
    "eval": Example("eval/stack.yaml", "report", "evaluated by all copies", ("results",)),
    "grpo": Example(
        "grpo/rehearsal.yaml",
        "train",
        "on GPUs",
        ("logs/train.log",),
        {"LAUNCHPAD_GPUS": "3x80GB"},
    ),
}


DEADLINE_S = 1800.0


class Row(NamedTuple):
    name: str
    installing_s: float
    running_s: float
    wrong: tuple[str, ...]


def copy(folder: Path) -> None:
    """What git knows of `stacks`, or would know."""
    known = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "stacks"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for path in filter(None, known.stdout.split("\0")):
        if (ROOT / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, folder / path)


def installing_s(stack: Stack) -> float:
    """From the first environment that is asked for to the last one that is there, by the journal."""
    done = stack.cli("events", stack.file.name, "--json", check=0)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    times = [event["at"] for event in events if event["what"] == "environment"]
    return max(times) - min(times) if times else 0.0


def run(name: str, example: Example, folder: Path) -> Row:
    copy(folder)
    file = folder / "stacks" / example.file
    stack = Stack(file.parent, file.read_text(), name=file.name)
    stack.environ |= example.environment
    wrong = []
    began = time.monotonic()
    try:
        done = stack.cli("run", example.job, file.name, timeout=DEADLINE_S)
        took = time.monotonic() - began
        installing = installing_s(stack)
        if done.returncode != 0:
            wrong.append(f"exit {done.returncode}")
        log = stack.log(example.job)
        if example.says not in (log.read_text() if log.exists() else ""):
            wrong.append(f"`{example.job}` did not say `{example.says}`")
        wrong += [f"no {path}" for path in example.writes if not (file.parent / path).exists()]
        wrong += [f"left: {command}" for command in stack.survivors().values()]
        if wrong:
            print(done.stdout[-3000:], done.stderr[-3000:], sep="\n", file=sys.stderr)
    finally:
        stack.end()
    return Row(name, installing, took - installing, tuple(wrong))
