"""`launchpad export` of recipes and environments: what is of this machine goes to no other one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from launchpad.cli.outcome import guarded

STACK = """\
name: real
servers:
  llm: {uses: vllm, model: m, gpus: 1, requirements: [vllm]}
  head: {uses: ray, args: --num-cpus 1, venv: .venvs/ray, requirements: ["ray[default]"]}
jobs:
  train: {uses: torchrun, args: train.py, depends_on: [llm], environment: {LLM: "${llm.url}"}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stack.yaml").write_text(STACK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def containers(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    assert guarded(["export", "compose", "--image", "registry.example/real:1"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)["services"]
    assert isinstance(found, dict)
    return found


def test_an_image_has_environments_of_its_own(containers: dict[str, dict[str, object]], folder: Path) -> None:
    """With the PATH of this machine it would find none of its programs."""
    assert str(folder) not in str(containers)
    for one in containers.values():
        assert not {"PATH", "VIRTUAL_ENV"} & set(one["environment"])  # type: ignore[call-overload]


def test_a_server_listens_for_others_and_nobody_goes_to_everywhere(
    containers: dict[str, dict[str, object]],
) -> None:
    commands = {name: " ".join(one["command"]) for name, one in containers.items()}  # type: ignore[arg-type]
    assert "--host 0.0.0.0 --port 8000" in commands["llm"]
    assert "--dashboard-host 0.0.0.0" in commands["head"]
    assert "--node-ip-address 127.0.0.1" in commands["head"]
    assert "--master-addr 127.0.0.1" in commands["train"]


@pytest.mark.parametrize("format_", ["systemd", "supervisord"])
def test_on_this_machine_it_is_the_link_that_stays(
    folder: Path, capsys: pytest.CaptureFixture[str], format_: str
) -> None:
    """The folder that it leads to is another one with every change of the requirements."""
    assert guarded(["export", format_]) == 0
    text = capsys.readouterr().out
    assert "/environments/" not in text
    for link in (".launchpad/venvs/stack.yaml/llm", ".venvs/ray"):
        assert f"VIRTUAL_ENV={folder}/{link}" in text
        assert f"PATH={folder}/{link}/bin:" in text
