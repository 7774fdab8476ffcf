"""A stack of several files: each is watched, each means what it says, and a bad one changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import PRETEND, Stack, environ_of, eventually, get

MAIN = """
include:
  - {file: ../infra/llm.yaml, prefix: infra-, vars: {model: large}}
servers:
  app: {command: "PRETEND --port ${self.port} --name ${infra-llm.url}", port: auto, depends_on: [infra-gate]}
"""
INFRA = """
vars: {model: small}
env_file: infra.env
defaults: {environment: {FROM: infra}}
servers:
  llm: {command: "PRETEND --port ${self.port} --name ${vars.model}", port: auto}
  gate:
    command: PRETEND --port ${self.port} --name gate --print ${stack.dir}
    port: auto
    depends_on: [llm]
    watch: [src/*.py]
"""


def infra(stack: Stack) -> Path:
    return stack.folder.parent / "infra"


def save(file: Path, text: str) -> None:
    file.write_text(text.replace("PRETEND", PRETEND))


@pytest.fixture
def stack(make_stack: Make, tmp_path: Path) -> Stack:
    made = make_stack(MAIN, folder="app")
    (tmp_path / "infra/src").mkdir(parents=True)
    (tmp_path / "infra/infra.env").write_text("KEY=of-infra\n")
    (tmp_path / "infra/src/a.py").write_text("")
    save(tmp_path / "infra/llm.yaml", INFRA)
    return made


def pids(stack: Stack) -> dict[str, Any]:
    return {view.name: view.pid for view in stack.client.status().services}


def other_pid(stack: Stack, name: str, before: dict[str, Any]) -> None:
    """This one gets another process, and it alone."""
    stack.wait_for(
        lambda s: (
            s.phase == "up"
            and any(
                v.name == name and v.pid not in (None, before[name]) and v.state == "ready"
                for v in s.services
            )
        )
    )
    now = pids(stack)
    assert {one for one in before if before[one] != now[one]} == {name}


def test_each_file_means_what_it_says(stack: Stack) -> None:
    stack.up()
    rows = stack.ps()
    assert list(rows) == ["infra-llm", "infra-gate", "app"]
    assert get(f"{rows['infra-llm']['url']}/").json()["name"] == "large"
    assert get(f"{rows['app']['url']}/").json()["name"] == rows["infra-llm"]["url"]
    gate = environ_of(rows["infra-gate"]["pid"])
    assert gate["LLM_URL"] == rows["infra-llm"]["url"], "under the name that its file says"
    assert (gate["KEY"], gate["FROM"]) == ("of-infra", "infra")
    assert os.readlink(f"/proc/{rows['infra-gate']['pid']}/cwd") == str(infra(stack))
    app = environ_of(rows["app"]["pid"])
    assert "INFRA_GATE_URL" in app
    assert not {"KEY", "FROM"} & set(app)
    assert os.readlink(f"/proc/{rows['app']['pid']}/cwd") == str(stack.folder)
    assert str(infra(stack)) in stack.cli("logs", "infra-gate", check=0).stdout
    stack.down()


def test_a_save_of_an_included_file_is_applied(stack: Stack) -> None:
    stack.start("up")
    stack.wait_up()
    before = pids(stack)
    save(infra(stack) / "llm.yaml", INFRA.replace("--name gate", "--name other"))
    other_pid(stack, "infra-gate", before)
    before = pids(stack)
    (infra(stack) / "src/a.py").write_text("changed")
    other_pid(stack, "infra-gate", before)
    before = pids(stack)
    (infra(stack) / "infra.env").write_text("KEY=another\n")
    stack.wait_for(
        lambda s: s.phase == "up" and all(v.pid != before[v.name] or v.name == "app" for v in s.services)
    )
    assert pids(stack)["app"] == before["app"]
    stack.down()


BAD = {
    "broken": "servers: {llm: [",
    "gone": None,
    "empty": "",
    "an unknown key": INFRA.replace("port: auto}", "port: auto, prot: 1}"),
    "itself": INFRA + "include: [llm.yaml]\n",
    "the first one": INFRA + "include: [../app/stack.yaml]\n",
    "a name twice": INFRA + "include: [{file: more.yaml}]\n",
}


@pytest.mark.heavy
@pytest.mark.parametrize("how", BAD)
def test_a_bad_included_file_changes_nothing(stack: Stack, how: str) -> None:
    (infra(stack) / "more.yaml").write_text("servers: {llm: {command: x}}\n")
    stack.start("up")
    stack.wait_up()
    before, file, text = pids(stack), infra(stack) / "llm.yaml", BAD[how]
    if text is None:
        file.unlink()
    else:
        save(file, text)
    told = stack.wait_for(lambda s: bool(s.stale))
    assert any(label.span.file.endswith(".yaml") for d in told.diagnostics for label in d.labels)
    assert pids(stack) == before
    save(file, INFRA.replace("--name gate", "--name next"))
    other_pid(stack, "infra-gate", before)
    assert not stack.client.status().stale
    stack.down()


def test_an_included_file_that_is_cut_off_waits(stack: Stack) -> None:
    stack.start("up")
    stack.wait_up()
    whole, file = INFRA + "  last:\n    command: PRETEND --name last-one\n", infra(stack) / "llm.yaml"
    save(file, whole)
    stack.wait_state("infra-last", "ready")
    before = pids(stack)
    save(file, whole.removesuffix("-one\n"))
    told = stack.wait_for(lambda s: bool(s.stale))
    assert [one.code for one in told.diagnostics] == ["E612"]
    assert pids(stack) == before
    save(file, whole)
    stack.wait_for(lambda s: not s.stale)
    assert pids(stack) == before
    stack.down()


def test_a_file_that_is_included_later_is_watched(stack: Stack) -> None:
    stack.start("up")
    stack.wait_up()
    save(infra(stack) / "more.yaml", "servers: {more: {command: PRETEND --name one}}\n")
    stack.write(MAIN.replace("include:\n", "include:\n  - ../infra/more.yaml\n"))
    stack.wait_state("more", "ready")
    before = pids(stack)
    save(infra(stack) / "more.yaml", "servers: {more: {command: PRETEND --name two}}\n")
    other_pid(stack, "more", before)
    stack.down()


def test_what_is_extended_is_watched(make_stack: Make, tmp_path: Path) -> None:
    base = "servers: {llm: {port: auto, environment: {A: '1', B: '1'}, stop_grace: 1s}}\n"
    (tmp_path / "base.yaml").write_text(base)
    stack = make_stack("""
        servers:
          llm:
            extends: {file: ../base.yaml, service: llm}
            command: PRETEND --port ${self.port}
            environment: {B: '2'}
          other: {command: PRETEND, port: auto}
    """)
    stack.start("up")
    stack.wait_up()
    before = pids(stack)
    environ = environ_of(before["llm"])
    assert (environ["A"], environ["B"]) == ("1", "2")
    (tmp_path / "base.yaml").write_text(base.replace("stop_grace: 1s", "stop_grace: 2s"))
    eventually(lambda: any("stop_grace" in e["text"] for e in stack.events()), "it is applied in place")
    assert pids(stack) == before
    (tmp_path / "base.yaml").write_text(base.replace("A: '1'", "A: '3'"))
    other_pid(stack, "llm", before)
    assert environ_of(pids(stack)["llm"])["A"] == "3"
    stack.down()


@pytest.mark.heavy
def test_the_next_supervisor_takes_over_what_came_from_another_file(stack: Stack) -> None:
    stack.up()
    before = pids(stack)
    os.kill(stack.client.status().pid, signal.SIGKILL)
    stack.up()
    assert pids(stack) == before
    stack.down()


ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.heavy
def test_the_example_with_copies_and_another_file(make_stack: Make) -> None:
    """The router answers all the time, and knows the new copies in the end."""
    stack = make_stack("", name="fleet.yaml")
    shutil.copytree(ROOT / "stacks", stack.folder, dirs_exist_ok=True)
    stack.environ["PATH"] = f"{Path(sys.executable).parent}:{stack.environ['PATH']}"
    file = ("-f", "fleet.yaml")
    stack.cli("up", "-d", *file, check=0)
    rows = {row["name"]: row for row in json.loads(stack.cli("ps", "--json", *file, check=0).stdout)}
    copies = [f"models-llm-{index}" for index in range(4)]
    assert [name for name in rows if name.startswith("models-llm")] == copies[:2]
    assert get(f"{rows[copies[0]]['url']}/").json()["name"] == "large 0"
    stack.cli("scale", "models-llm=4", *file, check=0)
    snapshot = stack.wait_for(
        lambda s: any(
            v.name == "router" and v.pid != rows["router"]["pid"] and v.state == "ready" for v in s.services
        )
    )
    views = {view.name: view for view in snapshot.services}
    assert [views[name].pid for name in copies[:2]] == [rows[name]["pid"] for name in copies[:2]]
    urls = ",".join(str(views[name].url) for name in copies)
    assert get(f"{views['router'].url}/").json()["name"] == f"router for {urls}"
    stack.cli("down", *file, check=0)
    assert not stack.survivors()
