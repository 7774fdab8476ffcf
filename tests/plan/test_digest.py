"""What changes a digest, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.writing import planned

BASE = """
vars: {m: small}
servers:
  llm: {command: x, port: auto}
  a:
    command: serve ${vars.m} ${llm.url}
    port: 8000-8010
    environment: {A: 1, B: 2}
    env_file: a.env
    working_dir: w
"""
ENV = "FROM_FILE=1\n"


def digest(folder: Path, text: str = BASE, env: str = ENV, **options: object) -> str:
    for name in ("w", "v", "v/bin", "z"):
        (folder / name).mkdir(exist_ok=True)
    reading = planned(folder, text, {"a.env": env}, **options)
    return next(one.digest for one in reading.plan.services if one.name == "a")


SAME = {
    "comment": BASE.replace("  a:\n", "  a:  # mine\n"),
    "order of keys": BASE.replace("{A: 1, B: 2}", "{B: 2, A: 1}"),
    "form of environment": BASE.replace("{A: 1, B: 2}", "[A=1, B=2]"),
    "form of command": BASE.replace("serve ${vars.m} ${llm.url}", '[serve, small, "${llm.url}"]'),
    "form of port": BASE.replace("port: 8000-8010", "ports: {main: 8000-8010}"),
    "defaults": "defaults: {stop_grace: 3s}\n" + BASE,
    "ready": BASE + "    ready: /health\n",
    "alive": BASE + "    alive: /health\n",
    "restart": BASE + "    restart: always\n",
    "stopping": BASE + "    stop_signal: INT\n    stop_grace: 1s\n",
    "output": BASE + "    output: jsonl\n",
    "depends_on": BASE + "    depends_on: [llm]\n",
    "profiles": BASE + "    profiles: [p]\n",
    "watch": BASE + "    watch: [w/*]\n",
    "another service": BASE + "  b: {command: y}\n",
    "the other's port": BASE.replace("{command: x, port: auto}", "{command: x, port: 9000}"),
    "the stack's name": "name: other\n" + BASE,
    "an unused variable": BASE.replace("{m: small}", "{m: small, n: 1}"),
}
DIFFERENT = {
    "command": BASE.replace("command: serve", "command: serve2"),
    "a variable in it": BASE.replace("m: small", "m: large"),
    "a reference for its text": BASE.replace("${llm.url}", "${llm.port}"),
    "environment": BASE.replace("A: 1", "A: 3"),
    "one variable less": BASE.replace("A: 1, ", ""),
    "inherit_env": BASE + "    inherit_env: false\n",
    "inherited names": BASE + "    inherit_env: [A]\n",
    "working_dir": BASE.replace("working_dir: w", "working_dir: z"),
    "venv": BASE + "    venv: v\n",
    "port": BASE.replace("8000-8010", "8000-8011"),
    "auto": BASE.replace("8000-8010", "auto"),
    "another port": BASE + "    ports: {b: auto}\n",
    "host": BASE + "    host: 0.0.0.0\n",
    "handover": BASE + "    handover: release\n",
    "shell": BASE + "    shell: true\n",
}


@pytest.mark.parametrize("what", SAME)
def test_does_not_change_it(tmp_path: Path, what: str) -> None:
    assert SAME[what] != BASE
    assert digest(tmp_path, SAME[what]) == digest(tmp_path)


@pytest.mark.parametrize("what", DIFFERENT)
def test_changes_it(tmp_path: Path, what: str) -> None:
    assert DIFFERENT[what] != BASE
    assert digest(tmp_path, DIFFERENT[what]) != digest(tmp_path)


def test_contents_of_env_files_count(tmp_path: Path) -> None:
    assert digest(tmp_path, env="FROM_FILE=2\n") != digest(tmp_path)
    assert digest(tmp_path, env="# the same\nFROM_FILE='1'\n") == digest(tmp_path)


def test_the_reference_is_no_text(tmp_path: Path) -> None:
    escaped = BASE.replace("${llm.url}", "$${llm.url}")
    assert digest(tmp_path, escaped) != digest(tmp_path)
