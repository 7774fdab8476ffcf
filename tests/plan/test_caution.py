"""What a mere save must not do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launchpad.core.model import Service
from launchpad.plan.caution import is_cut_off, is_cut_within_a_line, too_much
from launchpad.plan.diff import Now, diff
from tests.stack.writing import planned

WHOLE = {
    "servers": {"llm": "serve llm", "api": "serve api"},
    "jobs": {"train": "train", "index": "index"},
}
NAMES = ("llm", "api", "train", "index")


def answer(folder: Path, *left: str, renamed: str = "", running: tuple[str, ...] = ()) -> str:
    """To a save after which only `left` is in the stack, and `renamed` under another name."""
    old, new = planned(folder, text(*NAMES)), planned(folder, text(*left, renamed=renamed))
    live: list[Service] = [one for one in old.plan.services if one.name in (running or NAMES)]
    now = Now({one.name: one.digest for one in live}, goals=dict(new.goals()))
    return too_much(live, new.plan.services, diff(old, new, now))


def text(*left: str, renamed: str = "") -> str:
    groups = {
        group: {
            "other" if name == renamed else name: {"command": command}
            for name, command in services.items()
            if name in (*left, renamed)
        }
        for group, services in WHOLE.items()
    }
    return json.dumps({group: services for group, services in groups.items() if services})


def test_one_or_half_of_it_may_go(tmp_path: Path) -> None:
    assert answer(tmp_path, "llm", "api", "train") == ""
    assert answer(tmp_path, "llm", "train") == ""


def test_more_than_half_may_not(tmp_path: Path) -> None:
    assert answer(tmp_path, "llm") == ("it would end 3 of the 4 services that run: `api`, `train`, `index`")


def test_nor_every_server(tmp_path: Path) -> None:
    assert answer(tmp_path, "train", "index") == "it would end every server: `llm`, `api`"


def test_what_does_not_run_does_not_count(tmp_path: Path) -> None:
    assert answer(tmp_path, "train", "index", running=("train", "index")) == ""
    assert answer(tmp_path, "llm", running=("llm", "train")) == ""


def test_another_name_is_no_end(tmp_path: Path) -> None:
    assert answer(tmp_path, "api", "train", renamed="llm") == ""
    assert answer(tmp_path, "llm", renamed="api") == ""
    assert answer(tmp_path, renamed="llm").startswith("it would end 3 of the 4")


def test_one_new_name_stands_for_one_service(tmp_path: Path) -> None:
    old = planned(tmp_path, "servers: {a: {command: serve}, b: {command: serve}, c: {command: serve}}")
    new = planned(tmp_path, "servers: {other: {command: serve}}")
    live = old.plan.services
    changes = diff(old, new, Now({one.name: one.digest for one in live}, goals={"other": True}))
    assert too_much(live, new.plan.services, changes) == (
        "it would end 2 of the 3 services that run: `b`, `c`"
    )


@pytest.mark.parametrize(
    ("now", "off", "within"),
    [
        (b"a: 1\nb: 2\n", False, False),
        (b"a: 1\nb:", True, True),
        (b"a: 1\n", True, False),
        (b"a: 1", True, False),
        (b"", True, True),
        (b"a: 2", False, False),
        (None, False, False),
    ],
)
def test_a_beginning(now: bytes | None, off: bool, within: bool) -> None:
    was = b"a: 1\nb: 2\n"
    assert (is_cut_off(was, now), is_cut_within_a_line(was, now)) == (off, within)
    assert not is_cut_off(None, now)


def test_a_line_may_end_in_two_characters() -> None:
    assert not is_cut_within_a_line(b"a: 1\r\nb: 2\r\n", b"a: 1")
