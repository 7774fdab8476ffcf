"""A file read again, with an earlier reading at hand, is the same as one read from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launchpad.errors import Refused
from launchpad.plan.read import Reading, read_stack
from launchpad.stack.again import alike
from launchpad.stack.asked import Scaled
from launchpad.stack.nodes import Map
from launchpad.stack.source import read

FILE = """\
name: demo
include: [common.yaml, {file: inner/infra.yaml, prefix: infra-, vars: {size: "${vars.model}"}}]
x-base: {stop_signal: INT}
env_file: top.env
vars:
  model: small
  where: ${vars.model}/files
defaults:
  stop_grace: 3s
servers:
  llm:
    command: [serve, --model, "${vars.model}", --port, "${self.port}"]
    port: 20000-20010
    host: 127.0.0.1
    ready: {http: /health}
  api:
    command: api --llm ${llm.url} --from ${llm.host} --key ${KEY:-none}
    environment: {MODEL: "${vars.where}", TOP: }
    depends_on: [llm, load]
  copy:
    command: copy ${self.replica} ${infra-db.url}
    port: auto
    replicas: 2
  front:
    command: front ${copy.urls}
    depends_on: [copy, infra-db]
  heir:
    extends: x-base
    command: heir
  idle:
    command: sleep 1000
    env_file: own.env
  folder:
    command: ["sleep", "5"]
    venv: env
  made: {uses: echo, model: first, args: --one}
  other: {command: "ask ${made.model}"}
jobs:
  load:
    command: load ${stack.name}
"""

FILES = {
    "common.yaml": "servers: {common: {command: common}}\n",
    "inner/infra.yaml": """\
vars: {size: small}
env_file: infra.env
servers:
  db: {command: "db ${vars.size} ${KEY:-} ${stack.dir}", port: auto, environment: {KEY: }}
  user: {command: "user ${db.url}", depends_on: [db]}
  heir: {extends: {file: ../more.yaml, service: one}}
