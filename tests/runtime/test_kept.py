"""What is kept of a reading is what reading would give, or it is not taken."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from launchpad.paths import stack_paths
from launchpad.plan.read import Reading
from launchpad.runtime import kept
from launchpad.runtime.options import UpOptions
from launchpad.runtime.read import read, read_or_kept
from tests.stack.writing import write

ROOT = Path(__file__).resolve().parent.parent.parent
STACKS = sorted(file for file in (ROOT / "stacks").rglob("*.yaml") if "servers:" in file.read_text())
STACK = """
name: ${STACK_NAME:-mine}
vars: {who: you}
include: parts/more.yaml
servers:
  llm: {command: "serve ${vars.who} ${HOST_ONE:-here} ${self.port}", port: 8000-8099, working_dir: place, venv: env, replicas: 2}
jobs:
  train: {command: "train ${llm.urls}", working_dir: "~", depends_on: [llm], profiles: [work]}
"""
FILES = {"parts/more.yaml": "servers: {more: {uses: mine, port: 8100-8199}}", "env/bin/python": "",
         "parts/recipes/mine.yaml": "title: mine\nservice: {command: \"run --port ${self.port}\"}\n"}  # fmt: skip


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UpOptions:
    monkeypatch.delenv("STACK_NAME", raising=False)
    monkeypatch.delenv("HOST_ONE", raising=False)
    file = write(tmp_path, STACK, FILES)
    stack_paths(file).state_dir.mkdir(parents=True)
    return UpOptions(file)


def keep(options: UpOptions) -> Reading:
    found = read(options)
    kept.save(stack_paths(options.file).kept, found)
    return found


def taken(options: UpOptions) -> Reading | None:
    """What is kept, if it is taken."""
    found = read_or_kept(options, stack_paths(options.file))
    return None if found.is_loaded else found


def test_what_is_kept_is_what_reading_gives(options: UpOptions) -> None:
    before = keep(options)
    after = taken(options)
    assert after is not None
    assert (after.plan, after.head, after.answers) == (before.plan, before.head, before.answers)
    assert stack_paths(options.file).kept.stat().st_mode & 0o777 == 0o600
    assert after.loaded.model == before.loaded.model
    assert after.label("more", "port") == before.label("more", "port") is not None
    assert after.goals() == before.goals()


@pytest.mark.parametrize("file", STACKS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_stack_of_ours(file: Path, tmp_path: Path) -> None:
    options, place = UpOptions(file), tmp_path / "kept"
    before = read(options)
    kept.save(place, before)
    after = kept.load(place, file, before.asked)
    if before.head.hides:
        assert after is None
    else:
        assert after is not None
        assert (after.plan, after.head) == (before.plan, before.head)


CHANGES: dict[str, Callable[[Path], object]] = {
    "the file": lambda folder: write(folder, STACK.replace("8099", "8098")),
    "an included file": lambda folder: (folder / "parts/more.yaml").write_text(FILES["parts/more.yaml"] + "\n"),
    "a recipe": lambda folder: (folder / "parts/recipes/mine.yaml").unlink(),
    "a recipe that says more": lambda folder: write(folder, STACK, {"parts/recipes/mine.yaml": FILES["parts/recipes/mine.yaml"] + "# more\n"}),
    "a local file": lambda folder: (folder / "stack.local.yaml").write_text("vars: {who: me}"),
    "a virtual environment": lambda folder: (folder / "env/bin").rename(folder / "env/gone"),
    "a working folder": lambda folder: (folder / "place").mkdir(),
    "a variable that was not set": lambda folder: os.environ.__setitem__("STACK_NAME", "other"),
    "another one": lambda folder: os.environ.__setitem__("HOST_ONE", "there"),
    "the search path": lambda folder: os.environ.__setitem__("PATH", "/somewhere"),
    "the home": lambda folder: os.environ.__setitem__("HOME", "/somewhere"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda name: name.replace(" ", "-"))
def test_whatever_it_is_made_of_may_change(
    options: UpOptions, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STACK_NAME", "HOST_ONE", "PATH", "HOME"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # is put back at the end
        if name not in ("PATH", "HOME"):
            monkeypatch.delenv(name)
    keep(options)
    assert taken(options) is not None
    CHANGES[change](options.file.parent)
    assert stack_paths(options.file).kept.exists()
    assert kept.load(stack_paths(options.file).kept, options.file, read_as(options)) is None


def read_as(options: UpOptions) -> kept.ReadAs:
    from launchpad.runtime.read import _asked

    return _asked(options)


def test_what_it_is_not_made_of_may_change(options: UpOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(options)
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    (options.file.parent / "unrelated").mkdir()
    assert taken(options) is not None


def test_other_options_are_another_reading(options: UpOptions) -> None:
    keep(options)
    assert taken(replace(options, set_vars=(("who", "you"),))) is None
    assert taken(replace(options, profiles=("work",))) is None
    assert taken(replace(options, timeout_s=3.0)) is not None


def test_another_launchpad_reads_by_itself(options: UpOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(options)
    monkeypatch.setattr("launchpad.__version__", "99")
    assert taken(options) is None


SECRETS = {
    "an env file": ("env_file: .env\nservers: {a: {command: x}}", {".env": "A=b\n"}),
    "one of a service": ("servers: {a: {command: x, env_file: .env}}", {".env": "A=b\n"}),
    "a variable by its name": ("servers: {a: {command: x, environment: {API_TOKEN: abc}}}", {}),
    "one of the environment": ("servers: {a: {command: 'x ${MY_PASSWORD}'}}", {}),
    "one in a header": ("servers: {a: {command: x, port: auto, ready: {http: /, headers: {A: '${MY_PASSWORD}'}}}}", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", SECRETS, ids=lambda name: name.replace(" ", "-"))
def test_nothing_of_a_stack_with_secrets_is_kept(
    options: UpOptions, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_PASSWORD", "123")
    keep(options)
    place = stack_paths(options.file).kept
    assert place.exists()
    write(options.file.parent, *SECRETS[case])
    keep(options)
    assert not place.exists(), "nor what was kept before"


def test_an_option_that_looks_secret(options: UpOptions) -> None:
    write(options.file.parent, "vars: {token: ''}\nservers: {a: {command: 'x ${vars.token}'}}")
    keep(replace(options, set_vars=(("token", "t"),)))
    assert not stack_paths(options.file).kept.exists()


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b"[1]", b'{"stamp": 3}'])
def test_what_makes_no_sense_is_as_if_it_was_not_there(options: UpOptions, data: bytes) -> None:
    stack_paths(options.file).kept.write_bytes(data)
    assert taken(options) is None


def test_a_link_in_its_place_is_not_followed(options: UpOptions, tmp_path: Path) -> None:
    keep(options)
    place = stack_paths(options.file).kept
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert taken(options) is None


def test_it_is_loaded_as_it_was(options: UpOptions) -> None:
    """Whoever edits the file in the moment of the start is still told what the running one says."""
    before = keep(options)
    after = taken(options)
    assert after is not None
    write(options.file.parent, "servers: {}")
    assert after.loaded.model == before.loaded.model
    assert after.label("train", "depends_on") == before.label("train", "depends_on")


def test_a_reading_with_an_earlier_one_at_hand_has_all_its_answers(options: UpOptions) -> None:
    """What was taken from the earlier one was not asked for again by itself."""
    first = read(options)
    write(options.file.parent, STACK.replace("profiles: [work]", "profiles: [play]"))
    again = read(options, before=first)
    fresh = read(options)
    assert again.plan.services == fresh.plan.services
    assert fresh.answers.variables.items() <= again.answers.variables.items()
    assert fresh.answers.files.items() <= again.answers.files.items()
    assert fresh.answers.looks.items() <= again.answers.looks.items()


def test_a_path_that_is_no_text_is_not_kept(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    options = UpOptions(write(folder, "servers: {a: {command: x}}"))
    place = tmp_path / "kept"
    kept.save(place, read(options))
    assert not place.exists()


def test_all_that_is_kept_can_be_read_back(options: UpOptions) -> None:
    """By its types: a field of another kind would be lost."""
    keep(options)
    data = stack_paths(options.file).kept.read_bytes()
    found = msgspec.msgpack.decode(data, type=kept.Kept)
    assert msgspec.msgpack.encode(found) == data
