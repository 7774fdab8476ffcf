"""Which trap of a recipe is told of an end, and when it is looked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from launchpad.core.model import Kind, Outcome, Phase, Service
from launchpad.core.state import Unit
from launchpad.errors import Diagnostic, Span
from launchpad.plan.head import Program, Trap
from launchpad.runtime.traps import Traps, first
from launchpad.stack.nodes import Map
from launchpad.stack.recipe import Head, Recipe

MEMORY = Trap("out of memory", "no memory", "take less", gpu=True)
MODULE = Trap("No module", "a package is missing")
CRASH = Diagnostic("E501", "`llm` crashed", log=("the end",), hint="look")


def unit(phase: Phase, at: float = 1.0) -> Unit:
    service = Service("llm", Kind.SERVER, (("llm",),), "/", "d")
    return Unit(service, phase=phase, last=Outcome("exit", at, 1, "exit 1 after 3 s"))


def knows(traps: tuple[Trap, ...], *packages: str) -> Callable[[str], Program]:
    way = Recipe(
        "x",
        Path("x.yaml"),
        Head.model_construct(title="x", requirements=packages),
        Map(Span("x.yaml", 1, 1, 1, 1), {}),
        packaged=True,
    ).way_to_have_it
    return lambda name: Program(traps, packages, way)


class Looked:
    """Lines of the output, and how often they and the GPUs were asked for."""

    def __init__(self, *lines: str) -> None:
        self.lines, self.times, self.gpu_times = lines, 0, 0
        self.traps = Traps(self._tail, self._holders)

    def _tail(self, service: str, count: int) -> tuple[str, ...]:
        self.times += 1
        return self.lines

    def _holders(self) -> tuple[str, ...]:
        self.gpu_times += 1
        return ("GPU 0 is held by `x` (pid 7) 1.0 GiB",)

    def told(self, unit: Unit, found: Diagnostic | None = CRASH, *traps: Trap) -> Diagnostic | None:
        return self.traps.explained(
            unit, knows(traps or (MODULE, MEMORY)), found, lambda *path, text="": None
        )


def test_the_first_trap_and_its_last_line() -> None:
    lines = ("out of memory 1", "No module named a", "out of memory 2", "the end")
    assert first((MEMORY, MODULE), lines) == (MEMORY, "out of memory 2")
    assert first((MODULE, MEMORY), lines) == (MODULE, "No module named a")
    assert first((MODULE,), ("all is well",)) is None


def test_evidence_holders_and_hint_are_added() -> None:
    told = Looked("out of memory", "the end").told(unit(Phase.FAILED))
    assert told is not None
    assert told.notes == (
        "its output says: out of memory",
        "that is: no memory",
        "GPU 0 is held by `x` (pid 7) 1.0 GiB",
    )
    assert (told.code, told.hint, told.log) == ("E501", "take less", ("the end",))


def test_a_line_that_is_shown_is_not_said_twice_and_a_hint_stays() -> None:
    looked = Looked("No module named a")
    told = looked.told(unit(Phase.FAILED), Diagnostic("E501", "x", log=("No module named a",), hint="look"))
    assert told is not None
    assert (told.notes, told.hint, looked.gpu_times) == (("that is: a package is missing",), "look", 0)


def test_it_is_looked_for_once_for_each_end() -> None:
    looked = Looked("out of memory")
    one = looked.told(unit(Phase.FAILED, 1.0))
    looked.lines = ("nothing",)
    assert looked.told(unit(Phase.FAILED, 1.0)) == one
    assert (looked.times, looked.gpu_times) == (1, 1)
    assert looked.told(unit(Phase.FAILED, 2.0)) == CRASH
    assert (looked.times, looked.gpu_times) == (2, 1)


def test_what_is_to_start_again_has_a_warning_of_its_own() -> None:
    told = Looked("out of memory").told(unit(Phase.BACKOFF), None)
    assert told is not None
    assert (told.code, told.severity, told.message) == ("E509", "warning", "`llm` failed: no memory")
    assert (told.notes[0], told.hint) == ("exit 1 after 3 s", "take less")


def test_where_nothing_is_wrong_nothing_is_looked_for() -> None:
    looked = Looked("out of memory")
    assert looked.told(unit(Phase.READY), None) is None
    assert looked.told(unit(Phase.FAILED), Diagnostic("E301", "no port")) == Diagnostic("E301", "no port")
    none = looked.traps.explained(unit(Phase.FAILED), knows(()), CRASH, lambda *path, text="": None)
    assert none == CRASH
    assert looked.times == 0


def test_a_program_that_is_not_there_can_be_had() -> None:
    """Unless no package index has it, something else is wrong, or its environment is made for it anyway."""
    looked, missing = Looked(), Diagnostic("E502", "could not start `llm`: no such file `vllm` on its PATH")
    one = unit(Phase.FAILED)
    one.last = Outcome("spawn", 1.0, None, "no such file `vllm` on its PATH")

    def hint(*requirements: str) -> str:
        told = looked.traps.explained(one, knows((), *requirements), missing, lambda *path, text="": None)
        assert told is not None
        return told.hint

    assert hint("vllm") == "`requirements: [vllm]` has it installed, `venv: PATH` says where it is"
    assert hint("torch", "ray[default]").startswith('`requirements: [torch, "ray[default]"]` has it')
    assert hint() == ""
    one.last = Outcome("spawn", 1.0, None, "permission denied")
    assert hint("vllm") == ""


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("/venv/bin/python: No module named uvicorn", True),
        ("ModuleNotFoundError: No module named 'llama_cpp'", True),
        ("ModuleNotFoundError: No module named 'mine'", False),
    ],
)
def test_a_package_that_is_missing_is_the_program_or_not(line: str, has: bool) -> None:
    looked, traps = Looked(line), (MODULE,)
    one = knows(traps, "uvicorn", "llama-cpp-python[server]")
    for found, phase in ((CRASH, Phase.FAILED), (None, Phase.BACKOFF)):
        told = looked.traps.explained(unit(phase), one, found, lambda *path, text="": None)
        assert told is not None
        assert ("has it installed" in told.hint) == has
