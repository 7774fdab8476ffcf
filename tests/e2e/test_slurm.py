"""The batch script that `launchpad export slurm` writes, run by a shell as Slurm would run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.harness import Stack, eventually

Make = Callable[..., Stack]


def script(stack: Stack, *options: str) -> Path:
    stack.cli("export", "slurm", "-o", "batch", *options, check=0)
    (found,) = (stack.folder / "batch").iterdir()
    return found


@pytest.fixture
def batch(make_stack: Make, tmp_path: Path) -> Callable[[str], tuple[Stack, subprocess.Popen[str]]]:
    """Begins the script of a stack on a machine on which `launchpad` is installed."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "launchpad").write_text(f'#!/bin/sh\nexec {sys.executable} -m launchpad "$@"\n')
    (programs / "launchpad").chmod(0o755)

    def begin(text: str) -> tuple[Stack, subprocess.Popen[str]]:
        stack = make_stack(text)
        stack.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
        process = subprocess.Popen(
            ["bash", str(script(stack))], cwd="/", env=stack.environ, stdin=subprocess.DEVNULL, text=True,
            stdout=(stack.folder / "out0.txt").open("w"), stderr=(stack.folder / "err0.txt").open("w"),
        )  # fmt: skip
        stack.started.append(process)
        return stack, process

    return begin


def test_it_ends_with_the_stack_and_its_code(
    batch: Callable[[str], tuple[Stack, subprocess.Popen[str]]],
) -> None:
    stack, process = batch("""
        servers: {llm: {command: PRETEND, port: auto}}
        jobs: {train: {command: PRETEND --exit 7 --after 0s, depends_on: [llm], primary: true}}
    """)
    assert process.wait(60) == 7, stack.output()
    assert not stack.survivors()


def test_the_signal_of_slurm_stops_the_stack_in_order(
    batch: Callable[[str], tuple[Stack, subprocess.Popen[str]]],
) -> None:
    stack, process = batch("servers: {llm: {command: PRETEND --mark marks --name llm, port: auto}}")
    stack.wait_up()
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert stack.marks_of("llm", "SIGTERM"), stack.marks()
    assert not stack.survivors()


def test_a_job_that_is_cancelled_leaves_nothing(
    batch: Callable[[str], tuple[Stack, subprocess.Popen[str]]],
) -> None:
    stack, process = batch("servers: {llm: {command: PRETEND, port: auto}}")
    stack.wait_up()
    process.kill()
    process.wait()
    eventually(lambda: not stack.survivors(), "nothing is left")
