"""A stack of which some services were edited is the same as one that is read from nothing, in all that it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad.errors import Refused
from launchpad.plan.diff import Change, Now, diff
from launchpad.plan.read import Reading, read_stack
from launchpad.stack.edit import Edited, edited
from launchpad.stack.nodes import Node
from tests.stack.test_amend import dump
from tests.stack.test_amend import once as anything

ENVIRON = {"PATH": "/bin", "HOME": "/root", "KEY": "from outside", "API_TOKEN": "hidden-value"}
FILE = """\
# a stack
name: demo
vars: {size: 3, token: "${API_TOKEN:-none}"}
env_file: top.env
defaults:
  stop_grace: 3s
  environment: {LEVEL: info}
servers:
  # the first
  one:
    command: [serve, "--port", '${self.port}']
    port: 20000-20009
    host: 127.0.0.1

  two: {command: "serve ${one.url} ${vars.size}", environment: [A=1, "B=${KEY}"], depends_on: [one]}
  three:
    command: |
      serve
        three

    shell: true
    depends_on: {one: started}
  # about four
  four:
    command: >-
      folded
      text
    env_file: own.env
    port: 20020
    ready: {tcp: true}
  many: {command: "copy ${self.replica}", replicas: 2, port: auto}
  five: {command: five, depends_on: [many, two]}
jobs:
  load:
    command: "load
      more"
    profiles: [big]
    depends_on:
    - one
    - two
  last: {command: x, retries: 2, port: 20030}
