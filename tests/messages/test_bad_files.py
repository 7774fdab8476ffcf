"""Every kind of bad stack file: the codes, the places, and the whole text that a user sees.

The texts are in `snapshots/`; LAUNCHPAD_REWRITE=1 writes them anew, to be read before they are kept.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from launchpad.codes import CODES
from launchpad.errors import Diagnostic, Refused
from launchpad.plan.read import read_stack
from launchpad.views.diagnostics import render, to_json
from tests.messages.bad_files import CASES, Case

SNAPSHOTS = Path(__file__).parent / "snapshots"
REWRITE = os.environ.get("LAUNCHPAD_REWRITE") == "1"
ENVIRON = {"HOME": "/home/user", "PATH": "/usr/bin:/bin", "MODEL": "qwen"}


def refused(case: Case, folder: Path) -> tuple[Diagnostic, ...]:
    for name, text in case.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    file = folder / "stack.yaml"
    file.write_bytes(case.text if isinstance(case.text, bytes) else case.text.encode())
    with pytest.raises(Refused) as caught:
        read_stack(file, environ=ENVIRON, **case.options)  # type: ignore[arg-type]
    return caught.value.diagnostics


def told(one: Diagnostic) -> str:
    span = one.labels[0].span if one.labels else None
    return f"{one.code} {span.line}:{span.column}" if span else f"{one.code} -"


@pytest.mark.parametrize("name", CASES)
def test_codes_and_places(name: str, tmp_path: Path) -> None:
    found = refused(CASES[name], tmp_path)
    assert tuple(told(one) for one in found) == CASES[name].problems
    assert all(one.is_error for one in found)
    assert all(one.code in CODES for one in found)


@pytest.mark.parametrize("name", CASES)
def test_what_a_user_sees(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = refused(CASES[name], tmp_path)
    text = render(found, color=False, width=100).replace(str(tmp_path), "/stack")
    assert not re.search(
        r"Traceback|pydantic|yaml\.|Error\b|<class|NoneType|\bdict\b|\bstr\b|Scalar|Word", text
    )
    assert all(len(line) <= 160 for line in text.splitlines())
    snapshot = SNAPSHOTS / f"{name}.txt"
    if REWRITE:
        snapshot.write_text(text)
    assert text == snapshot.read_text()


def test_no_snapshot_is_left_over() -> None:
    assert sorted(path.stem for path in SNAPSHOTS.glob("*.txt")) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_as_json(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for one in refused(CASES[name], tmp_path):
        data = to_json(one)
        assert {"code", "severity", "message", "file", "line", "column", "hint"} <= set(data)
        span = one.labels[0].span if one.labels else None
        assert (data["line"], data["column"]) == ((span.line, span.column) if span else (None, None))
        own = ("stack.yaml", "stack.local.yaml", "a.yaml", "b.yaml", "a.env", "recipes/own.yaml")
        assert data["file"] in (*own, None)
