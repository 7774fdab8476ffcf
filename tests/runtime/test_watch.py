"""What is listened to, what a glob means, and what happens where the kernel does not tell."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from launchpad.runtime import bell, ears
from launchpad.runtime.bell import Bell, is_remote
from launchpad.runtime.contents import mark, trail
from launchpad.runtime.watched import Globs, Pattern


def test_trail_of_a_plain_file(tmp_path: Path) -> None:
    folders, entries = trail(tmp_path / "stack.yaml")
    assert folders == (str(tmp_path), str(tmp_path.parent))
    assert {str(tmp_path), str(tmp_path / "stack.yaml")} == set(entries)


def test_trail_of_a_link_to_a_link(tmp_path: Path) -> None:
    """As a deployment does it: file → `..data/file`, `..data` → a folder."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one/stack.yaml").write_text("")
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "stack.yaml").symlink_to("..data/stack.yaml")
    folders, entries = trail(tmp_path / "stack.yaml")
    assert {str(tmp_path), str(tmp_path / "one")} <= set(folders)
    assert {str(tmp_path / name) for name in ("stack.yaml", "..data", "one/stack.yaml", "one")} <= set(
        entries
    )


def test_trail_of_what_is_not_there(tmp_path: Path) -> None:
    folders, entries = trail(tmp_path / "conf/deep/llm.env")
    assert str(tmp_path) in folders
    assert str(tmp_path / "conf") in entries


def test_trail_of_a_link_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert str(tmp_path) in trail(tmp_path / "a")[0]
    assert mark(tmp_path / "a") is None


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        (
            "/a/b/**/*.py",
            ["/a/b/x.py", "/a/b/c/d/x.py"],
            ["/a/x.py", "/a/b/.h/x.py", "/a/b/x.pyc", "/a/b/.x.py"],
        ),
        ("/a/*.py", ["/a/x.py"], ["/a/b/x.py", "/a/.x.py"]),
        ("/a/b", ["/a/b", "/a/b/c/d"], ["/a/bc", "/a/b/.git/x"]),
        ("/a/**", ["/a/b", "/a/b/c"], ["/a", "/a/.git/x"]),
        ("/a/x[0-9].[!c]", ["/a/x1.d"], ["/a/x1.c", "/a/xx.d"]),
        ("/a/[[]x?", ["/a/[xy"], ["/a/xy"]),
        ("/a/[^x]", ["/a/^", "/a/x"], ["/a/y"]),
        ("/a/../b/*", ["/b/x"], ["/a/x"]),
    ],
)
def test_globs(glob: str, yes: list[str], no: list[str]) -> None:
    pattern = Pattern.of(glob)
    assert [path for path in yes if not pattern.regex.match(path)] == []
    assert [path for path in no if pattern.regex.match(path)] == []


def test_a_stack_folder_is_not_a_pattern(tmp_path: Path) -> None:
    root = tmp_path / "run[1]*"
    root.mkdir()
    (root / "x.py").write_text("")
    found = Globs({"a": (f"{root}/*.py",)}, str(root)).look()
    assert set(found.files["a"]) == {str(root / "x.py")}


def test_what_is_passed_over(tmp_path: Path) -> None:
    for path in (
        ".git/x.py",
        "node_modules/x.py",
        "src/__pycache__/x.py",
        "src/x.py",
        "src/x.py~",
        "logs/x.py",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")

    def found(*globs: str) -> set[str]:
        looked = Globs({"a": tuple(f"{tmp_path}/{glob}" for glob in globs)}, str(tmp_path)).look()
        return {str(Path(file).relative_to(tmp_path)) for file in looked.files["a"]}

    assert found("**/*.py") == {"src/x.py"}
    assert found("logs/*.py") == {"logs/x.py"}, "named, it is watched"
    assert found("*/logs/**", "*/x.py") == {"src/x.py"}
    assert found("src") == {"src/x.py"}
    looked = Globs({"a": (f"{tmp_path}/*.py",)}, str(tmp_path)).look()
    assert set(looked.folders) == {str(tmp_path), str(tmp_path.parent)}, "no deeper than the glob reaches"


def test_changed_since(tmp_path: Path) -> None:
    globs = Globs({"a": (f"{tmp_path}/*",), "b": (f"{tmp_path}/b*",)}, str(tmp_path))
    before = globs.look()
    (tmp_path / "bx").write_text("1")
    (tmp_path / "c").write_text("1")
    after = globs.look()
    both = {"a": (str(tmp_path / "bx"), str(tmp_path / "c")), "b": (str(tmp_path / "bx"),)}
    assert after.changed_since(before) == both
    assert after.changed_since(after) == {}
    (tmp_path / "bx").unlink()
    assert set(globs.look().changed_since(after)) == {"a", "b"}


LISTENED = {"": lambda: (ears, "Inotify"), "watchfiles": lambda: (watchfiles, "awatch")}


@pytest.mark.parametrize("ear", list(LISTENED))
def test_without_watches_it_looks(ear: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """inotify's watches are used up: that is said once, and one wakes all the same."""

    def used_up(*args: Any, **more: Any) -> Any:
        raise OSError("watches are used up")

    monkeypatch.setenv("LAUNCHPAD_WATCH", ear)
    monkeypatch.setattr(*LISTENED[ear](), used_up)
    monkeypatch.setattr(bell, "POLL_S", 0.01)
    said: list[str] = []

    async def main() -> None:
        one = Bell(lambda path: True, said.append)
        await one.arm([str(tmp_path)])
        for _ in range(3):
            await one.wait()
            await one.arm([str(tmp_path), "/"])
        await one.close()

    asyncio.run(asyncio.wait_for(main(), 20))
    assert said == ["watches are used up"]


@pytest.mark.parametrize("ear", list(LISTENED))
def test_it_rings_for_what_matters(ear: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHPAD_WATCH", ear)
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "stack.yaml"
    asked: list[str] = []

    def matters(path: str) -> bool:
        asked.append(path)
        return path == str(file)

    async def main() -> None:
        one = Bell(matters, asked.append)
        assert await one.arm([str(folder)])
        assert not await one.arm([str(folder)]), "nothing new"
        waiting = asyncio.ensure_future(one.wait())
        (folder / "other").write_text("")
        while not asked:
            await asyncio.sleep(0.01)
        assert not waiting.done()
        file.write_text("")
        await waiting
        folder.rename(tmp_path / "away")
        folder.mkdir()
        assert await one.arm([str(folder)]), "another folder of the same name"
        file.write_text("")
        await one.wait()
        await one.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_remote_file_systems(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text(
        "/dev/x / ext4 rw 0 0\nhost:/h /home nfs4 rw 0 0\nx /home/me/my\\040disk ext4 rw 0 0\ns /s fuse.sshfs rw 0 0\n"
    )
    assert is_remote(["/tmp", "/home/you"], str(table))
    assert is_remote(["/s/x"], str(table))
    assert not is_remote(["/tmp", "/home/me/my disk/x", "/homely"], str(table))
    assert not is_remote(["/"], str(tmp_path / "none"))
