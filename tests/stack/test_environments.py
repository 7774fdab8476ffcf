"""What `requirements`, `python` and `venv` say, and what cannot be made of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from launchpad.errors import Refused
from launchpad.stack.environments import absolute, named_in
from launchpad.stack.interpreters import Interpreter, interpreter
from launchpad.stack.loaded import Loaded
from tests.stack.writing import loaded

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
HERE = Path("/stack")


@pytest.mark.parametrize(
    ("line", "there"),
    [
        ("torch==2.13.0", "torch==2.13.0"),
        ("-r base.txt", "-r /stack/base.txt"),
        ("-rbase.txt", "-r /stack/base.txt"),
        ("--requirement=base.txt", "--requirement=/stack/base.txt"),
        ("-c ../constraints.txt", "-c /constraints.txt"),
        ("--find-links wheels", "--find-links /stack/wheels"),
        ("--find-links https://example.org/wheels", "--find-links https://example.org/wheels"),
        ("-e .", "-e /stack"),
        ("-e ./package[extra]", "-e /stack/package[extra]"),
        ("-e git+https://example.org/x.git", "-e git+https://example.org/x.git"),
        ("./package", "/stack/package"),
        ("../other", "/other"),
        ("--no-index", "--no-index"),
        ("--index-url https://example.org/simple", "--index-url https://example.org/simple"),
        ("numpy ; python_version < '3.12'", "numpy ; python_version < '3.12'"),
        ("package @ https://example.org/package.whl", "package @ https://example.org/package.whl"),
    ],
)
def test_paths_of_a_list_count_from_the_stack(line: str, there: str) -> None:
    assert absolute(line, HERE) == there


def test_files_that_a_file_names() -> None:
    text = "torch\n-r base.txt\n  -c ../c.txt  # why\n--requirement=sub/x.txt\n-r https://example.org/r.txt\n-r \\\n y.txt\n"
    found = [str(path) for path in named_in(text, HERE)]
    assert found == ["/stack/base.txt", "/c.txt", "/stack/sub/x.txt", "/stack/y.txt"]


def one(folder: Path, keys: str, files: dict[str, str] | None = None) -> Loaded:
    return loaded(folder, f"servers:\n  web: {{command: x, {keys}}}\n", files or {})


def digests(folder: Path, files: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return one(folder, "requirements: r.txt", files).made["web"].files


def test_files_count_with_all_that_they_name(tmp_path: Path) -> None:
    """And each is an input of the stack, also one that is not there."""
    files = {"r.txt": "-r sub/base.txt\n", "sub/base.txt": "-c c.txt\n-r missing.txt\n", "sub/c.txt": "a<2\n"}
    found = one(tmp_path, "requirements: r.txt", files)
    names = [os.path.relpath(path, tmp_path) for path, _ in found.made["web"].files]
    assert names == ["r.txt", "sub/base.txt", "sub/c.txt", "sub/missing.txt"]
    assert {tmp_path / name for name in names} <= set(found.inputs)
    before = found.made["web"].files
    assert digests(tmp_path, {**files, "sub/c.txt": "a<3\n"}) != before
    assert digests(tmp_path, files) == before


def test_a_file_that_names_itself(tmp_path: Path) -> None:
    assert len(digests(tmp_path, {"r.txt": "-r r.txt\n"})) == 1


def refused(folder: Path, keys: str, files: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(Refused) as caught:
        one(folder, keys, files)
    return [f"{d.code} {d.labels[0].span.line}:{d.labels[0].span.column}" for d in caught.value.diagnostics]


def test_what_is_in_order(tmp_path: Path) -> None:
    """A `venv` need not be there if it is to be made; a link of launchpad's own may be."""
    assert one(tmp_path, "requirements: [], venv: v").made["web"].link == str(tmp_path / "v")
    folder = tmp_path / ".launchpad" / "environments" / "abc"
    folder.mkdir(parents=True)
    (tmp_path / "v").symlink_to(folder)
    assert one(tmp_path, "requirements: [a], venv: v").made["web"].lines == ("a",)
    assert one(tmp_path, "requirements: [a]").made["web"].link is None
    assert one(tmp_path, "working_dir: .").made == {}


def test_what_somebody_else_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v" / "bin").mkdir(parents=True)
    assert one(tmp_path, "venv: v").made == {}
    assert refused(tmp_path, "requirements: [a], venv: v") == ["E121 2:46"]
    (tmp_path / "w").symlink_to(tmp_path / "v")
    assert refused(tmp_path, "requirements: [a], venv: w") == ["E121 2:46"]


def test_two_services_with_one_environment(tmp_path: Path) -> None:
    text = "servers:\n  a: {{command: x, venv: v, requirements: [one]}}\n  b: {{command: x, venv: ./v{}}}\n"
    shared = loaded(tmp_path, text.format(""), {}).made
    assert shared["a"] == shared["b"]
    same = loaded(tmp_path, text.format(", requirements: [one]"), {}).made
    assert same["a"] == same["b"]
    for other in (", requirements: [two]", ", requirements: [one], python: '3'"):
        with pytest.raises(Refused) as caught:
            loaded(tmp_path, text.format(other), {})
        assert [d.code for d in caught.value.diagnostics] == ["E124"]


def find(version: str | None, uv: str = "", **environ: str) -> Interpreter | str:
    found = interpreter(version, lambda path: HERE / path, {"PATH": "/nowhere", **environ}, uv)
    return found if isinstance(found, Interpreter) else found.code


def test_which_python(tmp_path: Path) -> None:
    assert find(None) == Interpreter(RUNNING, sys.executable)
    assert find(RUNNING) == Interpreter(RUNNING, sys.executable)
    assert find("3") == find("python3") == Interpreter("3", sys.executable)
    assert find("3.99") == "E128"
    assert find("3.99", uv="/bin/uv") == Interpreter("3.99", "3.99")
    assert find("three") == "E107"
    assert find("bin/python") == "E128"
    assert find(sys.executable) == Interpreter(sys.executable, sys.executable)


def program(path: Path) -> str:
    path.parent.mkdir(parents=True)
    path.touch(mode=0o755)
    return str(path)


def test_a_python_on_path_and_one_of_pyenv(tmp_path: Path) -> None:
    on_path = program(tmp_path / "bin" / "python3.99")
    assert find("3.99", uv="/bin/uv", PATH=str(tmp_path / "bin")) == Interpreter("3.99", on_path)
    program(tmp_path / ".pyenv" / "versions" / "3.98.9" / "bin" / "python")
    newest = program(tmp_path / ".pyenv" / "versions" / "3.98.11" / "bin" / "python")
    assert find("3.98", HOME=str(tmp_path)) == Interpreter("3.98", newest)
    shims = tmp_path / ".pyenv" / "shims"
    for version in ("3.98", "3.97"):
        shim = Path(program(shims / version / f"python{version}"))
        shim.write_text("#!/bin/sh\nexit 127\n")
        at = find(version, HOME=str(tmp_path), PATH=str(shim.parent))
        assert at == Interpreter(version, newest if version == "3.98" else str(shim))
    assert find("3.97", uv="/bin/uv", PATH=str(shims / "3.97")) == Interpreter("3.97", "3.97")
    assert find("3.98.9", HOME=str(tmp_path)) != "E128"
    assert find("3.9", HOME=str(tmp_path)) == "E128"
