"""The commands that show and explain: `url`, `env`, `config`, `graph`, `schema`, `explain`, `init`, `--help`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Make
from tests.e2e.test_commands import PAIR

# --- reading ---------------------------------------------------------------------------------------------


def test_url_env_config_graph(make_stack: Make) -> None:
    stack = make_stack("""
        name: shown
        servers:
          llm: {command: "PRETEND --port ${self.port}", port: auto, ready: /health, environment: {MODE: fast}}
          plain: {command: PRETEND}
        jobs:
          train: {command: "echo ${llm.url}", depends_on: {llm: ready, plain: started}}
    """)
    before = stack.cli("env", "train", check=0).stdout.splitlines()
    assert "LLM_URL=${llm.url}" in before, "not known before it runs"
    stack.up()
    url = stack.cli("url", "llm", check=0).stdout.strip()
    environ = dict(line.split("=", 1) for line in stack.cli("env", "train", check=0).stdout.splitlines())
    assert environ["LLM_URL"] == url
    own = dict(line.split("=", 1) for line in stack.cli("env", "llm", check=0).stdout.splitlines())
    assert (own["MODE"], own["PORT"], own["PYTHONUNBUFFERED"]) == ("fast", url.rpartition(":")[2], "1")
    config = json.loads(stack.cli("config", "--json", check=0).stdout)
    assert config["name"] == "shown"
    assert config["servers"]["llm"]["environment"]["MODE"] == "fast"
    assert stack.cli("url", "plain").returncode == 1
    assert "train" in stack.cli("graph", check=0).stdout
    mermaid = stack.cli("graph", "--mermaid", check=0).stdout
    assert re.search(r"^(flowchart|graph) ", mermaid)
    assert stack.cli("graph", "--dot", check=0).stdout.startswith("digraph")
    stack.down()


def test_config_is_a_stack_file_again(make_stack: Make) -> None:
    """What `config` prints can be checked and run."""
    stack = make_stack("""
        vars: {word: hello}
        defaults: {stop_grace: 3s}
        servers: {llm: {command: "PRETEND --port ${self.port}", port: 20000-29000, ready: /health}}
        jobs: {say: {command: "echo ${vars.word} $$HOME", depends_on: [llm], output: [console, {file: said.txt}]}}
    """)
    stack.file.write_text(stack.cli("config", check=0).stdout)
    stack.cli("run", "say", check=0)
    assert (stack.folder / "said.txt").read_text() == "hello $HOME\n"


def test_schema_knows_every_key(make_stack: Make) -> None:
    """`schema` prints a JSON schema; a stack with an unknown key does not fit it, a good one does."""
    import jsonschema
    import yaml

    stack = make_stack(PAIR)
    schema = json.loads(stack.cli("schema", check=0).stdout)
    jsonschema.validate(yaml.safe_load(stack.file.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"servers": {"llm": {"comand": "x"}}}, schema)


def test_explain(make_stack: Make) -> None:
    stack = make_stack(PAIR)
    assert "port" in stack.cli("explain", "E301", check=0).stdout
    listed = stack.cli("explain", check=0).stdout
    assert {"E301", "E401", "E402", "E501"} <= set(re.findall(r"E\d{3}", listed))
    assert stack.cli("explain", "E999").returncode == 2


def test_init_makes_a_stack_that_runs(make_stack: Make) -> None:
    """`init` writes a file; `check` is content; `up` of it runs; a second `init` writes over nothing."""
    stack = make_stack("")
    stack.file.unlink()
    stack.environ["PATH"] = f"{Path(sys.executable).parent}:{stack.environ['PATH']}"
    stack.cli("init", check=0)
    text = stack.file.read_text()
    stack.cli("check", check=0)
    stack.up()
    assert all(row["state"] in ("ready", "done") for row in stack.ps().values())
    stack.down()
    assert stack.cli("init").returncode == 2
    assert stack.file.read_text() == text


def test_version_and_help(make_stack: Make) -> None:
    stack = make_stack(PAIR)
    assert re.fullmatch(r"launchpad \d+\.\d+\.\S+\n", stack.cli("--version", check=0).stdout)
    overview = stack.cli("--help", check=0).stdout
    for command in ("up", "run", "down", "ps", "logs", "events", "wait", "start", "stop", "restart", "check",
                    "config", "graph", "env", "url", "schema", "explain", "init"):  # fmt: skip
        assert re.search(rf"^\s+{command}\s", overview, re.MULTILINE), command
        assert stack.cli(command, "--help", check=0).stdout.startswith("Usage:")
    wrong = stack.cli("pss", check=2)
    assert "`ps`" in wrong.stderr
    assert not wrong.stdout


def test_plain_output_without_a_terminal(make_stack: Make) -> None:
    """Without a terminal: no colour, no cursor movement; stdout carries the output alone, stderr the messages."""
    stack = make_stack(PAIR)
    stack.environ.pop("NO_COLOR")
    done = stack.cli("run", "train", check=0)
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    assert sorted(line.split()[-1] for line in done.stdout.splitlines()) == ["one", "trained", "two"]
    assert "ready" in done.stderr
