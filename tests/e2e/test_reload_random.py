"""Random edits with random timing against a live stack; after each burst an oracle says what must run."""

from __future__ import annotations

import json
import os
import random
import threading
from pathlib import Path

import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from tests.e2e.conftest import Make
from tests.e2e.harness import PRETEND, Stack, eventually

NAMES = [f"s{number}" for number in range(6)]
EDITS = 40
"""By default; LAUNCHPAD_EDITS asks for more."""
PAUSES_S = (0.0, 0.0, 0.002, 0.01, 0.03, 0.06, 0.15, 0.4)


class Wanted(Struct, frozen=True):
    """What the file says: name → the number in its environment. `stopped` is held down by hand."""

    marks: dict[str, int] = field(default_factory=dict)
    comment: int = 0

    def text(self) -> str:
        lines = [f"# {self.comment}", "servers:"]
        lines += [
            f"  {name}: {{command: {PRETEND} --name {name}, environment: {{MARK: '{mark}'}}}}"
            for name, mark in self.marks.items()
        ]
        return "\n".join([*lines, "x-end: here", ""])


class Editor:
    def __init__(self, stack: Stack, dice: random.Random) -> None:
        self.stack, self.dice = stack, dice
        self.wanted = Wanted(dict.fromkeys(NAMES, 0))
        self.edits = 0

    def edit(self) -> None:
        """One save of a good file, some of them after one that is not."""
        self.edits += 1
        if self.dice.random() < 0.3:
            self.save(self.spoilt())
            self.pause()
        self.wanted = self.next()
        self.save(self.wanted.text())

    def next(self) -> Wanted:
        now, marks = self.wanted, dict(self.wanted.marks)
        roll = self.dice.random()
        missing = [name for name in NAMES if name not in marks]
        if roll < 0.15:
            return replace(now, comment=now.comment + 1)
        if roll < 0.3 and missing:
            marks[self.dice.choice(missing)] = self.edits
        elif roll < 0.45 and len(marks) > 4:
            del marks[self.dice.choice(list(marks))]
        elif roll < 0.55:
            items = list(marks.items())
            self.dice.shuffle(items)
            marks = dict(items)
        else:
            marks[self.dice.choice(list(marks))] = self.edits
        return replace(now, marks=marks)

    def spoilt(self) -> str:
        text = self.wanted.text()
        kind = self.dice.randrange(5)
        if kind == 0:
            return ""
        if kind == 1:
            start = text.index("{", text.index(self.dice.choice(list(self.wanted.marks)) + ":"))
            return text[: self.dice.randrange(start + 1, text.index("}", start))]
        if kind == 2:
            return text.replace("command:", "comand:", 1)
        if kind == 3:
            return text.replace("servers:", "servers: [", 1)
        return text.replace("MARK: '", "MARK: '${nobody.port}", 1)

    def save(self, text: str) -> None:
        file = self.stack.file
        match self.dice.randrange(4):
            case 0:
                file.write_text(text)
            case 1:
                part = file.with_name("part")
                part.write_text(text)
                os.replace(part, file)
            case 2:
                file.unlink()
                self.pause()
                file.write_text(text)
            case _:
                cut = self.dice.randrange(len(text) + 1)
                with file.open("w") as stream:
                    stream.write(text[:cut])
                    stream.flush()
                    self.pause()
                    stream.write(text[cut:])

    def pause(self) -> None:
        if pause := self.dice.choice(PAUSES_S):
            threading.Event().wait(pause)


def marks(stack: Stack) -> dict[str, tuple[int, int]]:
    """Service → the number that its process was started with, and its pid."""
    found = {}
    for view in stack.client.status().services:
        if view.pid is None or view.state != "ready":
            return {}
        try:
            environ = Path(f"/proc/{view.pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return {}
        mark = next((part for part in environ if part.startswith(b"MARK=")), b"MARK=-1")
        found[view.name] = (int(mark[5:]), view.pid)
    return found


@pytest.mark.heavy
def test_random_edits(make_stack: Make, pytestconfig: pytest.Config) -> None:
    edits = int(os.environ.get("LAUNCHPAD_EDITS", EDITS))
    seed = pytestconfig.getoption("--seed") or random.randrange(1 << 32)
    print(f"seed {seed} (replay: --seed {seed})")
    dice = random.Random(seed)
    stack = make_stack("servers: {}\n")
    editor = Editor(stack, dice)
    stack.file.write_text(editor.wanted.text())
    stack.start("up")
    stack.wait_up()
    before = eventually(lambda: marks(stack), "it runs")
    while editor.edits < edits:
        asked_before = dict(editor.wanted.marks)
        seen: dict[str, set[int]] = {name: {mark} for name, mark in asked_before.items()}
        for _ in range(dice.choice((1, 1, 2, 4, 8))):
            editor.edit()
            for name in NAMES:
                seen.setdefault(name, set()).add(editor.wanted.marks.get(name, -1))
            editor.pause()
        want = dict(editor.wanted.marks)

        def settled(want: dict[str, int] = want) -> bool:
            return {name: mark for name, (mark, _) in marks(stack).items()} == want

        try:
            eventually(settled, f"what the file says runs (seed {seed})", 30)
        except AssertionError as error:
            journal = (stack.folder / ".launchpad/stack.yaml/events.jsonl").read_text().splitlines()[-30:]
            texts = "\n".join(
                f"{e['at']:.3f} {e['service']} {e['what']} {e['text']}" for e in map(json.loads, journal)
            )
            raise AssertionError(f"{error}\nwanted {want}\nis {marks(stack)}\n{texts}") from None
        after = marks(stack)
        for name, (_, pid) in before.items():
            if name in after and seen[name] == {asked_before[name]}:
                assert after[name][1] == pid, (
                    f"{name} was never changed and got another process (seed {seed})"
                )
        before = after
        assert not stack.client.status().stale
    assert [pid for pid, command in stack.survivors().items() if "pretend" in command].__len__() == len(
        before
    )
    stack.down()
