"""`uses`: what lies beneath a service, what wins, what is refused and where that is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launchpad.errors import Diagnostic, Refused
from launchpad.stack.recipe import PACKAGED, load, names, packaged
from tests.stack.writing import loaded, planned

ECHO = """\
title: echo
kinds: [server, job]
model: {example: m, means: anything}
traps: [cuda-memory, {match: "no such word", says: it cannot spell, hint: learn}]
service:
  command: [echo, "${self.model}", "${self.args}", "end"]
  port: 8000-8099
  ports: {side: auto}
  ready: {http: /health, stall: 10m}
  stop_grace: 30s
  environment: {A: "1", B: "1"}
"""


def argv(folder: Path, service: str, recipe: str = ECHO, **options: Any) -> list[str]:
    stack = loaded(folder, f"servers: {{llm: {service}}}\n", {"recipes/echo.yaml": recipe}, **options)
    command = stack.service("llm").command
    assert all(isinstance(part, str) for one in command for part in one)
    return ["".join(map(str, one)) for one in command]


def refused(folder: Path, text: str, recipe: str = ECHO) -> list[Diagnostic]:
    with pytest.raises(Refused) as caught:
        loaded(folder, text, {"recipes/echo.yaml": recipe})
    return list(caught.value.diagnostics)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("{uses: echo, model: m}", ["m", "end"]),
        ("{uses: echo, model: m, args: --a 'b c' --d}", ["m", "--a", "b c", "--d", "end"]),
        ("{uses: echo, model: m, args: [--a, 'b c', 3]}", ["m", "--a", "b c", "3", "end"]),
        ("{uses: echo, model: m, args: ''}", ["m", "end"]),
        ("{uses: echo, model: m, args: '--root ${stack.name}x'}", ["m", "--root", "demox", "end"]),
        ("{uses: echo, model: '${HOME}/m n'}", ["/home/user/m n", "end"]),
    ],
)
def test_model_and_args_are_filled_in(tmp_path: Path, written: str, found: list[str]) -> None:
    (tmp_path / "demo").mkdir()
    assert argv(tmp_path / "demo", written) == ["echo", *found]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("command: 'run ${self.args} --model ${self.model}'", ["run", "--a", "b", "--model", "m"]),
        ("command: [run, '--model=${self.model}']", ["run", "--model=m", "--a", "b"]),
    ],
    ids=["where it says", "at the end"],
)
def test_a_command_of_the_stacks_own(tmp_path: Path, written: str, found: list[str]) -> None:
    assert argv(tmp_path, f"{{uses: echo, model: m, args: --a b, {written}}}") == found


def test_the_service_wins_then_defaults_then_the_recipe(tmp_path: Path) -> None:
    text = """
        defaults: {stop_grace: 20s, environment: {B: '2'}}
        servers:
          llm: {uses: echo, model: m, port: 9000-9099, ready: {timeout: 1h}, environment: {C: '3'}}
          two: {uses: echo, model: m, ready: /other, ports: {main: 9100-9199}, stop_grace: 1s}
        """
    stack = loaded(tmp_path, text, {"recipes/echo.yaml": ECHO})
    llm, two = stack.service("llm"), stack.service("two")
    assert (str(llm.port), llm.stop_grace, list(llm.ports)) == ("9000-9099", 20.0, ["side"])
    assert llm.ready is not None
    assert (llm.ready.http, llm.ready.timeout, llm.ready.stall) == (("/health",), 3600.0, 600.0)
    assert {key: "".join(map(str, value or ())) for key, value in llm.environment.items()} == {
        "A": "1",
        "B": "2",
        "C": "3",
    }
    assert two.ready is not None
    assert (two.port, sorted(two.ports), two.stop_grace) == (None, ["main", "side"], 1.0)
    assert (two.ready.http, two.ready.stall) == (("/other",), 600.0)


def test_a_teams_own_wins_over_launchpads(tmp_path: Path) -> None:
    assert packaged("vllm") is not None
    files = {"recipes/vllm.yaml": ECHO}
    stack = loaded(tmp_path, "servers: {llm: {uses: vllm, model: m}}\n", files)
    assert stack.service("llm").command[0] == ("echo",)
    assert (stack.recipes["llm"].packaged, stack.recipes["llm"].name) == (False, "vllm")
    assert names(tmp_path / "recipes")["vllm"] == tmp_path / "recipes" / "vllm.yaml"


def test_what_others_may_ask(tmp_path: Path) -> None:
    text = """
        vars: {m: big}
        servers: {llm: {uses: echo, model: "${vars.m}-${self.name}"}}
        jobs: {eval: {command: "measure --model ${llm.model}", environment: {M: "${llm.model}"}}}
        """
    job = loaded(tmp_path, text, {"recipes/echo.yaml": ECHO}).service("eval")
    assert job.command == (("measure",), ("--model",), ("big-llm",))
    assert job.environment["M"] == ("big-llm",)


def test_the_file_counts_as_input_also_where_it_is_not_there(tmp_path: Path) -> None:
    stack = loaded(tmp_path, "servers: {llm: {uses: vllm, model: m}}\n")
    assert stack.inputs == (tmp_path / "stack.yaml", tmp_path / "recipes" / "vllm.yaml")


@pytest.mark.parametrize(
    ("text", "code", "place", "said"),
    [
        ("servers: {a: {uses: ecko, model: m}}", "E129", (1, 21), "there is no recipe `ecko`"),
        ("servers: {a: {uses: '${X}', model: m}}", "E107", (1, 21), "`uses` is the name of a recipe, written"),
        ("servers: {a: {uses: ../echo, model: m}}", "E107", (1, 21), "`uses` is the name of a recipe, written"),
        ("servers: {a: {uses: vllm}}", "E108", (1, 21), "the recipe `vllm` needs `model`"),
        ("servers: {a: {uses: uvicorn}}", "E108", (1, 21), "the recipe `uvicorn` needs `args`"),
        ("servers: {a: {uses: uvicorn, args: x, model: m}}", "E124", (1, 39), "takes no `model`"),
        ("servers: {a: {command: x, model: m}}", "E124", (1, 27), "`model` is for a recipe"),
        ("servers: {a: {command: x, args: m}}", "E124", (1, 27), "`args` is for a recipe"),
        ("jobs: {a: {uses: vllm, model: m}}", "E124", (1, 18), "is a recipe for a server, and `a` is a job"),
        ("defaults: {uses: echo}\nservers: {a: {command: x}}", "E124", (1, 12), "not into `defaults`"),
        ("servers: {a: {uses: echo, model: '${self.model}'}}", "E113", (1, 35), "refer to each other"),
        ("servers: {a: {uses: vllm, command: 'x ${self.model}'}}", "E112", (1, 39), "`a` has no `model`"),
        ("servers: {a: {uses: vllm, model: m, ready: {htp: /}}}", "E106", (1, 45), "unknown key `htp`"),
        ("servers: {a: {uses: echo, model: m, environment: {X: '${self.args}'}}}", "E112", (1, 55), "`command`"),
        ("servers: {a: {uses: echo, command: 'x ${self.args}y'}}", "E117", (1, 36), "whole arguments"),
        ("servers: {a: {uses: echo, args: x, shell: true, command: y}}", "E117", (1, 58), "takes no `args`"),
        ("uses: vllm\nservers: {a: {command: x}}", "E106", (1, 1), "unknown key `uses`"),
    ],
)  # fmt: skip
def test_refused_at_its_place(
    tmp_path: Path, text: str, code: str, place: tuple[int, int], said: str
) -> None:
    (problem,) = (one for one in refused(tmp_path, text + "\n") if one.is_error)
    span = problem.labels[0].span
    assert (problem.code, (span.line, span.column)) == (code, place)
    assert said in problem.message
    assert span.file == str(tmp_path / "stack.yaml")


def test_a_typo_is_helped(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "servers: {a: {uses: uvicron}}\n")
    assert problem.hint == "did you mean `uvicorn`?"


def test_a_model_that_nobody_uses_is_a_warning(tmp_path: Path) -> None:
    reading = planned(tmp_path, "servers: {a: {uses: vllm, model: m, command: serve}}\n")
    (warning,) = reading.warnings
    assert (warning.code, warning.is_error) == ("E125", False)


@pytest.mark.parametrize(
    ("was", "now", "place"),
    [
        ("port: 8000-8099", "prot: 8000-8099", (7, 3)),
        ("http: /health", "http: health", (9, 17)),
        ("stop_grace: 30s", "stop_grace: never", (10, 15)),
        ("[echo, ", "[echo, '${nobody.port}', ", (6, 20)),
        ("title: echo", "tilte: echo", (1, 1)),
        ("[server, job]", "[servers]", (2, 9)),
        ("cuda-memory", "cuda-memori", (4, 9)),
        ("no such word", "no (such word", (4, 30)),
        ("service:", "service: 5\nx-rest:", (5, 10)),
        ("  command:", "  uses: vllm\n  command:", (6, 3)),
        ("title: echo", "title: [", (1, 8)),
    ],
)
def test_a_problem_of_a_teams_recipe_is_shown_there(
    tmp_path: Path, was: str, now: str, place: tuple[int, int]
) -> None:
    assert was in ECHO
    found = refused(
        tmp_path,
        "servers: {a: {uses: echo, model: m}, b: {uses: echo, model: n}}\n",
        ECHO.replace(was, now, 1),
    )
    spans = {(one.labels[0].span.file, one.labels[0].span.line, one.labels[0].span.column) for one in found}
    assert (str(tmp_path / "recipes" / "echo.yaml"), *place) in spans
    assert all(file.endswith("echo.yaml") for file, _, _ in spans)


def test_its_own_traps_and_shared_ones(tmp_path: Path) -> None:
    file = tmp_path / "echo.yaml"
    file.write_text(ECHO)
    recipe, problems = load(file)
    assert recipe is not None
    assert problems == []
    assert [trap.gpu for trap in recipe.traps] == [True, False]
    assert recipe.traps[1].hint == "learn"


def test_every_file_of_the_package_is_a_recipe() -> None:
    found = names()
    assert set(found) == {file.stem for file in PACKAGED.glob("*.yaml")} - {"_traps"}
    for name, file in found.items():
        recipe, problems = load(file, packaged=True)
        assert problems == [], name
        assert recipe is not None
        assert recipe.head.sources, name
