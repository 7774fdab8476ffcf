"""The JSON schema: fresh, valid, and of one mind with the loader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from launchpad.stack.jsonschema import json_schema
from launchpad.stack.parts import Alive, Backoff, Dependency, EnvFile, Ready, Restart, Sink
from launchpad.stack.reuse import Extends, Include
from launchpad.stack.schema import Job, Server, Stack
from tests.messages.bad_files import CASES
from tests.stack.test_mutations import REALISTIC
from tests.stack.writing import ENVIRON, loaded

ROOT = Path(__file__).resolve().parents[2]
VALIDATOR = jsonschema.Draft202012Validator(json_schema())

CONTRACT = """\
name: grpo
vars: {model: Qwen/Qwen3-0.6B}
env_file: [.env]
defaults:
  restart: on-failure
servers:
  llm:
    command: vllm serve ${vars.model} --host ${self.host} --port ${self.port}
    port: 8030-8099
    ready: {http: /health, timeout: 10m}
  reward:
    command: [python, -m, uvicorn, "reward:app", --port, "${self.port}"]
    venv: .venvs/reward
    port: 8100-8199
    ready: http://127.0.0.1:${self.port}/healthz
    watch: [reward/**/*.py]
jobs:
  train:
    command: accelerate launch train.py --base-url ${llm.url}/v1
    depends_on: [llm, reward]
    ports: {master: 29500-29599}
    output: [console, {file: logs/train.log, rotate: 50MB, keep: 5}]
    retries: 2
"""


def problems(data: Any) -> list[str]:
    return [f"{list(one.absolute_path)}: {one.message}" for one in VALIDATOR.iter_errors(data)]


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_file_is_fresh() -> None:
    written = json.loads((ROOT / "schemas" / "stack.schema.json").read_text())
    assert written == json_schema(), "run scripts/gen"


def test_gen_says_what_is_stale(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    (copy / "schemas").mkdir(parents=True)
    (copy / "scripts").mkdir()
    for name in ("gen",):
        (copy / "scripts" / name).write_text((ROOT / "scripts" / name).read_text())
    (copy / "scripts" / "gen_reference.py").write_text("")
    schema = copy / "schemas" / "stack.schema.json"

    def gen(*arguments: str) -> int:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(copy / "scripts" / "gen"), *arguments]
        return subprocess.run(command, env=environ, check=False, capture_output=True, timeout=60).returncode

    assert gen("--check") == 1
    assert not schema.exists()
    assert gen() == 0
    assert gen("--check") == 0
    schema.write_text(schema.read_text() + " ")
    assert gen("--check") == 1


@pytest.mark.parametrize("file", sorted((ROOT / "stacks").glob("*.yaml")), ids=lambda path: path.name)
def test_every_stack_of_the_repository(file: Path) -> None:
    assert problems(yaml.safe_load(file.read_text())) == []


def test_the_files_that_load_are_valid(tmp_path: Path) -> None:
    (tmp_path / ".venvs" / "reward" / "bin").mkdir(parents=True)
    assert loaded(tmp_path, CONTRACT, {".env": "A=1\n"}).order == ("llm", "reward", "train")
    assert problems(yaml.safe_load(CONTRACT)) == []
    assert problems(yaml.safe_load(REALISTIC)) == []


SHAPES = [
    "two-typos", "typo-inside-ready", "no-command", "text-for-a-service", "number-for-text", "list-for-a-map",
    "map-for-a-list", "bad-duration", "bad-size", "negative-retries", "bad-sink", "bad-name", "reserved-name",
    "empty-command", "map-as-argument", "mapped-port", "bad-range", "port-zero", "port-70000", "ports-as-a-list",
    "localhost", "not-a-path", "bad-status", "bad-condition", "top-level-list", "a-folder-of-keys",
    "job-key-on-a-server", "key-of-another-tool", "key-at-the-wrong-level", "list-with-shell",
]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "list-with-shell"])
def test_what_the_loader_refuses_for_its_shape_the_schema_refuses(name: str) -> None:
    text = CASES[name].text
    assert problems(yaml.safe_load(text.decode() if isinstance(text, bytes) else text))


def test_extensions_are_free_everywhere() -> None:
    text = """
        x-any: [1]
        defaults: {x-d: 1}
        servers:
          x-base: {not: checked}
          a: {command: x, x-why: {a: b}, ready: {http: /, x-n: 1}, port: auto}
    """
    assert problems(yaml.safe_load(text)) == []


MODELS: dict[type[BaseModel], str] = {
    Stack: "",
    Server: "servers",
    Job: "jobs",
    Ready: "ready",
    Alive: "alive",
    Restart: "restart",
    Backoff: "backoff",
    Dependency: "depends_on",
    EnvFile: "env_file",
    Sink: "output",
    Include: "include",
    Extends: "extends",
}
INCLUDED = {"file": "common.yaml"}
MATES = {
    "status": {"http": "/"},
    "body": {"http": "/"},
    "headers": {"http": "/"},
    "post": {"http": "/"},
    "rotate": {"file": "a.log"},
    "keep": {"file": "a.log"},
    "required": {"path": "no.env"},
    "model": {"uses": "vllm"},
    "args": {"uses": "vllm"},
    "prefix": {"file": "common.yaml"},
    "vars": {"file": "common.yaml"},
}
ANY = "{title: any, kinds: [server, job], model: {example: m, means: any}, service: {command: x}}"
"""A team's own `vllm`, for whatever kind."""


