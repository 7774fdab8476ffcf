"""A start with what was kept of the last one: it reads nothing, and is a start like any other."""

from __future__ import annotations

import os
import signal

import pytest

from launchpad.paths import stack_paths
from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, eventually

TWO = """
    servers:
      llm: {command: "PRETEND --port ${self.port} --name one", port: auto, ready: /}
      board: {command: PRETEND}
"""


def kept(stack: Stack) -> bool:
    return stack_paths(stack.file).kept.exists()


def up_twice(stack: Stack) -> None:
    stack.up()
    eventually(lambda: kept(stack), "it is kept")
    stack.down()
    stack.up()


def imports_of_a_start(stack: Stack) -> str:
    """What a start of a stack that ends by itself imports, one line each."""
    done = stack.cli("up", "--no-watch", check=0, PYTHONPROFILEIMPORTTIME="1")
    return done.stderr


def test_the_second_start_imports_nothing_that_reads(make_stack: Make) -> None:
    stack = make_stack("jobs: {once: {command: 'true'}}")
    assert "pydantic" in imports_of_a_start(stack)
    assert kept(stack)
    second = imports_of_a_start(stack)
    assert "launchpad.runtime.supervisor" in second
    assert "pydantic" not in second
    assert " yaml" not in second


def pids(stack: Stack) -> dict[str, int]:
    return {name: row["pid"] for name, row in stack.ps().items()}


def test_an_edit_is_told_as_ever(make_stack: Make) -> None:
    stack = make_stack(TWO)
    up_twice(stack)
    before = pids(stack)
    stack.write(TWO.replace("--name one", "--name two"))
    eventually(lambda: pids(stack)["llm"] not in (None, before["llm"]), "the edit to be applied")
    assert pids(stack)["board"] == before["board"]
    (told,) = [e["text"] for e in stack.events() if e["what"] == "plan" and "was applied" in e["text"]]
    assert "restart llm: argument 6 changed from `one` to `two`" in told, told
    stack.down()


def test_a_bad_edit_before_the_second_start_is_refused(make_stack: Make) -> None:
    stack = make_stack(TWO)
    stack.up()
    eventually(lambda: kept(stack), "it is kept")
    stack.down()
    stack.write("servers: {llm: {comand: x}}")
    assert "E106" in stack.up(check=2).stderr
    stack.write(TWO)
    stack.up()
    stack.down()


def test_p8_with_what_was_kept(make_stack: Make) -> None:
    """Taken over by a supervisor that read nothing."""
    stack = make_stack(TWO)
    up_twice(stack)
    before = pids(stack)
    os.kill(stack.client.status().pid, signal.SIGKILL)
    stack.up()
    assert pids(stack) == before
    stack.down()


@pytest.mark.parametrize("verb", ["run", "up"])
def test_a_job_with_arguments_of_its_own(make_stack: Make, verb: str) -> None:
    """`run` changes the plan; what is kept is that of the file."""
    stack = make_stack("jobs: {say: {command: [sh, -c, 'echo got $#; exit $#', sh]}}")
    for _ in range(2):
        assert stack.cli("run", "say", "--", "a", "b").returncode == 2
    assert stack.cli(verb, *(["say"] if verb == "run" else [])).returncode == 0


def test_a_start_that_reads_nothing_explains_what_its_recipe_knows(make_stack: Make) -> None:
    stack = make_stack("servers: {llm: {uses: ours}}")
    (stack.folder / "recipes").mkdir()
    (stack.folder / "recipes/ours.yaml").write_text(
        "title: ours\n"
        "service:\n"
        "  command: ['sh', '-c', 'test -e model && exec sleep 99; echo it went boom; exit 1']\n"
        "  restart: {policy: never}\n"
        "traps: [{match: boom, says: there is no model, hint: fetch one}]\n"
    )
    (stack.folder / "model").touch()
    stack.up()
    eventually(lambda: kept(stack), "it is kept")
    stack.down()
    (stack.folder / "model").unlink()
    failed = stack.cli("up", "--no-watch", check=1).stderr
    assert "that is: there is no model" in failed
    assert "hint: fetch one" in failed
