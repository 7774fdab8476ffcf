"""Commands about the stack file: check, config, graph, env, init, schema, explain; and the codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from launchpad.codes import CODES
from tests.cli.conftest import Cli
from tests.cli.fake import FakeSupervisor

PRODUCT = Path(__file__).resolve().parent.parent.parent / "launchpad"


def test_a_good_file_is_praised_on_stderr(cli: Cli, folder: Path) -> None:
    said = cli("check")
    assert (said.code, said.out) == (0, "")
    assert said.err == f"{folder / 'stack.yaml'}: ok, 2 servers, 2 jobs\n"


def test_all_problems_of_all_files_at_once(cli: Cli, folder: Path) -> None:
    (folder / "a.yaml").write_text("servers:\n  x: {comand: y, restart: sometimes}\n")
    (folder / "b.yaml").write_text("jobs:\n  x: {command: y, depends_on: [z]}\n")
    said = cli("check", "a.yaml", "b.yaml", "stack.yaml")
    assert (said.code, said.out) == (2, "")
    assert "--> a.yaml:2:7\n" in said.err
    assert len(re.findall(r"^ +--> a\.yaml:2:\d+$", said.err, re.M)) == 2
    assert len(re.findall(r"^ +--> b\.yaml:2:\d+$", said.err, re.M)) == 1
    assert "stack.yaml: ok" in said.err


def test_problems_as_json(cli: Cli, folder: Path) -> None:
    (folder / "a.yaml").write_text("servers:\n  x: {comand: y, command: z}\n")
    said = cli("check", "--json", "-f", "a.yaml")
    (problem,) = json.loads(said.out)
    assert said.code == 2
    assert (problem["code"], problem["severity"], problem["line"], problem["column"]) == (
        "E106",
        "error",
        2,
        7,
    )
    assert problem["file"].endswith("a.yaml")
    assert {"message", "hint"} <= set(problem)
    assert json.loads(cli("check", "--json").out) == []


def test_warnings_alone_are_fine(cli: Cli, folder: Path) -> None:
    (folder / "a.yaml").write_text("servers: {x: {command: serve --host localhost}}\n")
    said = cli("check", "a.yaml")
    assert said.code == 0
    assert "warning[" in said.err
    assert "a.yaml: ok, 1 server, 0 jobs, 1 warning\n" in said.err


def test_config_is_yaml_that_means_the_same_and_hides_secrets(cli: Cli, folder: Path) -> None:
    said = cli("config", "--set", "model=big")
    content = yaml.safe_load(said.out)
    assert content["servers"]["llm"]["environment"]["MODEL"] == "big"
    assert "very-secret-value" not in said.out
    assert content["servers"]["llm"]["stop_signal"] == "SIGTERM"
    assert json.loads(cli("config", "--json", "--set", "model=big").out) == content
    (folder / "again.yaml").write_text(said.out)
    assert cli("check", "again.yaml").code == 0


def test_config_of_one(cli: Cli, folder: Path) -> None:
    whole = yaml.safe_load(cli("config").out)
    assert yaml.safe_load(cli("config", "llm").out) == {"servers": {"llm": whole["servers"]["llm"]}}
    both = json.loads(cli("config", "train", "llm", "--json").out)
    assert both == {"servers": {"llm": whole["servers"]["llm"]}, "jobs": {"train": whole["jobs"]["train"]}}
    assert cli("config", "lmm").code == 2
    (folder / "two.yaml").write_text("servers: {llm: {command: a, replicas: 2}, b: {command: b}}\n")
    assert list(json.loads(cli("config", "two.yaml", "llm", "--json").out)["servers"]) == ["llm-0", "llm-1"]


def test_graph(cli: Cli) -> None:
    assert cli("graph").out == (
        "eval (job)\n"
        "└─ train (job), waits until done\n"
        "   ├─ llm (server), waits until ready\n"
        "   └─ reward (server), waits until started\n"
    )
    assert cli("graph", "reward", "--mermaid").out == 'flowchart LR\n    n0["reward"]\n'
    assert '"train" -> "eval" [label="done"];' in cli("graph", "--dot").out


def test_env_before_the_start_and_while_it_runs(cli: Cli, supervisor: FakeSupervisor) -> None:
    lines = cli("env", "train").out.splitlines()
    assert "LLM_URL=http://127.0.0.1:8030" in lines
    assert "LLM_PORT=8030" in lines
    supervisor.close()
    lines = cli("env", "train").out.splitlines()
    assert "LLM_URL=${llm.url}" in lines
    assert "LLM_PORT=${llm.port}" in lines


def test_env_hides_secrets_unless_they_are_asked_for(cli: Cli, folder: Path) -> None:
    stack = (folder / "stack.yaml").read_text()
    (folder / "stack.yaml").write_text(
        stack.replace("MODEL: ", "URL: 'http://u:${TOKEN}@x', DB: 'pg://u:written-down@db', MODEL: ")
    )
    (folder / ".env").write_text("TOKEN=hunter2hunter2\n")
    arguments = ("env", "llm", "--env-file", ".env")
    assert "API_TOKEN=********" in cli(*arguments).out
    assert "hunter2" not in cli(*arguments).out
    assert "DB=pg://u:********@db" in cli(*arguments).out
    shown = cli(*arguments, "--show-secrets").out
    assert "API_TOKEN=very-secret-value" in shown
    assert "URL=http://u:hunter2hunter2@x" in shown


def test_init_writes_a_file_that_checks_and_writes_over_nothing(cli: Cli, folder: Path) -> None:
    (folder / "stack.yaml").unlink()
    assert cli("init").code == 0
    first = (folder / "stack.yaml").read_text()
    said = cli("check")
    assert said.code == 0
    assert "ok, 2 servers, 1 job" in said.err
    assert "warning" not in said.err
    said = cli("init")
    assert said.code == 2
    assert "error[E192]: `stack.yaml` is there already" in said.err
    (folder / "stack.yaml").write_text("mine")
    assert cli("init").code == 2
    assert (folder / "stack.yaml").read_text() == "mine"
    assert cli("init", "--force").code == 0
    assert (folder / "stack.yaml").read_text() == first
    assert cli("init", "sub/other.yaml").code == 2
    assert cli("init", "other.txt").code == 2


def test_schema_is_a_json_schema(cli: Cli) -> None:
    schema = json.loads(cli("schema").out)
    assert "servers" in schema["properties"]


# --- codes -----------------------------------------------------------------------------------------------


def used_codes() -> set[str]:
    sources = [path.read_text() for path in PRODUCT.rglob("*.py") if path.name != "codes.py"]
    return {code for source in sources for code in re.findall(r"""["[](E\d{3})["\]]""", source)}


def test_every_code_is_explained_and_every_explanation_is_of_a_code() -> None:
    assert set(CODES) == used_codes()


@pytest.mark.parametrize("code", CODES)
def test_every_explanation_has_all_its_parts(code: str, cli: Cli) -> None:
    entry = CODES[code]
    assert entry.causes
    assert entry.remedies
    assert not entry.title.endswith(".")
    assert entry.meaning.endswith(".")
    said = cli("explain", code.lower())
    assert said.out.startswith(f"{code}: {entry.title}\n\n")
    assert all(len(line) <= 90 for line in said.out.splitlines())


def test_explain_lists_all_codes(cli: Cli) -> None:
    lines = cli("explain").out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(CODES)
    said = cli("explain", "E999")
    assert (said.code, said.out) == (2, "")
