"""What another version of a stack would do, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict, replace

from launchpad.plan.diff import Change, Now, diff, lines
from launchpad.plan.read import Reading
from tests.stack.writing import ENVIRON, planned

BASE = """
servers:
  llm: {command: serve --a 1, port: 8000-8010, ready: /health, environment: {A: "1", API_TOKEN: abc}}
  api: {command: "api ${llm.url}", depends_on: [llm], environment: {B: "1"}}
  tool: {command: "tool", depends_on: {llm: {restart: true}}}
jobs:
  train: {command: train, depends_on: [api]}
"""


def compare(folder: Path, old: str, new: str, **now: Any) -> dict[str, Change]:
    before, after = read(folder, old), read(folder, new)
    return {change.service: change for change in diff(before, after, standing(before, after, **now))}


def read(folder: Path, text: str) -> Reading:
    return planned(folder, text, environ={**ENVIRON, "TOKEN": "hunter22"})


def standing(before: Reading, after: Reading, **now: Any) -> Now:
    running = {one.name: one.digest for one in before.plan.services}
    for name in (*now.get("ended", ()), *now.get("down", ()), *now.get("held_down", ())):
        running.pop(name, None)
    ports = {(p.service, p.name): p.low for one in before.plan.services for p in one.ports}
    return replace(Now(running, ports=ports, goals=dict(after.goals())), **now)


WORDS = {
    "an argument": ("serve --a 1", "serve --b 1", "argument 1 changed from `--a` to `--b`"),
    "one more": ("serve --a 1", "serve --a 1 --c", "argument 3 added: `--c`"),
    "one less": ("serve --a 1", "serve --a", "argument 2 removed: `1`"),
    "two more": ("serve --a 1", "serve --z 2 --a 1", "arguments 1 to 2 added: `--z 2`"),
    "the program": ("serve --a", "other --a", "the program changed from `serve` to `other`"),
    "a range": ("8000-8010", "9000-9010", "port 8000-8010 → 9000-9010"),
    "a variable": ('A: "1"', 'A: "2"', "environment: `A` changed from `1` to `2`"),
    "a variable more": ('A: "1"', 'A: "1", X: "2"', "environment: `X` added"),
    "a variable less": ('A: "1", ', "", "environment: `A` removed"),
    "a secret": ("abc", "xyz", "environment: `API_TOKEN` changed"),
    "a secret argument": ("serve --a 1", "'serve --a ${TOKEN}'", "argument 2 changed from `1` to `********`"),
}


@pytest.mark.parametrize("what", WORDS)
def test_why_it_restarts(tmp_path: Path, what: str) -> None:
    old, new, words = WORDS[what]
    change = compare(tmp_path, BASE, BASE.replace(old, new))["llm"]
    assert (change.verb, change.because) == ("restart", (words,))


PLACE = {
    "a path": ("ready: /health", "ready: /ok", "ready.http changed from `/health` to `/ok`"),
    "no check": ("ready: /health, ", "", "ready.http removed: `/health`"),
    "another kind": ("ready: /health", "ready: {log: x}", "ready.http removed: `/health`"),
    "grace": ("ready:", "stop_grace: 3s, ready:", "stop_grace changed from `10s` to `3s`"),
}


@pytest.mark.parametrize("what", PLACE)
def test_what_changes_in_place(tmp_path: Path, what: str) -> None:
    old, new, words = PLACE[what]
    change = compare(tmp_path, BASE, BASE.replace(old, new))["llm"]
    assert change.verb == "update"
    assert words in change.because


def test_dependencies_change_in_place(tmp_path: Path) -> None:
    found = compare(tmp_path, BASE, BASE.replace("depends_on: [api]", "depends_on: [api, llm]"))
    assert found["train"] == Change("train", "update", ("depends_on: `llm` added",))


def test_who_is_drawn_along(tmp_path: Path) -> None:
    """Bound: always. Given the address: only if it moves."""
    found = compare(tmp_path, BASE, BASE.replace("serve --a 1", "serve"))
    assert found["tool"] == Change("tool", "restart", ("restarts with `llm`",))
    assert (found["api"].verb, found["train"].verb) == ("keep", "keep")
    found = compare(tmp_path, BASE, BASE.replace("8000-8010", "9000-9010"))
    assert found["api"] == Change(
        "api", "restart", ("restarts because `llm`, whose address it was given, moves",)
    )
    found = compare(tmp_path, BASE, BASE.replace("8000-8010", "8000-8020"))
    assert (found["llm"].verb, found["api"].verb) == ("restart", "keep")


def test_bound_by_the_same_edit(tmp_path: Path) -> None:
    new = BASE.replace("serve --a 1", "serve").replace(
        "depends_on: [llm]", "depends_on: {llm: {restart: true}}"
    )
    change = compare(tmp_path, BASE, new)["api"]
    assert change.verb == "restart"
    assert change.because[-1] == "restarts with `llm`"


def test_who_shares_an_environment(tmp_path: Path) -> None:
    """It says nothing of requirements itself."""
    text = "servers:\n  a: {command: x, venv: v, requirements: [one]}\n  b: {command: y, venv: v}\n"
    found = compare(tmp_path, text, text.replace("[one]", "[two]"))
    assert found["a"].because == ("requirements changed from `one` to `two`",)
    assert (found["b"].verb, found["b"].because) == ("restart", ("what its `venv` is made of changed",))


def test_new_and_gone(tmp_path: Path) -> None:
    new = BASE.replace("train:", "other:") + "  extra: {command: x, profiles: [p]}\n"
    found = compare(tmp_path, BASE, new)
    assert found["other"] == Change("other", "start", ("new",))
    assert found["extra"] == Change("extra", "add", ("new",))
    assert found["train"] == Change("train", "stop", ("no longer in the stack",))
    assert compare(tmp_path, BASE, new, ended=("train",))["train"].verb == "remove"


def test_what_has_ended(tmp_path: Path) -> None:
    changed = BASE.replace("command: train", "command: train2")
    assert compare(tmp_path, BASE, changed, ended=("train",))["train"].verb == "rerun"
    assert compare(tmp_path, BASE, BASE, ended=("train",))["train"].verb == "keep"
    held = compare(tmp_path, BASE, changed, held_down=("train",))["train"]
    assert held.verb == "update"


def test_what_has_failed_is_tried_again_where_it_is_wanted(tmp_path: Path) -> None:
    again = Change("train", "start", ("it failed, and is tried again",))
    failed: dict[str, Any] = {"ended": ("train",), "failed": ("train",)}
    assert compare(tmp_path, BASE, BASE, **failed)["train"] == again
    assert compare(tmp_path, BASE, BASE.replace("[api]", "[api, llm]"), **failed)["train"] == again
    assert compare(tmp_path, BASE, BASE, **failed, goals={"train": False})["train"].verb == "keep"
    changed = BASE.replace("command: train", "command: train2")
    assert compare(tmp_path, BASE, changed, **failed)["train"].verb == "rerun"


def test_on_change(tmp_path: Path) -> None:
    keep = BASE.replace("train, depends", "train, on_change: keep, depends")
    changed = keep.replace("command: train", "command: train2")
    assert compare(tmp_path, keep, changed)["train"].verb == "stale"
    assert compare(tmp_path, keep, changed, ended=("train",))["train"].verb == "stale"
    before, after = read(tmp_path, changed), read(tmp_path, changed)
    now = standing(before, after, running={"train": read(tmp_path, keep).plan.services[-1].digest})
    again = next(change for change in diff(before, after, now) if change.service == "train")
    assert again == Change("train", "stale", ("its definition changed earlier",))
    signal = BASE.replace("train, depends", "train, on_change: {signal: HUP}, depends")
    assert compare(tmp_path, signal, signal.replace("train,", "train2,"))["train"].verb == "signal"


def test_kept_services_keep_their_address(tmp_path: Path) -> None:
    keep = BASE.replace("serve --a 1,", "serve --a 1, on_change: keep,")
    found = compare(tmp_path, keep, keep.replace("8000-8010", "9000-9010"))
    assert (found["llm"].verb, found["api"].verb, found["tool"].verb) == ("stale", "keep", "keep")


def test_lines(tmp_path: Path) -> None:
    new = BASE.replace("serve --a 1", "serve --a 2").replace("/health", "/ok").replace("B:", "C:")
    found = tuple(compare(tmp_path, BASE, new).values())
    assert lines(found) == (
        "restart llm: argument 2 changed from `1` to `2`; ready.http changed from `/health` to `/ok`",
        "restart api: environment: `B` removed; environment: `C` added",
        "restart tool: restarts with `llm`",
        "keep 1 service",
    )
    assert asdict(found[-1]) == {"service": "train", "verb": "keep", "because": ()}