x-mine: [1, 2]
"""
PLAIN = FILE.replace('  many: {command: "copy ${self.replica}", replicas: 2, port: auto}\n', "").replace(
    "[many, two]", "[two]"
)
PIECES = [
    ("serve", "served"),
    ("20000-20009", "20000-20019"),
    ("20020", "20021"),
    ("20020", "20005"),
    ("20030", "20020"),
    ("127.0.0.1", "localhost"),
    ("127.0.0.1", "127.0.0.2"),
    ("    host: 127.0.0.1\n", ""),
    ("    shell: true\n", "    shell: true\n    working_dir: /nowhere\n"),
    ("    shell: true\n", "    shell: true\n    stop_grace: 9s\n    gpus: 1\n"),
    ("depends_on: [one]", "depends_on: [one, three]"),
    ("depends_on: [one]", "depends_on: [five]"),
    ("depends_on: [one]", "depends_on: [nobody]"),
    ("{one: started}", "{one: done}"),
    ("{one: started}", "{one: ready, load: }"),
    ("- two\n", "- two\n    - three\n"),
    ("own.env", "none.env"),
    ("A=1", "A=${API_TOKEN}"),
    ("B=${KEY}", "B=${vars.token}"),
    ("${vars.size}", "${vars.sise}"),
    ("${one.url}", "http://localhost"),
    ("command: x", "command: x, comand: y"),
    ("retries: 2", "replicas: 2"),
    ("retries: 2", "on_change: replace"),
    ("[big]", "[small]"),
    ("{tcp: true}", "{tcp: other}"),
    ("{tcp: true}", "/health"),
    ("  # about four\n", "\n\n  # about four, and more\n"),
    ("command: five", "command: five | six"),
    ("command: five", "extends: two"),
    ("command: five", "port: 20024, on_change: replace, command: five"),
    ("retries: 2", "requirements: [numpy]"),
    ("retries: 2", "uses: nothing"),
    ("size: 3", "size: 4"),
    ("LEVEL: info", "LEVEL: debug"),
    ("x-mine: [1, 2]", "x-mine: [1, 2, 3]"),
    ("  last:", "  latest:"),
    ("name: demo", "name: other"),
]


def said(found: Reading) -> dict[str, object]:
    """All that a reading says, places included."""
    loaded = found.loaded
    nodes: dict[str, Node] = {"": loaded.root, **loaded.trees}
    return {
        "plan": found.plan,
        "head": found.head,
        "model": repr(loaded.model),
        "environment": loaded.environment,
        "nodes": {name: dump(node) for name, node in nodes.items()},
        "needs": {name: (dump(one.tree), one.said, one.groups) for name, one in loaded.needs.items()},
        "places": {name: (loaded.span(name), loaded.span(name, "command")) for name in loaded.order},
        "around": (loaded.surroundings, loaded.warnings, loaded.secrets, loaded.env_files, loaded.inputs),
        "made": (loaded.made, loaded.jobs, loaded.groups, loaded.origin, loaded.scaled),
        "text": loaded.text,
        "config": found.config(),
    }


def got(file: Path, before: Reading | None = None) -> Any:
    try:
        return read_stack(file, environ=ENVIRON, before=before)
    except Refused as refused:
        return refused.diagnostics


def done_by(before: Reading, after: Reading) -> tuple[Change, ...]:
    """What it does to a stack of which everything runs."""
    services = before.plan.services
    running = {service.name: service.digest for service in services}
    ports = {(port.service, port.name): port.low for service in services for port in service.ports}
    return diff(before, after, Now(running, ports=ports, goals=dict(after.goals()), served=running))


def edits(folder: Path, texts: list[str]) -> None:
    """Each with the last one that was in order at hand, and from nothing."""
    (folder / "top.env").write_text("TOP=a-long-value\n")
    (folder / "own.env").write_text("OWN=another-value\n")
    file, before = folder / "stack.yaml", None
    for text in texts:
        file.write_bytes(text.encode())
        fresh, again = got(file), got(file, before)
        if isinstance(fresh, Reading):
            assert isinstance(again, Reading)
            assert said(again) == said(fresh)
            if before is not None:
                assert done_by(before, again) == done_by(before, fresh)
            before = again
        else:
            assert again == fresh


@st.composite
def histories(draw: st.DrawFn) -> list[str]:
    texts = [draw(st.sampled_from([FILE, PLAIN]))]
    for _ in range(draw(st.integers(1, 3))):
        texts.append(draw(st.sampled_from(texts)))
        for _ in range(draw(st.integers(1, 2))):
            if draw(st.integers(0, 4)):
                texts[-1] = texts[-1].replace(*draw(st.sampled_from(PIECES)))
            else:
                texts[-1] = anything(draw, texts[-1])
    return texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("edit")


@settings(max_examples=250, deadline=None)
@given(histories())
def test_edited_is_as_read_from_nothing(folder: Path, texts: list[str]) -> None:
    edits(folder, texts)


@pytest.mark.parametrize("text", [FILE, PLAIN], ids=["with copies", "without"])
@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: f"{piece[1].strip() or 'less'}")
def test_each_edit_and_back(tmp_path: Path, text: str, piece: tuple[str, str]) -> None:
    assert piece[0] in text
    edits(tmp_path, [text, text.replace(*piece), text, text.replace("20020", "20022")])


def test_what_is_hidden_comes_and_goes(tmp_path: Path) -> None:
    plain = "servers:\n  one: {command: serve, environment: {LEVEL: high}}\n  two: {command: other}\n"
    secret = plain.replace("LEVEL", "MY_TOKEN")
    edits(tmp_path, [plain, secret, secret.replace("other", "another"), plain])
    assert [got(write(tmp_path, text)).head.hides for text in (plain, secret)] == [False, True]


def write(folder: Path, text: str) -> Path:
    (folder / "stack.yaml").write_text(text)
    return folder / "stack.yaml"


def of(folder: Path, was: str, now: str) -> Edited | None:
    (folder / "top.env").write_text("TOP=a-long-value\n")
    (folder / "own.env").write_text("OWN=another-value\n")
    (folder / "stack.yaml").write_text(was)
    before = read_stack(folder / "stack.yaml", environ=ENVIRON)
    return edited(before.loaded, now.encode(), ENVIRON)


@pytest.mark.parametrize(
    ("piece", "names"),
    [
        (("folded", "fold"), ("four",)),
        (("20020", "20021"), ("four",)),
        (("    shell: true\n", "    shell: true\n    stop_grace: 9s\n"), ("three",)),
        (("retries: 2", "retries: 3"), ("last",)),
        (("A=1", "A=2"), ("two",)),
        (
            ("[one]}\n  three:\n", "[one]} #\n  three:\n    stop_grace: 1s\n"),
            ("two", "three"),
        ),
    ],
    ids=lambda one: str(one),
)
def test_only_what_was_edited_is_looked_at(
    tmp_path: Path, piece: tuple[str, str], names: tuple[str, ...]
) -> None:
    found = of(tmp_path, PLAIN, PLAIN.replace(*piece))
    assert found is not None
    assert found.names == names


@pytest.mark.parametrize(
    "piece",
    [
        ("size: 3", "size: 4"),
        ("127.0.0.1", "127.0.0.2"),
        ("retries: 2", "replicas: 2"),
        ("  last:", "  late:"),
    ],
    ids=lambda one: str(one),
)
def test_what_others_can_say_of_it_makes_it_more_than_an_edit(tmp_path: Path, piece: tuple[str, str]) -> None:
    assert of(tmp_path, PLAIN, PLAIN.replace(*piece)) is None
