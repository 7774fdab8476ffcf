"""`launchpad recipes`: the list, one of them, a team's own, and one that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

from launchpad.stack.recipe import names
from tests.cli.conftest import Cli

OWN = """\
title: our server
kinds: [server, job]
args: {example: --fast, means: how}
requirements: "own[fast]"
sources: [https://wiki.example.org]
notes: [a note]
traps: [{match: boom, says: it burst, hint: mend it}]
service:
  # as it is written
  command: [own, "${self.args}"]
  port: 8000-8099
"""


def own(folder: Path, text: str = OWN, name: str = "own") -> Path:
    (folder / "recipes").mkdir(exist_ok=True)
    file = folder / "recipes" / f"{name}.yaml"
    file.write_text(text)
    return file


def test_all_of_them_one_a_line(cli: Cli, folder: Path) -> None:
    file = own(folder)
    said = cli("recipes")
    lines = dict(line.split(maxsplit=1) for line in said.out.splitlines())
    assert (said.code, said.err) == (0, "")
    assert list(lines) == sorted([*names(), "own"])
    assert lines["own"] == f"our server  [{file}]"
    assert lines["vllm"].startswith("vLLM, ")
    assert "[" not in lines["vllm"]


def test_also_from_a_folder_below_and_without_a_stack(
    cli: Cli, folder: Path, monkeypatch: object, tmp_path_factory: object
) -> None:
    own(folder)
    below = folder / "below"
    below.mkdir()
    monkeypatch.chdir(below)  # type: ignore[attr-defined]
    assert "our server" in cli("recipes").out
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))  # type: ignore[attr-defined]
    assert "our server" not in cli("recipes").out
    assert "our server" in cli("recipes", str(folder / "stack.yaml")).out


def test_one_of_them(cli: Cli, folder: Path) -> None:
    own(folder)
    text = cli("recipes", "own").out
    assert text.startswith("own: our server\n")
    for part in (
        "for a server or a job",
        "args: --fast  # how  (may be left out)",
        '  requirements: ["own[fast]"]  # has it installed  (may be left out)',
        '    command: [own, "${self.args}"]\n    port: 8000-8099\n',
        "  - a note",
        "  - https://wiki.example.org",
        "  - it burst: mend it",
    ):
        assert part in text


def test_also_beside_included_files(cli: Cli, folder: Path) -> None:
    """Each with its file, also where two folders have one of the same name, or launchpad has one."""
    infra = folder / "infra"
    infra.mkdir()
    (infra / "llm.yaml").write_text("servers: {llm: {uses: theirs}}\n")
    (folder / "stack.yaml").write_text("include: [infra/llm.yaml]\nservers: {web: {uses: own}}\n")
    mine, theirs, also = own(folder), own(infra, name="theirs"), own(infra)
    vllm = own(infra, name="vllm")
    lines = [line.split(maxsplit=1) for line in cli("recipes").out.splitlines()]
    found = [(name, said) for name, said in lines if name in ("own", "theirs", "vllm")]
    assert found[:3] == [("own", f"our server  [{mine}]"), ("own", f"our server  [{also}]"),
                         ("theirs", f"our server  [{theirs}]")]  # fmt: skip
    assert [said.partition("  [")[2] for name, said in found if name == "vllm"] == ["", f"{vllm}]"]
    pages = cli("recipes", "own").out
    assert pages.count("own: our server\n") == 2
    assert f"{also}, for the stack files beside `recipes/`" in pages
    (infra / "llm.yaml").write_text("servers: [\n")
    assert cli("recipes").code == 0, "what is wrong with the stack is told by `check`"


def test_as_json(cli: Cli, folder: Path) -> None:
    file = own(folder)
    (found,) = json.loads(cli("recipes", "own", "--json").out)
    assert found == {
        "name": "own",
        "title": "our server",
        "kinds": ["server", "job"],
        "packaged": False,
        "file": str(file),
        "model": None,
        "args": {"required": False, "example": "--fast", "means": "how"},
        "requirements": ["own[fast]"],
        "service": {"command": ["own", "${self.args}"], "port": "8000-8099"},
        "sources": ["https://wiki.example.org"],
        "notes": ["a note"],
        "traps": [{"match": "boom", "says": "it burst", "hint": "mend it", "gpu": False}],
    }
    assert len(json.loads(cli("recipes", "--json").out)) == len(names()) + 1


def test_a_name_that_there_is_not(cli: Cli) -> None:
    said = cli("recipes", "vlm")
    assert (said.code, said.out) == (2, "")
    assert "there is no recipe `vlm`" in said.err
    assert "did you mean `vllm`?" in said.err


def test_one_that_cannot_be_read_hides_no_other(cli: Cli, folder: Path) -> None:
    own(folder, "title: 5\nservice: {}\n", "broken")
    own(folder)
    said = cli("recipes")
    assert said.code == 0
    assert "our server" in said.out
    assert "cannot be read" in said.out
    assert "--> recipes/broken.yaml:1:8" in said.err
    assert cli("recipes", "broken").code == 2
    assert {"name", "file", "problems"} == set(json.loads(cli("recipes", "broken", "--json").out)[0])
