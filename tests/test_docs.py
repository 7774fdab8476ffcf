"""What the documentation says is so: links lead somewhere, codes and commands exist, stacks are in order."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from launchpad.cli.group import COMMANDS
from launchpad.codes import CODES
from launchpad.plan.read import read_stack
from tests.examples import EXAMPLES

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "stacks").rglob("*.md")])
STACKS = sorted(
    path
    for path in [*(ROOT / "stacks").glob("*.yaml"), *(ROOT / "stacks").glob("*/*.yaml")]
    if re.search("^(servers|jobs|include):", path.read_text(), re.MULTILINE)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
TEST_FILE = re.compile(r"`((?:tests|launchpad|scripts|docs|stacks)/[\w./-]+)`")
COMMAND = re.compile(r"(?:^\$ |`| {4})launchpad ([a-z]+)", re.MULTILINE)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as they are made from their text; a repeated one gets a number."""
    seen: dict[str, int] = {}
    found = set()
    for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_is_named_exists(page: Path) -> None:
    text = page.read_text()
    for path in TEST_FILE.findall(text):
        assert "NAME" in path or (ROOT / path).exists(), path
    for code in re.findall(r"\bE\d{3}\b", text):
        assert code in CODES, code
    for command in COMMAND.findall(text):
        assert command in COMMANDS, command


def test_readme_shows_the_quickstart_as_it_is() -> None:
    shown = re.search(r"```yaml\n(name: quickstart.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown
    assert yaml.safe_load(shown[1]) == yaml.safe_load((ROOT / "stacks/quickstart.yaml").read_text())


@pytest.mark.parametrize("stack", STACKS, ids=name)
def test_stack_is_in_order(stack: Path) -> None:
    import jsonschema

    assert not read_stack(stack).warnings
    schema = json.loads((ROOT / "schemas/stack.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(stack.read_text()), schema)


def test_every_stack_is_listed() -> None:
    listed = (ROOT / "stacks/README.md").read_text()
    found = [str(stack.relative_to(ROOT / "stacks")) for stack in STACKS]
    assert [stack for stack in found if f"({stack})" not in listed] == []
    examples = [stack.parent for stack in STACKS if stack.name == "stack.yaml"]
    assert examples
    assert [name(folder) for folder in examples if not (folder / "README.md").exists()] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_has_the_job_that_it_is_run_by(example: str) -> None:
    shown = EXAMPLES[example]
    stack = ROOT / "stacks" / shown.file
    jobs = yaml.safe_load(stack.read_text())["jobs"]
    assert shown.job in jobs
    assert f"launchpad run {shown.job} stacks/{shown.file}" in stack.read_text(), "who reads it can run it"


def test_the_rehearsal_of_grpo_is_its_stack() -> None:
    played, real = (read_stack(ROOT / f"stacks/grpo/{file}.yaml").plan for file in ("rehearsal", "stack"))
    assert [(one.name, one.needs, one.gpus, one.on_change) for one in played.services] == [
        (one.name, one.needs, one.gpus, one.on_change) for one in real.services
    ]
    assert [one.ports for one in played.services] == [one.ports for one in real.services]


def blocks(page: Path) -> list[Any]:
    """Whole stacks among the YAML of a page."""
    found = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)]
    return [block for block in found if isinstance(block, dict) and ({"servers", "jobs"} & set(block))]


BESIDE = {
    "common.yaml": "vars: {}\n",
    "../infra/llm.yaml": "vars: {model: m}\nservers: {llm: {command: x, port: auto}}\n",
    "../judge/stack.yaml": "servers: {judge: {command: x}}\n",
}
"""Files that the guide's stacks are made of."""


@pytest.mark.parametrize("index", range(len(blocks(ROOT / "docs/guide.md"))))
def test_stacks_of_the_guide_are_in_order(
    index: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "x")
    here = tmp_path / "here"
    here.mkdir()
    for file in (".env", "llm.env"):
        (here / file).write_text("")
    for file, text in BESIDE.items():
        (here / file).parent.mkdir(exist_ok=True)
        (here / file).write_text(text)
    stack = here / "stack.yaml"
    stack.write_text(yaml.safe_dump(blocks(ROOT / "docs/guide.md")[index]))
    read_stack(stack)