def examples() -> Iterator[tuple[str, type[BaseModel], str, Any]]:
    for model in MODELS:
        for name, field in model.model_fields.items():
            for number, example in enumerate(field.examples or []):
                yield f"{model.__name__}.{name}.{number}", model, name, example


def whole(model: type[BaseModel], key: str, example: Any) -> dict[str, Any]:
    """A file in which the example stands."""
    if model is Stack:
        rest = {} if key == "servers" else {"servers": {"web": {"command": "x", "port": "auto"}}}
        return {**rest, key: example}
    inside = {**MATES.get(key, {}), key: example}
    service: dict[str, Any] = {"command": "x", "port": "auto"}
    if model in (Server, Job):
        service.update(inside)
    elif model is Include:
        return {"servers": {"web": service}, "include": [{**INCLUDED, **inside}]}
    elif model is Extends:
        service["extends"] = {"service": "llm", **inside}
    elif model is Dependency:
        service["depends_on"] = {"llm": inside}
    else:
        service[MODELS[model]] = inside
    group = "jobs" if model is Job else "servers"
    if key == "port":
        service = {"command": "x", "port": example}
    others = {name: {"command": "x", "port": "auto"} for name in ("llm", "reward")}
    if group == "servers":
        return {"vars": {"model": "m"}, "servers": {**others, "web": service}}
    return {"vars": {"model": "m"}, "servers": others, "jobs": {"web": service}}


@pytest.mark.parametrize(
    ("model", "key", "example"), [e[1:] for e in examples()], ids=[e[0] for e in examples()]
)
def test_examples_of_the_documentation(
    tmp_path: Path, model: type[BaseModel], key: str, example: Any
) -> None:
    data = {"x-base": {}, **whole(model, key, example)}
    assert problems(data) == []
    tmp_path = tmp_path / "here"
    tmp_path.mkdir()
    (tmp_path / ".venvs" / "reward" / "bin").mkdir(parents=True)
    common = "vars: {model: m}\nservers: {llm: {command: x}}"
    others = dict.fromkeys(("base.yaml", "../infra/llm.yaml", "common.yaml"), common)
    files = {
        ".env": "A=1\n",
        "recipes/vllm.yaml": ANY,
        "reward/requirements.txt": "",
        "base.txt": "",
        **others,
    }
    environ = {**ENVIRON, "API_KEY": "k", "HF_TOKEN": "t"}
    loaded(tmp_path, yaml.safe_dump(data, sort_keys=False), files, environ=environ)


def test_every_key_is_described_and_has_an_example() -> None:
    for model in MODELS:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            assert field.examples, f"{model.__name__}.{name}"
