"""Recipes and environments in files that include others, in services that extend others, and in copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchpad.errors import Diagnostic, Refused
from launchpad.plan.environments import environment_of
from launchpad.plan.head import Program
from launchpad.plan.read import Reading
from tests.stack.writing import loaded, planned

RECIPE = """\
title: a recipe
kinds: [server]
model: {{example: m, means: any}}
traps: [{{match: boom, says: it burst}}]
service: {{command: [{0}, "${{self.model}}", "${{self.args}}", "${{stack.dir}}"], port: auto, stop_grace: 7s}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    here = tmp_path / "here"
    here.mkdir()
    return here


def argv(reading: Reading, name: str) -> list[str]:
    command = next(one.command for one in reading.plan.services if one.name == name)
    return ["".join(map(str, parts)) for parts in command]


def working_dir(reading: Reading, name: str) -> str:
    return next(one.working_dir for one in reading.plan.services if one.name == name)


def refused(folder: Path, text: str, files: dict[str, str]) -> tuple[Diagnostic, ...]:
    with pytest.raises(Refused) as caught:
        planned(folder, text, files)
    return caught.value.diagnostics


# --- recipes -------------------------------------------------------------------------------------------


def test_an_included_file_has_the_recipes_beside_it(folder: Path) -> None:
    files = {
        "../infra/a.yaml": "servers: {in: {uses: own, model: m}}\n",
        "../infra/recipes/own.yaml": RECIPE.format("theirs"),
        "recipes/own.yaml": RECIPE.format("ours"),
    }
    stack = "include: ../infra/a.yaml\nservers: {out: {uses: own, model: n}}\n"
    reading = planned(folder, stack, files)
    infra = str(folder.parent / "infra")
    assert argv(reading, "in") == ["theirs", "m", infra]
    assert argv(reading, "out") == ["ours", "n", str(folder)]
    assert (working_dir(reading, "in"), working_dir(reading, "out")) == (infra, str(folder))


def test_a_recipe_that_is_not_there_is_that_of_the_file_around_it(folder: Path) -> None:
    files = {
        "../infra/a.yaml": "servers: {in: {uses: own, model: m}, web: {uses: uvicorn, args: 'app:app'}}\n",
        "recipes/own.yaml": RECIPE.format("ours"),
        "recipes/uvicorn.yaml": RECIPE.format("not-meant"),
    }
    reading = planned(folder, "include: ../infra/a.yaml\n", files)
    infra = folder.parent / "infra"
    assert argv(reading, "in") == ["ours", "m", str(infra)]
    assert "not-meant" not in argv(reading, "web")
    looked_for = {infra / "recipes/own.yaml", folder / "recipes/own.yaml", infra / "recipes/uvicorn.yaml"}
    assert looked_for < set(reading.inputs)


def test_uses_may_come_from_what_is_extended(folder: Path) -> None:
    files = {
        "../infra/base.yaml": "vars: {m: theirs}\ndefaults: {stop_grace: 5s}\nx-base: {uses: own, model: '${vars.m}'}\n",
        "../infra/recipes/own.yaml": RECIPE.format("own"),
    }
    stack = """\
        x-base: {uses: own, args: --one}
        servers:
          a: {extends: {file: ../infra/base.yaml, service: x-base}}
          b: {extends: {file: ../infra/base.yaml, service: x-base}, model: ours, args: --two}
          c: {command: "ask ${a.model}"}
        """
    reading = planned(folder, stack, files)
    infra = str(folder.parent / "infra")
    assert argv(reading, "a") == ["own", "theirs", infra]
    assert argv(reading, "b") == ["own", "ours", "--two", infra]
    assert argv(reading, "c") == ["ask", "theirs"]
    assert reading.loaded.service("a").stop_grace == 5.0


def test_each_copy_has_the_recipe(folder: Path) -> None:
    files = {"recipes/own.yaml": RECIPE.format("own")}
    stack = (
        "servers: {llm: {uses: own, model: 'm${self.replica}', replicas: 2}, a: {command: 'x ${llm.urls}'}}\n"
    )
    reading = planned(folder, stack, files)
    assert [argv(reading, name)[1] for name in ("llm-0", "llm-1")] == ["m0", "m1"]
    assert [trap.says for trap in reading.program("llm-1").traps] == ["it burst"]
    assert reading.program("a") == Program()


def test_whatever_has_a_port_may_say_that_it_is_taken(folder: Path) -> None:
    reading = planned(folder, "servers: {a: {command: x, port: auto}}\n", {})
    assert ["port" in trap.says for trap in reading.program("a").traps] == [True]


def test_what_belongs_to_one_service_is_refused_in_the_defaults_of_any_file(folder: Path) -> None:
    files = {"a.yaml": "defaults: {uses: vllm}\nservers: {a: {command: x}}\n"}
    (problem,) = refused(folder, "include: a.yaml\n", files)
    assert problem.code == "E124"
    assert problem.labels[0].span.file.endswith("a.yaml")


def test_of_what_extends_nothing_is_not_said_that_it_uses_nothing(folder: Path) -> None:
    (problem,) = refused(folder, "servers: {a: {extends: b, model: m}}\n", {})
    assert problem.code == "E112"


# --- environments --------------------------------------------------------------------------------------

INNER = """\
servers:
  file: {command: x, requirements: req.txt, venv: .venv}
  list: {command: x, requirements: ["-r req.txt", "./wheel", "torch"], python: bin/python}
"""


def test_paths_of_an_environment_are_those_of_the_file_that_says_them(folder: Path) -> None:
    infra = folder.parent / "infra"
    files = {"../infra/a.yaml": INNER, "../infra/req.txt": "a\n", "../infra/bin/python": "", "req.txt": "b\n"}
    (infra / "bin").mkdir(parents=True)
    (infra / "bin/python").touch()
    (infra / "bin/python").chmod(0o755)
    found = loaded(folder, "include: ../infra/a.yaml\n", files)
    made = found.made
    for name in ("file", "list"):  # an installer takes `./package` in a file from where it is started
        environment = environment_of(found, name)
        assert environment is not None
        assert environment.working_dir == str(infra)
    assert made["file"].lines == (f"-r {infra}/req.txt",)
    assert made["file"].link == str(infra / ".venv")
    assert made["list"].lines == (f"-r {infra}/req.txt", f"{infra}/wheel", "torch")
    assert made["list"].python.program == str(infra / "bin/python")
    assert [path for path, _ in made["list"].files] == [str(infra / "req.txt")]


def test_one_environment_for_two_files_that_ask_for_the_same(folder: Path) -> None:
    """Unless they name files, in which a path may mean another one."""
    files = {
        "../infra/a.yaml": "servers: {b: {command: x, requirements: [one]}}\n",
        "../infra/r.txt": "one\n",
    }
    text = "include: ../infra/a.yaml\nservers: {a: {command: x, requirements: [one]}}\n"
    found = loaded(folder, text, files)
    first, second = (environment_of(found, name) for name in "ab")
    assert (first and first.folder) == (second and second.folder)
    files["../infra/a.yaml"] = "servers: {b: {command: x, requirements: r.txt}}\n"
    text = "include: ../infra/a.yaml\nservers: {a: {command: x, requirements: ../infra/r.txt}}\n"
    found = loaded(folder, text, files)
    first, second = (environment_of(found, name) for name in "ab")
    assert (first and first.folder) != (second and second.folder)


@pytest.mark.parametrize("more", ["", ", venv: .venv"], ids=["a place of launchpad's own", "a place"])
def test_copies_share_one_environment(folder: Path, more: str) -> None:
    stack = f"servers: {{llm: {{command: x, requirements: [a], replicas: 2{more}}}}}\n"
    found = loaded(folder, stack)
    first, second = (environment_of(found, name) for name in ("llm-0", "llm-1"))
    assert first is not None
    assert second is not None
    assert first.folder == second.folder