""",
    "inner/infra.env": "KEY=one\n",
    "more.yaml": "vars: {v: 1}\nservers: {one: {command: 'one ${vars.v} ${db.port}'}}\n",
}
RECIPE = """\
title: NAME
model: {example: m, means: any}
traps: [{match: boom, says: it burst}]
service: {command: ["NAME", "${self.model}", "${self.args}"], environment: {A: "1"}}
"""
RECIPE_EDITS = {
    "its command": ('command: ["NAME", ', 'command: ["NAME", "-v", '),
    "a variable": ('A: "1"', 'A: "2"'),
    "a trap": ("boom", "bang"),
    "a mistake": ("command:", "comand:"),
    "it is no map": ("title: NAME", "- NAME"),
    "a key more": ("{command:", "{port: 20020-20029, command:"),
}

EDITS = {
    "nothing": ("", ""),
    "a model, of which others speak": ("model: first", "model: second"),
    "arguments of a recipe": ("args: --one", "args: --two"),
    "another recipe": ("uses: echo", "uses: ache"),
    "a comment above": ("servers:", "# one\n\nservers:"),
    "a command": ("sleep 1000", "sleep 1001"),
    "a port": ("20000-20010", "20000-20011"),
    "a variable": ("model: small", "model: large"),
    "a variable by another": ("${vars.model}/files", "${vars.model}/data"),
    "an address": ("host: 127.0.0.1", "host: 127.0.0.2"),
    "defaults": ("stop_grace: 3s", "stop_grace: 4s"),
    "a need": ("depends_on: [llm, load]", "depends_on: [llm]"),
    "a condition": ("depends_on: [llm, load]", "depends_on: {llm: {condition: started}, load: }"),
    "the stack's name": ("name: demo", "name: other"),
    "what is text": ("sleep 1000", '"sleep 1000"'),
    "a quoted word": ('["sleep", "5"]', '["sleep", 5]'),
    "an order of keys": ('{MODEL: "${vars.where}", TOP: }', '{TOP: , MODEL: "${vars.where}"}'),
    "one service less": ("  idle:\n    command: sleep 1000\n    env_file: own.env\n", ""),
    "one more": ("jobs:\n", "  more:\n    command: more\njobs:\n"),
    "a job that is a server": ("jobs:\n", ""),
    "a passed socket": ("    host: 127.0.0.1\n", "    host: 127.0.0.1\n    handover: inherit\n"),
    "a port of another name": ("    port: 20000-20010\n", "    port: auto\n    ports: {extra: auto}\n"),
    "a port that others speak of is gone": ("    port: 20000-20010\n", "    ports: {extra: auto}\n"),
    "more copies": ("replicas: 2", "replicas: 3"),
    "no copies any more": ("    replicas: 2\n", ""),
    "a need of each copy": ("depends_on: [copy, infra-db]", "depends_on: [copy-0, copy-1, infra-db]"),
    "a prefix": ("prefix: infra-", "prefix: other-"),
    "a variable of an included file": ('size: "${vars.model}"', "size: tiny"),
    "what is extended": ("stop_signal: INT", "stop_signal: HUP"),
    "what is extended is another one": ("extends: x-base", "extends: idle"),
    "one file less": ("common.yaml, ", ""),
    "a name that an included file does not know": (
        "  api:\n",
        "  around: {command: x, port: auto}\n  api:\n",
    ),
    "a warning": ("sleep 1000", "curl localhost"),
    "a mistake": ("sleep 1000", "sleep ${vars.nothing}"),
    "a mistake between services": ("depends_on: [llm, load]", "depends_on: [llm, loud]"),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "top.env").write_text("TOP=one\n")
    (tmp_path / "own.env").write_text("OWN=one\n")
    (tmp_path / "inner").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "recipes").mkdir()
    for name in ("echo", "ache"):
        (tmp_path / "recipes" / f"{name}.yaml").write_text(RECIPE.replace("NAME", name))
    path = tmp_path / "stack.yaml"
    path.write_text(FILE)
    return path


def got(file: Path, before: Reading | None = None, **options: Any) -> tuple[object, ...]:
    """Everything that a reading says, with the places in the file."""
    try:
        found = read_stack(
            file, before=before, environ={"PATH": "/bin", **options.pop("environ", {})}, **options
        )
    except Refused as refused:
        return refused.diagnostics
    return got_of(found)


def read_before(file: Path, **options: Any) -> Reading:
    return read_stack(file, environ={"PATH": "/bin"}, **options)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_means_the_same_with_an_earlier_reading(file: Path, edit: str) -> None:
    before = read_before(file)
    was, now = EDITS[edit]
    assert was in FILE
    file.write_text(FILE.replace(was, now))
    fresh = got(file)
    assert got(file, before) == fresh
    assert edit in ("nothing", "what is text") or fresh != got_of(before)


@pytest.mark.parametrize("edit", RECIPE_EDITS)
def test_an_edit_of_a_recipe_means_the_same_with_an_earlier_reading(file: Path, edit: str) -> None:
    before = read_before(file)
    recipe = file.parent / "recipes" / "echo.yaml"
    was, now = (text.replace("NAME", "echo") for text in RECIPE_EDITS[edit])
    assert was in recipe.read_text()
    recipe.write_text(recipe.read_text().replace(was, now))
    fresh = got(file)
    assert got(file, before) == fresh
    assert fresh != got_of(before)


def test_a_recipe_of_ones_own_may_appear_and_go(file: Path) -> None:
    file.write_text(FILE.replace("uses: echo", "uses: vllm"))
    before = read_before(file)
    own = file.parent / "recipes" / "vllm.yaml"
    own.write_text(RECIPE.replace("NAME", "mine"))
    assert got(file, before) == got(file)
    assert got(file) != got_of(before)
    between = read_before(file)
    own.unlink()
    assert got(file, between) == got(file) == got_of(before)


def got_of(before: Reading) -> tuple[object, ...]:
    loaded = before.loaded
    places = [loaded.span(name, *key) for name in loaded.order for key in ((), ("command",), ("host",))]
    return (
        before.plan,
        before.warnings,
        repr(loaded.model),
        loaded.environment,
        loaded.secrets,
        loaded.inputs,
        loaded.order,
        loaded.surroundings,
        tuple(places),
        before.config(),
        {name: (recipe.file, recipe.traps) for name, recipe in loaded.recipes.items()},
    )


@pytest.mark.parametrize("back", EDITS)
def test_an_edit_is_taken_back(file: Path, back: str) -> None:
    file.write_text(FILE.replace(*EDITS[back]))
    try:
        before = read_before(file)
    except Refused:
        return
    file.write_text(FILE)
    assert got(file, before) == got(file)


@pytest.mark.parametrize(
    "options",
    [
        {"environ": {"KEY": "secret-key"}},
        {"environ": {"TOP": "two"}},
        {"environ": {"PATH": "/usr/bin"}},
        {"set_vars": {"model": "huge"}},
        {"env_files": ["more.env"]},
        {"profiles": ["none"]},
    ],
    ids=["a variable", "a variable of a file", "PATH", "--set", "--env-file", "--profile"],
)
def test_what_is_around_the_file_changes(file: Path, options: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.chdir(file.parent)
    (file.parent / "more.env").write_text("KEY=three\n")
    before = read_before(file)
    fresh = got(file, **dict(options))
    assert got(file, before, **dict(options)) == fresh
    assert fresh != got_of(before)


@pytest.mark.parametrize("name", ["top.env", "own.env"])
def test_an_env_file_changes(file: Path, name: str) -> None:
    before = read_before(file)
    (file.parent / name).write_text("TOP=two\nOWN=two\n")
    fresh = got(file)
    assert got(file, before) == fresh
    assert fresh != got_of(before)


EDITS_BESIDE = {
    "a command": ("common.yaml", "command: common", "command: other"),
    "a variable that is given another value": ("inner/infra.yaml", "size: small", "size: large"),
    "a variable of an env file": ("inner/infra.env", "one", "two"),
    "one more": ("common.yaml", "}\n", "}\njobs: {more: {command: more}}\n"),
    "a variable of what is extended": ("more.yaml", "v: 1", "v: 2"),
    "a name that was another one's": (
        "inner/infra.yaml",
        "  user:",
        "  idle: {command: x, port: auto}\n  user:",
    ),
    "another folder's file": ("inner/infra.yaml", "../more.yaml", "more.yaml"),
    "a mistake": ("inner/infra.yaml", "db.url", "bd.url"),
}


@pytest.mark.parametrize("edit", EDITS_BESIDE)
def test_an_edit_of_another_file(file: Path, edit: str) -> None:
    name, was, now = EDITS_BESIDE[edit]
    (file.parent / "inner/more.yaml").write_text(FILES["more.yaml"])
    before, beside = read_before(file), file.parent / name
    assert was in beside.read_text()
    beside.write_text(beside.read_text().replace(was, now))
    fresh = got(file)
    assert got(file, before) == fresh
    assert (fresh == got_of(before)) == (edit == "a variable that is given another value")
    beside.write_text(FILES[name])
    assert got(file, before) == got(file) == got_of(before)


@pytest.mark.parametrize("count", [0, 2, 3])
def test_another_number_of_copies_is_asked_for(file: Path, count: int) -> None:
    before = read_before(file)
    scaled = [Scaled("copy", count)]
    fresh = got(file, scaled=scaled)
    assert got(file, before, scaled=scaled) == fresh
    after = read_stack(file, environ={"PATH": "/bin"}, scaled=scaled)
    assert got(file, after) == got(file)


def test_a_virtual_environment_is_looked_at_again(file: Path) -> None:
    before = read_before(file)
    (file.parent / "env" / "bin").rename(file.parent / "env" / "Scripts")
    assert got(file, before) == got(file) != got_of(before)
    (file.parent / "env" / "Scripts").rmdir()
    assert got(file, before) == got(file)
    with pytest.raises(Refused):
        read_stack(file, before=before, environ={"PATH": "/bin"})


def test_what_did_not_change_is_not_made_again(file: Path) -> None:
    """Also where it stands elsewhere."""
    before = read_before(file)
    file.write_text("# above\n" + FILE.replace("sleep 1000", "sleep 1001"))
    after = read_stack(file, before=before, environ={"PATH": "/bin"})
    old = {service.name: service for service in before.plan.services}
    again = [service.name for service in after.plan.services if service is not old[service.name]]
    assert sorted(again) == ["folder", "idle"]
    assert after.loaded.service("llm") is before.loaded.service("llm")
    third = read_stack(file, before=after, environ={"PATH": "/bin"})
    assert next(s for s in third.plan.services if s.name == "idle") in after.plan.services


def test_alike_is_what_is_written(tmp_path: Path) -> None:
    """A tag makes another value of the same text."""
    texts = [
        "a: 1",
        "a: '1'",
        "a: !!str 1",
        "a: true",
        "a: [1]",
        "a: [1, 2]",
        "a: {b: 1}",
        "a: {c: 1}",
        "a:",
        "a: {b: 1, c: 1}",
    ]
    nodes: list[Map] = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        root = read(path).root
        assert root is not None
        nodes.append(root)
    pairs = [(one, other) for one in nodes for other in nodes]
    assert [alike(one, other) for one, other in pairs] == [one is other for one, other in pairs]
