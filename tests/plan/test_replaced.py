"""`on_change: replace` where it cannot work is refused, with its place; and what a diff says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchpad.errors import Refused
from launchpad.plan.diff import Change
from tests.plan.test_diff import BASE, compare, read, standing
from tests.stack.writing import planned

WRONG = {
    "a job": ("jobs: {a: {command: x, on_change: replace}}", "E124", "belongs to a server, and `a` is a job"),
    "a number": ("servers: {a: {command: x, port: 8030, on_change: replace}}", "E312", "port 8030 leaves no second"),
    "a range of one": (
        "servers: {a: {command: x, port: 8030-8030, on_change: replace}}", "E312", "port 8030 leaves no second"
    ),
    "two in a range of three": (
        "servers: {a: {command: x, port: 8030-8032, ports: {b: 8030-8032}, on_change: replace}}",
        "E312",
        "port 8030-8032 leaves no second",
    ),
    "a line of its log": (
        "servers: {a: {command: x, port: auto, ready: {log: up}, on_change: replace}}", "E119", "a line of its log"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_replaced(tmp_path: Path, what: str) -> None:
    text, code, words = WRONG[what]
    with pytest.raises(Refused) as caught:
        planned(tmp_path, text)
    (problem,) = caught.value.diagnostics
    assert (problem.code, words in problem.message) == (code, True), problem
    assert problem.labels
    assert problem.hint


def test_the_hint_is_a_wider_range(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        planned(tmp_path, "servers: {a: {command: x, port: 8030, on_change: replace}}")
    assert caught.value.diagnostics[0].hint == "`8030-8039`"


@pytest.mark.parametrize(
    "keys",
    ["", "port: auto", "port: 8030-8031", "ports: {a: 8030-8033, b: 8030-8033}", "ready: {notify: true}"],
)
def test_what_can_be(tmp_path: Path, keys: str) -> None:
    planned(tmp_path, f"servers: {{a: {{command: x, on_change: replace, {keys}}}}}")


REPLACE = BASE.replace("serve --a 1,", "serve --a 1, on_change: replace,")
NEW = REPLACE.replace("serve --a 1,", "serve --a 2,")


def test_who_is_drawn_along(tmp_path: Path) -> None:
    found = compare(tmp_path, REPLACE, NEW, served=("llm",))
    assert found["llm"] == Change("llm", "replace", ("argument 2 changed from `1` to `2`",))
    words = "restarts once `llm`, whose address it was given, is replaced"
    assert found["api"] == Change("api", "restart", (words,))
    assert found["tool"].because == ("restarts once `llm` is replaced", words)
    assert found["train"].verb == "keep"


def test_each_definition_is_tried_once(tmp_path: Path) -> None:
    old = {one.name: one.digest for one in read(tmp_path, REPLACE).plan.services}
    failed = compare(tmp_path, NEW, NEW, served=("llm",), running=old)["llm"]
    assert failed == Change("llm", "stale", ("its definition changed earlier",))
    new = read(tmp_path, NEW)
    digest = next(one.digest for one in new.plan.services if one.name == "llm")
    under_way = compare(tmp_path, NEW, NEW, served=("llm",), running=old, beside={"llm": digest})["llm"]
    assert under_way.verb == "keep"
    assert standing(new, new).served == ()


def test_from_keep_to_replace_takes_what_waited(tmp_path: Path) -> None:
    keep = NEW.replace("on_change: replace", "on_change: keep")
    old = {one.name: one.digest for one in read(tmp_path, REPLACE).plan.services}
    found = compare(tmp_path, keep, NEW, served=("llm",), running=old)["llm"]
    assert found == Change("llm", "replace", ("its definition changed earlier",))
